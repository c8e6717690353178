// Draws a film through its window. Only what is in sight is turned into grey, from the copy
// that has just enough pixels: a drag over a film of 3000 × 3000 stays smooth without a GPU.

import { greyTable } from "./levels.js";

const MARGIN = 0.2; // of the visible part, drawn beyond its edges so that moving is free

export class Painter {
  #picture = document.createElement("canvas");
  #drawn = null;

  /**
   * @param {CanvasRenderingContext2D} context whose origin is the pane's centre
   * @param {{film, viewport, pane, window, inverted, density, coarse}} how `density` is screen
   *   pixels per CSS pixel; `coarse` allows half the detail while something moves.
   */
  draw(context, how) {
    this.#prepare(how);
    const { left, top, right, bottom } = this.#drawn.part;
    context.imageSmoothingEnabled = how.viewport.scale * how.density < 3;
    context.imageSmoothingQuality = how.coarse ? "low" : "high";
    context.drawImage(this.#picture, left, top, right - left, bottom - top);
  }

  #prepare({ film, viewport, pane, window, inverted, density, coarse }) {
    const fine = Math.max(0, Math.floor(Math.log2(1 / (viewport.scale * density))));
    const number = Math.min(coarse ? fine + 1 : fine, film.smallest);
    const visible = viewport.visible(pane);
    const key = [number, window.black, window.white, inverted].join();
    const last = this.#drawn;
    if (last && last.film === film && last.key === key && contains(last.part, visible)) return;

    const copy = film.copy(number);
    const part = wholePixels(visible, film, copy);
    const grey = greyTable(film.entries, window, inverted);
    const columns = part.lastColumn - part.firstColumn;
    const rows = part.lastRow - part.firstRow;
    const image = new ImageData(columns, rows);
    const words = new Uint32Array(image.data.buffer);
    let target = 0;
    for (let row = part.firstRow; row < part.lastRow; row += 1) {
      const start = row * copy.width;
      for (let index = start + part.firstColumn; index < start + part.lastColumn; index += 1) {
        words[target] = grey[copy.data[index]];
        target += 1;
      }
    }
    this.#picture.width = columns;
    this.#picture.height = rows;
    this.#picture.getContext("2d").putImageData(image, 0, 0);
    this.#drawn = { film, key, part };
  }
}

function contains(outer, inner) {
  return (
    outer.left <= inner.left &&
    outer.top <= inner.top &&
    outer.right >= inner.right &&
    outer.bottom >= inner.bottom
  );
}

/** The visible part with its margin, rounded outwards to whole pixels of the copy. */
function wholePixels(visible, film, copy) {
  const acrossMargin = (visible.right - visible.left) * MARGIN;
  const downMargin = (visible.bottom - visible.top) * MARGIN;
  const across = copy.width / film.width;
  const down = copy.height / film.height;
  const clamp = (value, most) => Math.min(most, Math.max(0, value));
  const firstColumn = clamp(Math.floor((visible.left - acrossMargin) * across), copy.width - 1);
  const firstRow = clamp(Math.floor((visible.top - downMargin) * down), copy.height - 1);
  const lastColumn = Math.max(
    firstColumn + 1,
    clamp(Math.ceil((visible.right + acrossMargin) * across), copy.width),
  );
  const lastRow = Math.max(
    firstRow + 1,
    clamp(Math.ceil((visible.bottom + downMargin) * down), copy.height),
  );
  return {
    firstColumn,
    firstRow,
    lastColumn,
    lastRow,
    left: firstColumn / across,
    top: firstRow / down,
    right: lastColumn / across,
    bottom: lastRow / down,
  };
}
