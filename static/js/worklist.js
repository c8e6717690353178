// The list of films: sorted, filtered, stepped through. It shows items and says which one is
// selected; it decides nothing about them. While films are read it stands still, so that whoever
// steps through it misses none; when all have been read it is put in order.

import { arrange, passes } from "./order.js";
import { fillRow, makeRow } from "./row.js";
import { isUnderWay, mayPass, tally } from "./states.js";

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
    this.busy = false; // a film is under way
    this.frame = null; // the list will be looked through in it
    this.pressed = false; // a pointer is down on a row
    this.list = root.querySelector("[data-list]");
    this.filter = root.querySelector("[data-filter]");
    this.sort = root.querySelector("[data-sort]");
    this.again = root.querySelector("[data-read-all]");
    this.csv = root.querySelector("[data-csv]");
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
    item.row = makeRow(item, this.template);
    this.refresh(item);
    this.items.push(item);
    this.busy = true;
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
    this.selected?.row.setAttribute("aria-selected", "false");
    item.row.setAttribute("aria-selected", "true");
    this.selected = item;
    this.#nameActive(this.shown);
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

  /** The item's state has changed; once no film is under way all are put in order. */
  update(item) {
    this.refresh(item);
    const busy = this.items.some(isUnderWay);
    if (this.busy && !busy) this.#inOrder();
    // However many films end, the list is looked through once a frame.
    else this.frame ??= requestAnimationFrame(() => this.render());
    this.busy = busy;
  }

  render() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const shown = this.shown;
    this.#arrange(shown.map((item) => item.row));
    this.#nameActive(shown);
    this.root.querySelector("[data-none]").hidden = shown.length > 0 || this.items.length === 0;
    this.root.querySelector("[data-list-tools]").hidden = this.items.length < 2;
    const infected = this.items.filter((item) => passes(item, "infected")).length;
    this.urgent.hidden = infected === 0 || !this.items.some(isUnderWay) || this.filter.value !== "";
    this.urgent.querySelector("span").textContent = String(infected);
    this.root.querySelector("[data-count]").textContent = tally(this.items);
    // The table holds what is shown.
    this.csv.textContent = this.filter.value ? `CSV (${shown.length} shown)` : "CSV";
    const passing = this.items.filter(mayPass).length;
    this.again.hidden = passing === 0;
    this.again.textContent = `Read ${passing} again`;
  }

  /** Tell assistive technology which row is selected, if it is shown. */
  #nameActive(shown) {
    const active = shown.includes(this.selected) ? this.selected.row.id : "";
    this.list.setAttribute("aria-activedescendant", active);
  }

  /** A row that moves between press and release loses the click: later, then. */
  #arrange(rows) {
    if (this.pressed) return;
    const wanted = new Set(rows);
    for (const row of [...this.list.children]) if (!wanted.has(row)) row.remove();
    let next = this.list.firstElementChild;
    for (const row of rows) {
      if (row === next) next = next.nextElementSibling;
      else this.list.insertBefore(row, next);
    }
  }

  #released() {
    this.pressed = false;
    this.render();
  }

  /** Only this item has changed, and nothing that orders, filters or counts it. */
  refresh(item) {
    fillRow(item, this.template);
  }
}
