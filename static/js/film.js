// A film's pixels: decoded by the browser where it can, by the server where it cannot
// (DICOM, TIFF, 16-bit PNG), and kept in ever smaller copies so that drawing stays quick.

import { percentiles } from "./levels.js";

const SMALLEST_SIDE = 300;
const PNG_DEPTH = 24; // offset of the bit depth in a PNG's header (ISO/IEC 15948, 11.2.2)

/** Whether the file is a picture that the browser shows itself, and completely. */
export async function isPlainPicture(file) {
  const head = new Uint8Array(await file.slice(0, 32).arrayBuffer());
  const starts = (...bytes) => bytes.every((byte, index) => head[index] === byte);
  if (starts(0xff, 0xd8, 0xff)) return true; // JPEG
  if (starts(0x89, 0x50, 0x4e, 0x47)) return head[PNG_DEPTH] <= 8;
  if (starts(0x42, 0x4d)) return true; // BMP
  return starts(0x52, 0x49, 0x46, 0x46) && head[8] === 0x57; // WebP
}

/** A small picture for the worklist, or null where the browser cannot make one. */
export async function thumbnail(file, side) {
  try {
    if (!(await isPlainPicture(file))) return null;
    const bitmap = await createImageBitmap(file);
    const scale = side / Math.max(bitmap.width, bitmap.height);
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    bitmap.close();
    return canvas;
  } catch {
    return null;
  }
}

export class Film {
  constructor({ data, width, height, bits, windows, inverted, slope, intercept, spacing }) {
    this.width = width;
    this.height = height;
    this.entries = bits === 16 ? 65536 : 256;
    this.windows = windows.map(([black, white]) => ({ black, white }));
    this.inverted = inverted;
    this.slope = slope;
    this.intercept = intercept;
    this.spacing = spacing;
    this.copies = [{ data, width, height }];
  }

  /** The copy that is half as large, again and again; 0 is the film itself. */
  copy(number) {
    while (this.copies.length <= number) this.copies.push(halved(this.copies.at(-1)));
    return this.copies[number];
  }

  get smallest() {
    const side = Math.min(this.width, this.height);
    return Math.max(0, Math.floor(Math.log2(side / SMALLEST_SIDE)));
  }

  /** The values at these shares of the film's pixels. */
  percentiles(...shares) {
    return percentiles(this.copy(this.smallest).data, this.entries, shares);
  }
}

function halved({ data, width, height }) {
  const columns = Math.max(1, width >> 1);
  const rows = Math.max(1, height >> 1);
  const half = new data.constructor(columns * rows);
  for (let row = 0; row < rows; row += 1) {
    let above = 2 * row * width;
    let below = above + (height > 1 ? width : 0);
    for (let index = row * columns; index < (row + 1) * columns; index += 1) {
      half[index] = (data[above] + data[above + 1] + data[below] + data[below + 1] + 2) >> 2;
      above += 2;
      below += 2;
    }
  }
  return { data: half, width: columns, height: rows };
}

/** Decode a file for the viewer. `ask()` posts it to the server's film address. */
export async function loadFilm(file, ask) {
  if (await isPlainPicture(file)) {
    try {
      return fromBitmap(await createImageBitmap(file));
    } catch {
      // The server is the judge of what can be read, not this browser.
    }
  }
  return fromServer(await ask());
}

function fromBitmap(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const words = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const data = new Uint8Array(width * height);
  for (let index = 0; index < data.length; index += 1) {
    const word = words[index];
    const red = word & 255;
    const green = (word >> 8) & 255;
    const blue = (word >> 16) & 255;
    data[index] = (77 * red + 150 * green + 29 * blue) >> 8; // ITU-R BT.601
  }
  return new Film({
    data,
    width,
    height,
    bits: 8,
    windows: [[0, 255]],
    inverted: false,
    slope: 1,
    intercept: 0,
    spacing: null,
  });
}

async function fromServer(response) {
  const described = JSON.parse(response.headers.get("X-Film"));
  const bytes = await response.arrayBuffer();
  const data = described.bits === 16 ? new Uint16Array(bytes) : new Uint8Array(bytes);
  return new Film({ data, ...described });
}
