// The decoded films that are kept: a few, those that were looked at last.

const KEPT = 3; // one of 3000 × 3000 takes 20 MB

export class Shelf {
  #kept = []; // items whose film is decoded, the last one used last

  /** @param {(file: File) => Promise<Film>} load */
  constructor(load) {
    this.load = load;
  }

  /** Decode the item's film, if need be. */
  async fetch(item) {
    if (item.film) return;
    item.decoding ??= this.load(item.file);
    try {
      item.film = await item.decoding;
    } catch {
      item.film = null; // the reading says why
    }
    item.decoding = null;
  }

  /** Forget the films that were not looked at for longest. */
  keep(item) {
    this.#kept = [...this.#kept.filter((other) => other !== item), item];
    while (this.#kept.length > KEPT) this.#kept.shift().film = null;
  }

  clear() {
    this.#kept = [];
  }
}
