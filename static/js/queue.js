// Several films at once, but not all: each takes its turn, and one that fails stops no other.

export class Queue {
  #waiting = [];
  #running = 0;

  /** @param {number} limit how many jobs run at the same time */
  constructor(limit) {
    this.limit = limit;
  }

  /** @param {() => Promise<void>} job must not reject */
  add(job) {
    this.#waiting.push(job);
    this.#next();
  }

  #next() {
    while (this.#running < this.limit && this.#waiting.length > 0) {
      this.#running += 1;
      const job = this.#waiting.shift();
      job().finally(() => {
        this.#running -= 1;
        this.#next();
      });
    }
  }
}
