// The panel beside the film: the server's words about it, or how far its reading is.

import { hasNoReading, mayPass } from "./states.js";

export class Panel {
  /**
   * @param {HTMLElement} root
   * @param {(name: string) => Node} template
   */
  constructor(root, template) {
    this.template = template;
    this.find = (name) => root.querySelector(`[data-${name}]`);
    this.place = this.find("reading");
  }

  show(item, onlyProgress = false) {
    this.find("exports").hidden = item.state !== "done";
    if (item.state === "done") {
      const holder = document.createElement("template");
      holder.innerHTML = item.answer.html;
      this.place.replaceChildren(holder.content);
      this.#others(item);
    } else if (item.state === "patient" || hasNoReading(item)) {
      this.#without(item);
    } else {
      this.#progress(item, onlyProgress);
    }
  }

  clear() {
    this.place.replaceChildren();
    this.find("exports").hidden = true;
  }

  /** No reading: the server's section, or one of the page's own. */
  #without(item) {
    this.place.replaceChildren(item.section ?? this.template(item.title ? "failed" : item.state));
    if (item.detail) {
      this.find("refusal-title").textContent = item.title;
      this.find("refusal-detail").textContent = item.detail;
    }
    if (mayPass(item)) this.find("another")?.parentElement.replaceWith(this.template("again"));
  }

  #progress(item, onlyProgress) {
    if (!onlyProgress || !this.find("progress-title")) {
      this.place.replaceChildren(this.template("progress"));
    }
    const working = item.progress < 1 ? "Sending the film" : "Reading the film";
    const words = item.state === "waiting" ? "Waiting for its turn" : working;
    this.find("progress-title").textContent = words;
    const bar = this.place.querySelector("progress");
    if (item.progress < 1) bar.value = item.progress;
    else bar.removeAttribute("value");
  }

  /** The other patient groups, for a film that was read as the wrong one. */
  #others(item) {
    this.find("others").replaceChildren(
      ...item.answer.others.map(({ model, label }) => {
        const button = document.createElement("button");
        button.type = "button";
        button.className = "secondary";
        button.dataset.readAs = model;
        button.textContent = `Read as ${label.toLowerCase()}`;
        return button;
      }),
    );
  }
}
