// Whose films they are: the group chosen in the form, or "By file" and what was answered for
// films that say no age. The answer is shown beside the choice for as long as it goes.

export class Patients {
  constructor(form) {
    const byAge = form.querySelector("[data-by-age]");
    this.form = form;
    this.byAge = byAge?.value; // no model has this name
    this.answer = null; // a model, once somebody has said child or adult
    this.line = form.querySelector("[data-answered]");
    if (byAge && !this.chosen) byAge.checked = true;
    form.addEventListener("change", () => this.#show());
    form.querySelector("[data-ask-again]")?.addEventListener("click", () => {
      this.forget();
      byAge.focus();
    });
  }

  /** The model that the form names, `byAge`, or nothing. */
  get chosen() {
    return this.form.querySelector("input[name=model]:checked")?.value ?? "";
  }

  /** Films that say no age are this group's from now on. */
  remember(model, label) {
    this.answer = model;
    this.line.querySelector("[data-answer]").textContent = label;
    this.#show();
  }

  forget() {
    this.answer = null;
    this.#show();
  }

  #show() {
    if (this.line) this.line.hidden = !this.answer || this.chosen !== this.byAge;
  }
}
