// Taking readings along: as text, JSON, a table of the worklist, or a page to print.

import { hasEnded, stateWords } from "./states.js";

const REPORT_SIDE = 1000; // pixels of the longest side of a printed film

function save(words, name, type) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([words], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

export function saveJson(item) {
  const file = item.name.split("/").pop(); // a film of a folder is named by its path
  save(JSON.stringify(item.answer.reading, null, 2), `${file}.json`, "application/json");
}

/** One cell; a spreadsheet must not take a file's name for a formula. */
function cell(value) {
  const text = String(value ?? "");
  const tame = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(tame) ? `"${tame.replaceAll('"', '""')}"` : tame;
}

const COLUMNS = [
  ["file", (item) => item.name],
  ["decision", (item, reading) => reading?.decision ?? "no reading"],
  ["words", stateWords],
  ["infection_probability", (item, reading) => reading?.infection_probability],
  ["rule_out", (item, reading) => reading?.thresholds.rule_out],
  ["rule_in", (item, reading) => reading?.thresholds.rule_in],
  ["finding", (item, reading) => reading?.finding],
  ["warnings", (item, reading) => reading?.warnings.map((warning) => warning.code).join(" ")],
  ["model", (item, reading) => reading?.model.name],
  ["version", (item, reading) => reading?.model.version],
  ["image_sha256", (item, reading) => reading?.image.sha256],
  ["notice", (item, reading) => reading?.notice],
];

/** The finished items as a table (RFC 4180), in the order given. */
export function table(items) {
  const finished = items.filter(hasEnded);
  const rows = finished.map((item) => {
    const reading = item.state === "done" ? item.answer.reading : null;
    return COLUMNS.map(([, value]) => cell(value(item, reading))).join(",");
  });
  return `${[COLUMNS.map(([name]) => name).join(","), ...rows].join("\r\n")}\r\n`;
}

export function saveTable(items) {
  // The mark tells spreadsheets that this is UTF-8.
  save(`\ufeff${table(items)}`, "worklist.csv", "text/csv");
}

/** Copy the reading's words; true when they are in the clipboard. */
export async function copyText(item) {
  const words = item.answer.words.text;
  try {
    await navigator.clipboard.writeText(words);
    return true;
  } catch {
    return copyTheOldWay(words); // a page that came over plain HTTP has no clipboard
  }
}

function copyTheOldWay(words) {
  const field = document.createElement("textarea");
  field.value = words;
  field.className = "hidden";
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  return copied;
}

/** Put the film, as it is windowed now, and its heatmap where only the printer sees them. */
export function preparePrint(place, viewer, item, mapWords) {
  place.replaceChildren();
  if (!item) return;
  const name = document.createElement("p");
  name.className = "print-head";
  // The month as a word: 12/1 is one day here and another there.
  const when = new Date().toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
  name.textContent = `${item.name} · printed ${when}`;
  place.append(name);
  if (!viewer.film || item.state !== "done") return; // a refusal is printed in words alone
  const figures = document.createElement("div");
  figures.className = "print-films";
  const pictures = [["The film", false]];
  if (viewer.layer) pictures.push([`Where the model looked: ${mapWords}`, true]);
  for (const [words, heat] of pictures) {
    const figure = document.createElement("figure");
    const image = new Image();
    image.src = viewer.picture(REPORT_SIDE, heat);
    image.alt = words;
    const caption = document.createElement("figcaption");
    caption.textContent = words;
    figure.append(image, caption);
    figures.append(figure);
  }
  place.append(figures);
}
