// The viewer: one film, its window and view, drawn into one canvas. What the pointer, the
// keys and the buttons do to it ends in the methods below; each asks for a new picture.

import { middleAndWidth, windowOf } from "./levels.js";
import { Painter } from "./painter.js";
import { drawScaleBar, Ruler } from "./ruler.js";
import { Viewport } from "./viewport.js";

const ZOOM_STEP = 1.25;
const BLINK_MS = 1000;
const SETTLE_MS = 120; // full detail this long after the last movement
const GAP = 2; // between the panes of side by side

export class Viewer {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {() => void} changed is called after each change that the controls show
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.film = null;
    this.layer = null;
    this.layerWithheld = false; // there is one, but nobody has asked for it
    this.layerAwaited = false; // another one was asked for
    this.viewport = null;
    this.ruler = new Ruler();
    this.view = "film";
    this.opacity = 0.55;
    this.inverted = false;
    this.tool = "window";
    this.blinkOn = true;
    this.painters = [new Painter(), new Painter()];
    this.corners = { width: 0, height: 0 }; // of the words over the film, CSS pixels
    this.pending = 0;
    this.coarseUntil = 0;
    new ResizeObserver(() => this.#resized()).observe(canvas);
  }

  /** Show a film from its start, or nothing for null. */
  show(film) {
    this.film = film;
    this.layer = null;
    this.layerWithheld = false;
    this.layerAwaited = false;
    this.ruler.clear();
    if (film) {
      this.viewport = new Viewport(film.width, film.height);
      this.window = { ...film.windows[0] };
      this.inverted = false;
      this.viewport.fit(this.pane);
      if (this.tool === "ruler" && !film.spacing) this.tool = "window"; // nothing to measure by
    }
    this.#update();
  }

  /** The heatmap's picture, once there is one. */
  setLayer(image, withheld = false) {
    this.layer = withheld ? null : image;
    this.layerWithheld = withheld;
    this.layerAwaited = false;
    this.#update();
  }

  /** Another heatmap was asked for: until it comes, none is drawn. */
  awaitLayer() {
    this.setLayer(null);
    this.layerAwaited = true;
    this.changed();
  }

  get panes() {
    return this.view === "both" ? 2 : 1;
  }

  /** The size of one pane in CSS pixels. */
  get pane() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const columns = this.panes;
    return {
      width: Math.max(1, (width - GAP * (columns - 1)) / columns),
      height: Math.max(1, height),
    };
  }

  /** A place on the canvas → from the centre of the pane that it is in. */
  fromPaneCentre(x, y) {
    const { width, height } = this.pane;
    const column = this.panes === 2 && x > width + GAP / 2 ? 1 : 0;
    return { x: x - column * (width + GAP) - width / 2, y: y - height / 2 };
  }

  fit() {
    this.#with(() => this.viewport.fit(this.pane));
  }

  actual() {
    this.#with(() => this.viewport.zoomTo(1 / devicePixelRatio));
  }

  zoomIn() {
    this.zoomBy(ZOOM_STEP);
  }

  zoomOut() {
    this.zoomBy(1 / ZOOM_STEP);
  }

  zoomBy(factor, at) {
    this.#with(() => this.viewport.zoomBy(factor, at));
  }

  moveBy(dx, dy) {
    this.#with(() => this.viewport.moveBy(dx, dy));
  }

  rotate() {
    this.#with(() => {
      this.viewport.rotate();
      if (this.viewport.fitted) this.viewport.fit(this.pane);
    });
  }

  invert() {
    this.inverted = !this.inverted;
    this.#update();
  }

  reset() {
    this.#with(() => {
      this.window = { ...this.film.windows[0] };
      this.inverted = false;
      this.viewport.rotation = 0;
      this.viewport.fit(this.pane);
      this.ruler.clear();
    });
  }

  setTool(tool) {
    this.tool = tool === "ruler" && !this.film?.spacing ? this.tool : tool;
    if (this.tool !== "ruler") this.ruler.clear();
    this.#update();
  }

  setView(view) {
    const wasFitted = this.viewport?.fitted;
    this.view = view;
    this.blinkOn = true;
    clearInterval(this.blinking);
    if (view === "blink" && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
      this.blinking = setInterval(() => this.blink(), BLINK_MS);
    }
    if (wasFitted) this.viewport.fit(this.pane);
    this.#update();
  }

  /** The other half of blinking; also by key, for those who want nothing to move by itself. */
  blink() {
    this.blinkOn = !this.blinkOn;
    this.#update();
  }

  setOpacity(opacity) {
    this.opacity = Math.min(1, Math.max(0, opacity));
    this.#update();
  }

  setWindow({ black, white }) {
    this.#with(() => {
      this.window = { black, white };
    });
  }

  /** Shift the window's middle and scale its width, both by shares of the film's range. */
  changeWindow(towardsDark, wider) {
    this.#with(() => {
      const range = this.range;
      const { middle, width } = middleAndWidth(this.window);
      const sign = Math.sign(width) || 1;
      const dark = towardsDark * sign * (this.film.inverted === this.inverted ? 1 : -1);
      const span = Math.max(range / this.film.entries, Math.abs(width) + wider * range);
      this.window = windowOf(middle + dark * range, sign * span);
    });
  }

  /** How many pixel values the film really uses. */
  get range() {
    this.film.used ??= this.film.percentiles(0, 1);
    const [least, most] = this.film.used;
    return Math.max(1, most - least);
  }

  /** A point of the ruler was placed. */
  measured() {
    this.#update();
  }

  /** The words in the lower corners are so large: what is drawn keeps clear of them. */
  keepClear(corners) {
    this.corners = corners;
    this.redraw();
  }

  get heatShown() {
    if (!this.layer) return false;
    return this.view === "blink" ? this.blinkOn : this.view !== "film";
  }

  /** Ask for a picture; something that still moves may be drawn coarsely first. */
  redraw() {
    this.pending ||= requestAnimationFrame(() => {
      this.pending = 0;
      this.#paint();
    });
  }

  /** Until movement ends, half the detail is enough. */
  moving() {
    this.coarseUntil = performance.now() + SETTLE_MS;
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.redraw(), SETTLE_MS + 10);
  }

  /** The film as it is windowed now, whole, for the report; with the heatmap or without. */
  picture(longest, withHeat) {
    const scale = Math.min(1, longest / Math.max(this.film.width, this.film.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.round(this.film.width * scale);
    canvas.height = Math.round(this.film.height * scale);
    const pane = { width: canvas.width, height: canvas.height };
    const viewport = new Viewport(this.film.width, this.film.height);
    viewport.fit(pane);
    const context = canvas.getContext("2d");
    const how = { heat: withHeat, density: 1, corners: { width: 0, height: 0 } };
    this.#drawPane(context, new Painter(), viewport, pane, 0, how);
    return canvas.toDataURL("image/png");
  }

  #with(change) {
    if (!this.film) return;
    change();
    this.#update();
  }

  #update() {
    this.redraw();
    this.changed();
  }

  #resized() {
    if (this.viewport?.fitted) this.viewport.fit(this.pane);
    this.#update();
  }

  #paint() {
    const density = devicePixelRatio;
    const canvas = this.canvas;
    const width = Math.round(canvas.clientWidth * density);
    const height = Math.round(canvas.clientHeight * density);
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
    }
    const context = canvas.getContext("2d", { alpha: false });
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    if (!this.film) return;
    const pane = this.pane;
    for (let column = 0; column < this.panes; column += 1) {
      const left = column * (pane.width + GAP);
      context.setTransform(density, 0, 0, density, 0, 0);
      if (column > 0) {
        context.fillStyle = "#3a444d";
        context.fillRect(left - GAP, 0, GAP, pane.height);
      }
      const heat = this.heatShown && (this.view !== "both" || column === 1);
      const how = { heat, density, corners: this.corners };
      this.#drawPane(context, this.painters[column], this.viewport, pane, left, how);
    }
  }

  #drawPane(context, painter, viewport, pane, left, { heat, density, corners }) {
    const { film } = this;
    context.save();
    context.beginPath();
    context.rect(left, 0, pane.width, pane.height);
    context.clip();
    context.translate(left + pane.width / 2, pane.height / 2);
    context.save();
    viewport.applyTo(context);
    const inverted = film.inverted !== this.inverted;
    const coarse = performance.now() < this.coarseUntil;
    painter.draw(context, {
      film, viewport, pane, window: this.window, inverted, density, coarse,
    });
    if (heat && this.layer) {
      context.globalAlpha = this.opacity;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.layer, 0, 0, film.width, film.height);
    }
    context.restore();
    if (film.spacing) {
      this.ruler.draw(context, viewport, film.spacing);
      drawScaleBar(context, pane, viewport, film.spacing, corners);
    }
    context.restore();
  }
}
