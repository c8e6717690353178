// The line to the server, which all bodies share. The server gives each a bounded time to arrive,
// so those that would take long go up one after the other, not side by side.

const SMALL = 100_000; // bytes; such a body neither waits nor says how fast the line is
const LONG_MS = 1000; // a body that takes longer has the line for itself
const GUESS = 1000; // bytes a millisecond, until one has been measured

export class Line {
  #rate = GUESS;
  #waiting = [];
  #up = 0; // bodies going up
  #taken = false; // by one that goes alone

  /**
   * Wait for a turn; `alone` asks for the whole line whatever the size, `first` goes before others.
   *
   * @returns {Promise<(arrived?: boolean) => void>} to be called when the body is up, or given up
   */
  turn(bytes, { alone = false, first = false } = {}) {
    return new Promise((begin) => {
      this.#waiting[first ? "unshift" : "push"]({ bytes, alone, begin });
      this.#next();
    });
  }

  #next() {
    while (this.#waiting.length > 0 && !this.#taken) {
      const { bytes, alone, begin } = this.#waiting[0];
      const whole = alone || (bytes > SMALL && bytes / this.#rate > LONG_MS);
      if (whole && this.#up > 0) return;
      this.#waiting.shift();
      this.#taken = whole;
      this.#up += 1;
      begin(this.#end(bytes, whole));
    }
  }

  #end(bytes, whole) {
    const began = performance.now();
    let ended = false;
    return (arrived = false) => {
      if (ended) return;
      ended = true;
      if (arrived && bytes > SMALL) this.#rate = bytes / Math.max(1, performance.now() - began);
      if (whole) this.#taken = false;
      this.#up -= 1;
      this.#next();
    };
  }
}
