// Measuring on the film: two points, a distance in millimetres, and a bar for the scale.

const BARS_MM = [200, 100, 50, 20, 10, 5, 2, 1];
const WIDEST_BAR = 160; // CSS pixels
const LABEL_ROOM = 70; // beside the bar
const APART = 12; // of the bar and the words in the corners
const FONT = "600 14px system-ui, sans-serif";

/** Millimetres between two points of the film. */
export function distance(from, to, spacing) {
  return Math.hypot((to.x - from.x) * spacing.column, (to.y - from.y) * spacing.row);
}

/** A distance in words that say in which plane it was taken. */
export function distanceWords(millimetres, spacing) {
  const plane = spacing.plane === "detector" ? " at the detector" : "";
  return `${millimetres.toFixed(1)} mm${plane}`;
}

/** The longest bar of a round length that fits: its millimetres and CSS pixels. */
function scaleBar(viewport, spacing, widest) {
  const across = viewport.rotation % 2 === 0 ? spacing.column : spacing.row;
  const pixels = (millimetres) => (millimetres / across) * viewport.scale;
  const millimetres = BARS_MM.find((length) => pixels(length) <= widest) ?? BARS_MM.at(-1);
  return { millimetres, pixels: pixels(millimetres) };
}

export class Ruler {
  from = null;
  to = null;
  cursor = null; // where the next point would go, when placed by keyboard

  clear() {
    Object.assign(this, { from: null, to: null, cursor: null });
  }

  /** What is measured now, to come back to. */
  get points() {
    return { from: this.from, to: this.to };
  }

  /** As it was: a press that became something else measures nothing. */
  takeBack({ from, to }) {
    Object.assign(this, { from, to, cursor: null });
  }

  /** Place the first point, or the second one. */
  place(point) {
    if (this.from && !this.to) {
      this.to = { ...point };
    } else {
      this.from = { ...point };
      this.to = null;
    }
  }

  draw(context, viewport, spacing) {
    const end = this.to ?? this.cursor;
    if (this.from && end) {
      const a = viewport.toScreen(this.from);
      const b = viewport.toScreen(end);
      stroke(context, () => {
        context.moveTo(a.x, a.y);
        context.lineTo(b.x, b.y);
        for (const point of [a, b]) cross(context, point, 5);
      });
      const words = distanceWords(distance(this.from, end, spacing), spacing);
      label(context, words, { x: (a.x + b.x) / 2 + 8, y: (a.y + b.y) / 2 - 8 });
    }
    if (this.cursor) stroke(context, () => cross(context, viewport.toScreen(this.cursor), 9));
  }
}

function cross(context, { x, y }, arm) {
  context.moveTo(x - arm, y);
  context.lineTo(x + arm, y);
  context.moveTo(x, y - arm);
  context.lineTo(x, y + arm);
}

function stroke(context, path) {
  // Dark under light, so that it shows on bone and on air.
  for (const [colour, width] of [
    ["#000", 4],
    ["#ffe08a", 1.5],
  ]) {
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.beginPath();
    path();
    context.stroke();
  }
}

function label(context, words, { x, y }) {
  context.font = FONT;
  context.strokeStyle = "#000";
  context.lineWidth = 4;
  context.lineJoin = "round";
  context.strokeText(words, x, y);
  context.fillStyle = "#ffe08a";
  context.fillText(words, x, y);
}

/**
 * The bar in the lower middle of a pane whose origin is its centre; above the words in the lower
 * corners, which are so wide and high, where it would meet them.
 */
export function drawScaleBar(context, pane, viewport, spacing, corners) {
  const bar = scaleBar(viewport, spacing, Math.min(WIDEST_BAR, pane.width - 2 * LABEL_ROOM));
  const words = `${bar.millimetres} mm`;
  context.font = FONT;
  const reach = bar.pixels / 2 + 8 + context.measureText(words).width;
  const meets = reach > pane.width / 2 - corners.width - APART;
  const y = pane.height / 2 - 14 - (meets ? corners.height : 0);
  const x = -bar.pixels / 2;
  stroke(context, () => {
    context.moveTo(x, y);
    context.lineTo(x + bar.pixels, y);
    for (const end of [x, x + bar.pixels]) {
      context.moveTo(end, y - 5);
      context.lineTo(end, y + 5);
    }
  });
  label(context, words, { x: x + bar.pixels + 8, y: y + 5 });
}
