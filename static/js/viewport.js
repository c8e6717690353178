// Where the film lies on the screen: pure geometry, in CSS pixels and film pixels.

const LARGEST = 16; // screen pixels per film pixel
const SMALLEST = 0.02;
const QUARTER = Math.PI / 2;

export class Viewport {
  /** @param {number} width @param {number} height of the film, in its pixels */
  constructor(width, height) {
    this.film = { width, height };
    this.rotation = 0; // quarters, clockwise
    this.scale = 1;
    this.centre = { x: width / 2, y: height / 2 };
    this.fitted = true;
  }

  /** The whole film within a pane of this size. */
  fit(pane) {
    const turned = this.rotation % 2 === 1;
    const width = turned ? this.film.height : this.film.width;
    const height = turned ? this.film.width : this.film.height;
    this.scale = Math.min(pane.width / width, pane.height / height);
    this.centre = { x: this.film.width / 2, y: this.film.height / 2 };
    this.fitted = true;
  }

  /** Set the scale and keep the film point under `at` (from the pane's centre) in place. */
  zoomTo(scale, at = { x: 0, y: 0 }) {
    const before = this.toFilm(at);
    this.scale = Math.min(LARGEST, Math.max(SMALLEST, scale));
    const after = this.toFilm(at);
    this.centre.x += before.x - after.x;
    this.centre.y += before.y - after.y;
    this.fitted = false;
    this.keepInSight();
  }

  zoomBy(factor, at) {
    this.zoomTo(this.scale * factor, at);
  }

  /** Move the film by so many screen pixels. */
  moveBy(dx, dy) {
    const by = this.#turn({ x: dx / this.scale, y: dy / this.scale }, -this.rotation);
    this.centre.x -= by.x;
    this.centre.y -= by.y;
    this.fitted = false;
    this.keepInSight();
  }

  rotate() {
    this.rotation = (this.rotation + 1) % 4;
  }

  /** The pane's centre stays over the film: it can never be lost. */
  keepInSight() {
    this.centre.x = Math.min(this.film.width, Math.max(0, this.centre.x));
    this.centre.y = Math.min(this.film.height, Math.max(0, this.centre.y));
  }

  /** A point, from the pane's centre in CSS pixels → film pixels. */
  toFilm(point) {
    const turned = this.#turn(point, -this.rotation);
    return { x: this.centre.x + turned.x / this.scale, y: this.centre.y + turned.y / this.scale };
  }

  /** Film pixels → from the pane's centre, in CSS pixels. */
  toScreen(point) {
    const from = {
      x: (point.x - this.centre.x) * this.scale,
      y: (point.y - this.centre.y) * this.scale,
    };
    return this.#turn(from, this.rotation);
  }

  /** The part of the film that a pane shows, clamped to the film. */
  visible(pane) {
    const x = pane.width / 2;
    const y = pane.height / 2;
    const corners = [this.toFilm({ x: -x, y: -y }), this.toFilm({ x, y })];
    const [left, right] = corners.map((corner) => corner.x).sort((a, b) => a - b);
    const [top, bottom] = corners.map((corner) => corner.y).sort((a, b) => a - b);
    return {
      left: Math.max(0, left),
      top: Math.max(0, top),
      right: Math.min(this.film.width, right),
      bottom: Math.min(this.film.height, bottom),
    };
  }

  /** Make a 2D context draw in film pixels; its origin is the pane's centre. */
  applyTo(context) {
    context.rotate(this.rotation * QUARTER);
    context.scale(this.scale, this.scale);
    context.translate(-this.centre.x, -this.centre.y);
  }

  #turn(point, quarters) {
    switch (((quarters % 4) + 4) % 4) {
      case 1:
        return { x: -point.y, y: point.x };
      case 2:
        return { x: -point.x, y: -point.y };
      case 3:
        return { x: point.y, y: -point.x };
      default:
        return { x: point.x, y: point.y };
    }
  }
}
