// One row of the list: what it looks like for an item in its state.

import { hasNoReading, stateWords, warningOf } from "./states.js";

/** An empty row; `fillRow` says the rest. */
export function makeRow(item, template) {
  const row = document.createElement("div");
  row.className = "film";
  row.id = `film-${item.id}`;
  row.setAttribute("role", "option");
  row.setAttribute("aria-selected", "false");
  const picture = document.createElement("span");
  picture.className = "thumb";
  picture.append(template("film-icon").firstElementChild);
  const name = document.createElement("span");
  name.className = "name";
  name.textContent = item.name;
  name.title = item.name;
  const words = document.createElement("span");
  words.className = "words";
  const figure = document.createElement("b");
  figure.className = "figure-small";
  row.append(picture, name, figure, words);
  return row;
}

/** Bring the item's row up to date; nothing is touched where nothing has changed. */
export function fillRow(item, template) {
  const { row } = item;
  const key = [item.state, item.progress, Boolean(item.thumbnail)].join();
  if (row.dataset.key === key) return;
  row.dataset.key = key;
  row.className = item.state === "done" ? `film decision-${item.answer.reading.decision}` : "film";
  if (item.thumbnail) row.querySelector(".thumb").replaceChildren(item.thumbnail);
  row.querySelector(".words").replaceChildren(...wordsOf(item, template));
  row.querySelector("b").textContent = item.state === "done" ? item.answer.words.probability : "";
}

function wordsOf(item, template) {
  const icon = (name) => template(name).firstElementChild;
  const words = stateWords(item);
  if (item.state === "done") {
    const decision = [icon(`decision-${item.answer.reading.decision}`), words];
    return warningOf(item) ? [...decision, warned(warningOf(item), icon)] : decision;
  }
  if (hasNoReading(item)) return [icon("refused-icon"), words];
  if (item.state !== "sending") return [words];
  const bar = document.createElement("progress");
  bar.max = 1;
  if (item.progress < 1) bar.value = item.progress;
  bar.setAttribute("aria-hidden", "true");
  return [words, bar];
}

function warned(title, icon) {
  const warning = document.createElement("span");
  warning.className = "warned";
  warning.append(icon("warning-icon"), title);
  return warning;
}
