// The list of films: sorted, filtered, stepped through. It shows items and says which one is
// selected; it decides nothing about them. While films are read it stands still, so that whoever
// steps through it misses none; when all have been read it is put in order.

import { arrange, passes } from "./order.js";
import { hasNoReading, isUnderWay, stateWords } from "./states.js";

const ARROWS = { ArrowDown: 1, ArrowUp: -1 };

export class Worklist {
  /**
   * @param {HTMLElement} root
   * @param {(name: string) => Node} template
   * @param {(item: object) => void} selected is called with the item that was chosen,
   *   also when it was clicked once more
   */
  constructor(root, template, selected) {
    this.root = root;
    this.template = template;
    this.onSelect = selected;
    this.items = []; // as they stand in the list
    this.selected = null;
    this.pressed = false; // a pointer is down on a row
    this.list = root.querySelector("[data-list]");
    this.filter = root.querySelector("[data-filter]");
    this.sort = root.querySelector("[data-sort]");
    this.urgent = root.querySelector("[data-urgent]");
    this.filter.addEventListener("change", () => this.render());
    this.sort.addEventListener("change", () => this.#inOrder());
    this.urgent.addEventListener("click", () => {
      this.filter.value = "infected";
      this.render();
      this.list.focus({ preventScroll: true });
    });
    this.list.addEventListener("click", (event) => {
      const row = event.target.closest("[role=option]");
      if (!row) return;
      const item = this.items.find((each) => each.row === row);
      if (item === this.selected) this.onSelect(item);
      else this.select(item);
    });
    this.list.addEventListener("pointerdown", () => (this.pressed = true));
    for (const released of ["pointerup", "pointercancel"]) {
      // After the click, which the browser sends once the pointer is up.
      addEventListener(released, () => this.pressed && setTimeout(() => this.#released()));
    }
    this.list.addEventListener("keydown", (event) => {
      if (event.key === "Home" || event.key === "End") {
        event.preventDefault();
        this.select(this.shown.at(event.key === "Home" ? 0 : -1));
      }
    });
  }

  add(item) {
    item.row = this.#row(item);
    this.items.push(item);
  }

  clear() {
    this.items = [];
    this.selected = null;
    this.filter.value = "";
    this.render();
  }

  /** The items that the filter lets through, as they stand in the list. */
  get shown() {
    return this.items.filter((item) => passes(item, this.filter.value));
  }

  select(item) {
    if (!item || item === this.selected) return;
    this.selected = item;
    this.render();
    item.row.scrollIntoView({ block: "nearest" });
    this.onSelect(item);
  }

  /** The next or the previous one of those shown; false when the key means nothing here. */
  step(key) {
    const by = ARROWS[key];
    const shown = this.shown;
    if (!by || shown.length === 0) return false;
    const now = shown.indexOf(this.selected);
    const next = now < 0 ? 0 : Math.min(shown.length - 1, Math.max(0, now + by));
    this.select(shown[next]);
    return true;
  }

  /** Put the list into the order that is chosen, and keep the selected film in sight. */
  #inOrder() {
    arrange(this.items, this.sort.value);
    this.render();
    if (this.shown.includes(this.selected)) this.selected.row.scrollIntoView({ block: "nearest" });
  }

  /** The films' readings have changed; once none is under way they are put in order. */
  update() {
    const busy = this.items.some(isUnderWay);
    if (this.busy && !busy) this.#inOrder();
    else this.render();
    this.busy = busy;
  }

  render() {
    const shown = this.shown;
    this.#arrange(shown.map((item) => item.row));
    for (const item of this.items) this.#fill(item);
    const active = shown.includes(this.selected) ? this.selected.row.id : "";
    this.list.setAttribute("aria-activedescendant", active);
    this.root.querySelector("[data-none]").hidden = shown.length > 0 || this.items.length === 0;
    this.root.querySelector("[data-list-tools]").hidden = this.items.length < 2;
    const infected = this.items.filter((item) => passes(item, "infected")).length;
    this.urgent.hidden = infected === 0 || !this.items.some(isUnderWay) || this.filter.value !== "";
    this.urgent.querySelector("span").textContent = String(infected);
    const done = this.items.filter((item) => item.state === "done").length;
    this.root.querySelector("[data-count]").textContent =
      done === this.items.length ? String(done) : `${done} of ${this.items.length} read`;
  }

  /** A row that moves between press and release loses the click: only if the order changed. */
  #arrange(rows) {
    const now = this.list.children;
    const same = rows.length === now.length && rows.every((row, index) => row === now[index]);
    if (!same && !this.pressed) this.list.replaceChildren(...rows);
  }

  #released() {
    this.pressed = false;
    this.render();
  }

  /** Only this item has changed, and nothing that orders it. */
  refresh(item) {
    this.#fill(item);
  }

  #icon(name) {
    return this.template(name).firstElementChild;
  }

  #row(item) {
    const row = document.createElement("div");
    row.className = "film";
    row.id = `film-${item.id}`;
    row.setAttribute("role", "option");
    const picture = document.createElement("span");
    picture.className = "thumb";
    picture.append(this.#icon("film-icon"));
    const name = document.createElement("span");
    name.className = "name";
    name.textContent = item.name;
    name.title = item.name;
    const words = document.createElement("span");
    words.className = "words";
    const figure = document.createElement("b");
    figure.className = "figure-small";
    row.append(picture, name, figure, words);
    return row;
  }

  #fill(item) {
    const { row } = item;
    row.setAttribute("aria-selected", String(item === this.selected));
    const key = [item.state, item.progress, Boolean(item.thumbnail)].join();
    if (row.dataset.key === key) return;
    row.dataset.key = key;
    row.className = item.state === "done" ? `film decision-${item.answer.reading.decision}` : "film";
    if (item.thumbnail) row.querySelector(".thumb").replaceChildren(item.thumbnail);
    row.querySelector(".words").replaceChildren(...this.#words(item));
    row.querySelector("b").textContent = item.state === "done" ? item.answer.words.probability : "";
  }

  #words(item) {
    const words = stateWords(item);
    if (item.state === "done") {
      return [this.#icon(`decision-${item.answer.reading.decision}`), words];
    }
    if (hasNoReading(item)) return [this.#icon("refused-icon"), words];
    if (item.state !== "sending") return [words];
    const bar = document.createElement("progress");
    bar.max = 1;
    if (item.progress < 1) bar.value = item.progress;
    bar.setAttribute("aria-hidden", "true");
    return [words, bar];
  }
}
