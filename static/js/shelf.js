// The decoded films that are kept: a few, those that were looked at last. One is fetched at a
// time: whoever steps through a hundred films wants the last of them.

import { isThere, NoFilm } from "./send.js";

const KEPT = 3; // one of 3000 × 3000 takes 20 MB

export class Shelf {
  #kept = []; // items whose film is decoded, the last one used last
  #fetching = null;

  /** @param {(file: File, signal: AbortSignal) => Promise<Film>} load */
  constructor(load) {
    this.load = load;
  }

  /**
   * Afterwards the item has its `film`, or `trouble` says why not: "unshown", "unfetched" or "missing".
   *
   * @returns {Promise<boolean>} false when another film was wanted meanwhile
   */
  async fetch(item) {
    if (this.#fetching?.item !== item) this.#begin(item);
    return this.#fetching ? this.#fetching.ended : true;
  }

  clear() {
    this.#fetching?.stop.abort();
    this.#fetching = null;
    this.#kept = [];
  }

  #begin(item) {
    this.#fetching?.stop.abort();
    this.#fetching = null;
    if (item.film) {
      this.#keep(item);
      return;
    }
    const stop = new AbortController();
    this.#fetching = { item, stop, ended: this.#decode(item, stop.signal) };
  }

  async #decode(item, signal) {
    let film = null;
    let trouble = null;
    try {
      film = await this.load(item.file, signal);
    } catch (error) {
      trouble = error instanceof NoFilm ? "unshown" : "unfetched";
      if (!(await isThere(item.file))) trouble = "missing";
    }
    if (signal.aborted) return false;
    Object.assign(item, { film, trouble });
    if (film) this.#keep(item);
    this.#fetching = null;
    return true;
  }

  /** Forget the films that were not looked at for longest. */
  #keep(item) {
    this.#kept = [...this.#kept.filter((other) => other !== item), item];
    while (this.#kept.length > KEPT) this.#kept.shift().film = null;
  }
}
