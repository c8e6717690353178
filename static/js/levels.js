// Grey levels: what value is shown how bright. Pure arithmetic on plain arrays.

/** A window as its middle and width, in pixel values; the width keeps the sign. */
export function middleAndWidth({ black, white }) {
  return { middle: (black + white) / 2, width: white - black };
}

/** The reverse of `middleAndWidth`. */
export function windowOf(middle, width) {
  return { black: middle - width / 2, white: middle + width / 2 };
}

/**
 * One RGBA word for each possible pixel value.
 *
 * @param {number} entries 256 or 65536
 * @param {{black: number, white: number}} window
 * @param {boolean} inverted
 * @returns {Uint32Array} little-endian words for ImageData
 */
export function greyTable(entries, window, inverted) {
  const table = new Uint32Array(entries);
  const span = window.white - window.black;
  for (let value = 0; value < entries; value += 1) {
    const position = span === 0 ? Number(value > window.black) : (value - window.black) / span;
    const share = Math.min(1, Math.max(0, position));
    const grey = Math.round((inverted ? 1 - share : share) * 255);
    table[value] = (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;
  }
  return table;
}

/** The values below which the given shares of the pixels lie. */
export function percentiles(data, entries, shares) {
  const counts = new Uint32Array(entries);
  for (let index = 0; index < data.length; index += 1) counts[data[index]] += 1;
  return shares.map(function (share) {
    let left = share * data.length;
    for (let value = 0; value < entries; value += 1) {
      left -= counts[value];
      if (left <= 0) return value;
    }
    return entries - 1;
  });
}
