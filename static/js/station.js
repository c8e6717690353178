// The reading station: films come in, are read a few at a time, and the one that is selected
// is shown with its reading. Everything that is said about a film comes from the server.

import { announcement } from "./announcement.js";
import { Controls } from "./controls.js";
import { copyText, preparePrint, saveJson, saveTable } from "./exports.js";
import { isPlainPicture, loadFilm, thumbnail } from "./film.js";
import { enableGestures } from "./gestures.js";
import { Heatmap } from "./heatmap.js";
import { enableIntake } from "./intake.js";
import { Panel } from "./panel.js";
import { Patients } from "./patients.js";
import { Queue } from "./queue.js";
import { askForFilm, fetchSample, isThere, readFilm } from "./send.js";
import { Shelf } from "./shelf.js";
import { enableShortcuts } from "./shortcuts.js";
import { mayPass, warningOf } from "./states.js";
import { Viewer } from "./viewer.js";
import { Worklist } from "./worklist.js";

const AT_ONCE = 3; // readings under way; the server has few cores
const THUMBNAIL_SIDE = 96;

const one = (name, root = document) => root.querySelector(`[data-${name}]`);

function template(name) {
  return document.querySelector(`template[data-template="${name}"]`).content.cloneNode(true);
}

function askFirst(event) {
  event.preventDefault();
  event.returnValue = true; // for Chrome before 119
}

class Station {
  constructor() {
    this.form = one("reader");
    this.patients = new Patients(this.form);
    this.queue = new Queue(AT_ONCE);
    this.thumbnails = new Queue(1);
    this.stopped = new AbortController();
    this.count = 0;
    this.title = document.title; // while nothing is read
    this.shelf = new Shelf((file, signal) =>
      loadFilm(file, () => askForFilm(this.form, file, signal)),
    );
    this.panel = new Panel(one("result"), template);
    this.viewer = new Viewer(one("canvas"), () => this.controls?.update());
    this.controls = new Controls(one("viewer"), this.viewer);
    this.worklist = new Worklist(one("worklist"), template, (item) => this.open(item));
    this.heatmap = new Heatmap(
      one,
      this.viewer,
      () => this.worklist.selected,
      (item, id) => this.#otherMap(item, id),
      (words) => this.#announce(words),
    );
  }

  start() {
    document.documentElement.classList.add("scripted");
    for (const hidden of document.querySelectorAll("[data-many], [data-pickers]")) {
      hidden.hidden = false;
    }
    for (const plain of document.querySelectorAll("[data-one]")) plain.hidden = true;
    enableIntake(
      this.form,
      (films) => this.take(films),
      () => this.#nothingFound(),
    );
    enableGestures(this.viewer);
    const { viewer, controls, worklist } = this;
    enableShortcuts({
      viewer,
      controls,
      worklist,
      dialog: one("help"),
      addFilms: () => this.#chooseFiles(),
      copyReading: () => this.export("text"),
    });
    this.form.addEventListener("submit", (event) => event.preventDefault());
    one("result").addEventListener("click", (event) => this.#clicked(event));
    one("film-again").addEventListener("click", () => this.open(this.worklist.selected));
    one("csv").addEventListener("click", () => saveTable(this.worklist.shown));
    one("read-all").addEventListener("click", () => this.#readAllAgain());
    one("clear").addEventListener("click", () => this.clear());
    one("sample")?.addEventListener("submit", (event) => this.#sample(event));
    addEventListener("beforeprint", () => {
      const map = this.heatmap.words;
      preparePrint(one("prints"), this.viewer, this.worklist.selected, map);
    });
  }

  /** Films as they were dropped: what is chosen now goes for them, not what is chosen later. */
  take(films, { model = this.patients.chosen, ...fields } = {}) {
    one("empty").hidden = true;
    for (const { file, name } of films) {
      this.count += 1;
      const item = { id: this.count, file, name, model, fields, state: "waiting" };
      this.worklist.add(item);
      this.read(item);
      this.thumbnails.add(async () => {
        item.thumbnail ??= await thumbnail(file, THUMBNAIL_SIDE);
        this.worklist.refresh(item);
      });
    }
    this.#showStation(true);
    this.worklist.render();
    if (!this.worklist.selected) this.worklist.select(this.worklist.shown[0]);
    // An arrow key must now step through the films, not change the patient's group.
    one("list").focus({ preventScroll: true });
    this.#announce(films.length === 1 ? "Reading one film." : `Reading ${films.length} films.`);
  }

  #chooseFiles() {
    this.form.querySelector("#file").click();
  }

  #nothingFound() {
    one("empty").hidden = false;
    this.#announce(one("empty").textContent);
  }

  /** Queue one film, again if need be. */
  read(item) {
    // Nothing of an earlier reading may stand beside what comes now.
    Object.assign(item, { state: "waiting", progress: 0, answer: null });
    Object.assign(item, { section: null, title: null, detail: null });
    this.heatmap.forget(item);
    const { signal } = this.stopped;
    this.queue.add(async () => {
      if (signal.aborted) return;
      item.state = "sending";
      this.#changed(item, true);
      const progress = (share) => {
        item.progress = share;
        this.#changed(item, share < 1);
      };
      try {
        this.#finish(item, await this.#outcome(item, progress, signal));
      } catch (error) {
        if (error.name === "AbortError") return;
        this.#finish(item, { state: (await isThere(item.file)) ? "failed" : "missing" });
      }
    });
  }

  async #outcome(item, progress, signal) {
    const ask = () => {
      const fields = { ...item.fields, model: item.model };
      return readFilm(this.form, item.file, fields, progress, signal);
    };
    // A plain picture can hold no age: no need to ask.
    const ageless = item.model === this.patients.byAge && (await isPlainPicture(item.file));
    const outcome = ageless ? { state: "patient" } : await ask();
    if (outcome.state !== "patient" || !this.patients.answer) return outcome;
    item.model = this.patients.answer;
    return ask();
  }

  async #finish(item, outcome) {
    Object.assign(item, outcome);
    if (outcome.state === "done" && !item.thumbnail && outcome.answer.thumbnail) {
      item.thumbnail = new Image();
      item.thumbnail.src = outcome.answer.thumbnail;
      item.thumbnail.alt = "";
    }
    this.#changed(item);
    const { items, selected } = this.worklist;
    const words = announcement(item, items, item === selected);
    if (words) this.#announce(words);
    if (item !== selected) return;
    // What kept the server from reading may have kept it from sending the film.
    if (item.state === "done" && item.trouble === "unfetched") await this.open(item);
    else await this.heatmap.draw(item);
  }

  /** Show an item: its film and what is known of its reading. */
  async open(item) {
    if (item.film && item.film === this.viewer.film) return; // clicked once more
    this.#result(item);
    one("name").textContent = item.name;
    this.viewer.show(item.film ?? null);
    this.controls.filmChanged();
    this.#filmState(item.film ? "" : "opening");
    const ended = await this.shelf.fetch(item);
    if (!ended || item !== this.worklist.selected) return;
    this.#filmState(item.trouble);
    if (this.viewer.film !== item.film) {
      this.viewer.show(item.film);
      this.controls.filmChanged();
    }
    await this.heatmap.draw(item);
  }

  /** Which sentence stands where the film would be; none for a film that is shown. */
  #filmState(name) {
    for (const sentence of document.querySelectorAll("[data-film-state]")) {
      sentence.hidden = sentence.dataset.filmState !== name;
    }
  }

  async #otherMap(item, id) {
    const fields = { model: item.answer.reading.model.name, heatmap_class: id };
    const { signal } = this.stopped;
    const outcome = await readFilm(this.form, item.file, fields, () => {}, signal);
    return outcome.answer?.layer;
  }

  #changed(item, onlyProgress = false) {
    if (onlyProgress) this.worklist.refresh(item);
    else this.worklist.update(item);
    if (item === this.worklist.selected) this.#result(item, onlyProgress);
  }

  #result(item, onlyProgress = false) {
    this.panel.show(item, onlyProgress);
    const warning = warningOf(item);
    const words = (item.answer?.words.decision ?? item.name) + (warning ? ` (${warning})` : "");
    document.title = `${words} · X-Ray Result Interpreter`;
  }

  #clicked(event) {
    const button = event.target.closest("button, a");
    const item = this.worklist.selected;
    if (!button || !item) return;
    if (button.dataset.export) this.export(button.dataset.export);
    if (button.matches("[data-another]")) {
      event.preventDefault(); // "Try another file" stays on this page
      this.#chooseFiles();
    }
    if (button.dataset.readAs === undefined) return;
    const model = button.dataset.readAs;
    if (item.state === "patient") {
      this.patients.remember(model, button.textContent);
      for (const other of this.worklist.items) {
        if (other.state === "patient") this.read(Object.assign(other, { model }));
      }
    } else {
      if (model) item.model = model;
      this.read(item);
    }
    this.#changed(item);
    one("list").focus();
  }

  #readAllAgain() {
    for (const item of this.worklist.items.filter(mayPass)) {
      this.read(item);
      this.#changed(item);
    }
    one("list").focus();
  }

  async export(what) {
    const item = this.worklist.selected;
    if (item?.state !== "done") return;
    if (what === "json") saveJson(item);
    if (what === "print") print();
    if (what === "text") {
      const copied = await copyText(item);
      this.#announce(copied ? "Copied." : "This browser does not allow copying.");
      const button = document.querySelector("[data-export=text]");
      const words = button.textContent;
      button.textContent = copied ? "Copied" : "Not allowed";
      setTimeout(() => (button.textContent = words), 1500);
    }
  }

  clear() {
    this.stopped.abort();
    this.stopped = new AbortController();
    this.shelf.clear();
    this.worklist.clear();
    this.viewer.show(null);
    this.controls.filmChanged();
    this.panel.clear();
    document.title = this.title;
    this.patients.forget();
    this.#showStation(false);
    this.#announce("The list is empty.");
    this.form.querySelector("input[name=model]:checked")?.focus();
  }

  #showStation(shown) {
    // The list lives in this page only: a link out of it, or a reload, asks first.
    if (shown) addEventListener("beforeunload", askFirst);
    else removeEventListener("beforeunload", askFirst);
    document.querySelector("main").classList.toggle("station", shown);
    for (const name of ["worklist", "viewer", "result"]) one(name).hidden = !shown;
    for (const part of document.querySelectorAll("[data-start]")) {
      part.classList.toggle("put-away", shown);
    }
  }

  async #sample(event) {
    event.preventDefault();
    const { sample: model } = event.target.dataset;
    try {
      const file = await fetchSample();
      this.take([{ file, name: file.name }], { sample: "1", model });
    } catch {
      event.target.submit(); // the plain way
    }
  }

  #announce(words) {
    one("announce").textContent = words;
  }
}

// A browser from before March 2022 keeps the plain form, which reads as well.
const able = typeof Array.prototype.at === "function" && typeof HTMLDialogElement === "function";
if (able) new Station().start();
