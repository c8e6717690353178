// The buttons, sliders and corner texts around the film, kept true to the viewer.

import { middleAndWidth, windowOf } from "./levels.js";
import { distance, distanceWords } from "./ruler.js";

const VIEWER_WORDS = {
  asFiled: "As filed",
  full: "Full range",
  auto: "Auto contrast",
  dark: "Dark parts (lungs)",
  bright: "Bright parts (bones)",
  byHand: "By hand",
};

/** The windows that can be chosen for a film: its own, and some from its grey levels. */
function presetsOf(film) {
  const own = film.windows.map((window, index) => ({
    words: index === 0 ? VIEWER_WORDS.asFiled : `${VIEWER_WORDS.asFiled}, ${index + 1}`,
    window,
  }));
  const [least, low, dark, middle, high, most] = film.percentiles(0, 0.01, 0.03, 0.6, 0.99, 1);
  const sign = Math.sign(own[0].window.white - own[0].window.black) || 1;
  // Where small values show bright (inverted, or turned by the slope), dark parts are large.
  const turned = film.inverted !== sign < 0;
  const between = (black, white) =>
    sign > 0 ? { black, white } : { black: white, white: black };
  const lower = { words: turned ? VIEWER_WORDS.bright : VIEWER_WORDS.dark };
  const upper = { words: turned ? VIEWER_WORDS.dark : VIEWER_WORDS.bright };
  const derived = [
    { words: VIEWER_WORDS.auto, window: between(low, high) },
    { ...lower, window: between(dark, middle) },
    { ...upper, window: between(middle, most) },
    { words: VIEWER_WORDS.full, window: between(least, most) },
  ];
  return [...own, ...derived.filter(({ window }) => window.black !== window.white)];
}

/** What the menu says of a window that is no preset; nobody can choose it. */
function byHand() {
  const option = new Option(VIEWER_WORDS.byHand, "");
  option.hidden = true;
  return option;
}

export class Controls {
  constructor(root, viewer) {
    this.root = root;
    this.viewer = viewer;
    this.presets = [];
    this.find = (name) => root.querySelector(`[data-${name}]`);
    for (const button of root.querySelectorAll("[data-tool]")) {
      button.addEventListener("click", () => viewer.setTool(button.dataset.tool));
    }
    for (const button of root.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => viewer.setView(button.dataset.view));
    }
    for (const name of ["zoomIn", "zoomOut", "fit", "actual", "invert", "rotate", "reset"]) {
      root.querySelector(`[data-do=${name}]`).addEventListener("click", () => viewer[name]());
    }
    this.find("opacity").addEventListener("input", (event) => {
      viewer.setOpacity(Number(event.target.value) / 100);
    });
    for (const name of ["level", "width"]) {
      this.find(name).addEventListener("input", () => this.#windowFromSliders());
    }
    this.find("preset").addEventListener("change", () => {
      this.#apply(Number(this.find("preset").value));
    });
    // Without a film nothing here does anything, but the focus stays where it is.
    this.filmTools = [...root.querySelectorAll(".tools :is(button, input, select):not(.help)")];
    const idle = (event) => {
      if (event.target.closest("[aria-disabled=true]")) event.stopImmediatePropagation();
    };
    for (const kind of ["click", "input", "change"]) root.addEventListener(kind, idle, true);
    const corners = [this.find("levels"), this.find("scale")];
    const measure = new ResizeObserver(() => {
      const most = (size) => Math.max(...corners.map((corner) => corner[size]));
      viewer.keepClear({ width: most("offsetWidth"), height: most("offsetHeight") });
    });
    for (const corner of corners) measure.observe(corner);
  }

  /** A new film: its presets and the reach of the sliders. */
  filmChanged() {
    const { film } = this.viewer;
    this.presets = film ? presetsOf(film) : [];
    this.find("preset").replaceChildren(
      ...this.presets.map(({ words }, index) => new Option(words, String(index))),
      ...(film ? [byHand()] : []),
    );
    if (film) {
      const [least, most] = film.percentiles(0, 1);
      const [black, white] = [film.windows[0].black, film.windows[0].white];
      const low = Math.min(least, black, white);
      const high = Math.max(most, black, white);
      Object.assign(this.find("level"), { min: low, max: high });
      Object.assign(this.find("width"), { min: 1, max: Math.max(2, 2 * (high - low)) });
    }
    this.update();
  }

  nextPreset() {
    if (this.presets.length === 0) return;
    const { value } = this.find("preset");
    const next = value === "" ? 0 : (Number(value) + 1) % this.presets.length;
    this.find("preset").value = String(next);
    this.#apply(next);
  }

  setOpacity(opacity) {
    this.viewer.setOpacity(opacity);
    this.find("opacity").value = String(Math.round(this.viewer.opacity * 100));
  }

  /** What the viewer's state looks like in the controls. */
  update() {
    const { viewer } = this;
    const pressed = (name, value) => {
      for (const button of this.root.querySelectorAll(`[data-${name}]`)) {
        button.setAttribute("aria-pressed", String(button.dataset[name] === value));
      }
    };
    pressed("tool", viewer.tool);
    pressed("view", viewer.view);
    this.root.querySelector("[data-do=invert]").setAttribute("aria-pressed", viewer.inverted);
    const heat = viewer.view !== "film";
    const drawn = heat && Boolean(viewer.layer);
    this.find("hint").hidden = heat;
    this.find("heat-tools").hidden = !drawn && !(heat && viewer.layerAwaited);
    this.find("map-awaited").hidden = !heat || !viewer.layerAwaited;
    this.find("legend").hidden = !drawn;
    this.find("no-map").hidden = !heat || drawn || !viewer.layerWithheld;
    this.find("heat-name").hidden = !viewer.heatShown;
    for (const tool of this.filmTools) tool.setAttribute("aria-disabled", String(!viewer.film));
    this.#ruler();
    if (!viewer.film) {
      for (const name of ["levels", "scale", "zoom"]) this.find(name).textContent = "";
      return;
    }
    this.#texts();
  }

  #texts() {
    const { film, window, viewport } = this.viewer;
    const { middle, width } = middleAndWidth(window);
    const level = middle * film.slope + film.intercept;
    const wide = Math.abs(width * film.slope);
    const number = (value) => value.toLocaleString("en", { maximumFractionDigits: 0 });
    this.find("levels").textContent = `Level ${number(level)}\nWidth ${number(wide)}`;
    const zoom = `${Math.round(viewport.scale * devicePixelRatio * 100)}%`;
    this.find("zoom").textContent = zoom;
    this.find("scale").textContent = `${film.width} × ${film.height}`;
    this.find("level").value = String(middle);
    this.find("level").setAttribute("aria-valuetext", number(level));
    this.find("width").value = String(Math.abs(width));
    this.find("width").setAttribute("aria-valuetext", number(wide));
    const same = this.presets.findIndex(
      (preset) => preset.window.black === window.black && preset.window.white === window.white,
    );
    this.find("preset").value = same < 0 ? "" : String(same);
  }

  #ruler() {
    const { film, ruler } = this.viewer;
    const button = this.root.querySelector("[data-tool=ruler]");
    button.setAttribute("aria-disabled", String(!film?.spacing));
    const measured = film?.spacing && ruler.from && ruler.to;
    const words = measured
      ? distanceWords(distance(ruler.from, ruler.to, film.spacing), film.spacing)
      : "";
    if (this.find("measured").textContent !== words) this.find("measured").textContent = words;
  }

  #windowFromSliders() {
    const { viewer } = this;
    if (!viewer.film) return;
    const sign = Math.sign(viewer.window.white - viewer.window.black) || 1;
    viewer.moving();
    const width = sign * Number(this.find("width").value);
    viewer.setWindow(windowOf(Number(this.find("level").value), width));
  }

  #apply(index) {
    this.viewer.setWindow(this.presets[index].window);
  }
}
