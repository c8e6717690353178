// Talking to the server. The forms of the page carry what every request needs besides the
// file (a token, where the service asks for one); refusals come back as the page's own words.

import { Line } from "./line.js";

const BUSY = new Set([429, 502, 503]); // 502: a proxy while the server behind it starts anew
const ATTEMPTS = 5;
const PAUSES = [1, 2, 4, 8]; // seconds to wait where nothing answers; a restart takes a few
const SILENCE_MS = 90_000; // the server gives up its own work after 60 s, a proxy after 65 s
const SILENCE = "silence";
const SIGN_IN = "/sign-in";
const PATIENT_UNKNOWN = "patient_unknown";
const TOO_SLOW = 408; // the body did not arrive in time

const line = new Line();
let gone = false; // nothing answered through all the pauses: no film waits for it again

/** Whether the same request may be answered another time: it was not the file's fault. */
const mayPass = (status) => status === 408 || status === 429 || status >= 500;

/** The server has judged the file: it holds no film that could be shown. */
export class NoFilm extends Error {}

/** What a form would send, with the file and the fields given here instead of its own. */
function body(form, file, fields) {
  const data = new FormData();
  for (const input of form.querySelectorAll("input[type=hidden]")) {
    data.append(input.name, input.value);
  }
  for (const [name, value] of Object.entries(fields)) data.append(name, value);
  data.append("file", file, "film"); // the file's own name stays here
  return data;
}

/**
 * Send, and reject on abort, on a broken line, and where nothing moves for long. `onProgress` is
 * told the share that is up, `onUp` when all is.
 */
function post(address, data, { onProgress, onUp, signal }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    let patience;
    const alive = () => {
      clearTimeout(patience);
      patience = setTimeout(() => request.abort(), SILENCE_MS);
    };
    request.open("POST", address);
    request.setRequestHeader("Accept", "text/html, application/json;q=0.9");
    request.upload.addEventListener("progress", (event) => {
      alive();
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => {
      onUp();
      onProgress(1);
    });
    request.addEventListener("progress", alive);
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("network")));
    request.addEventListener("abort", () => reject(new Error(SILENCE)));
    const stop = () => {
      reject(new DOMException("stopped", "AbortError"));
      request.abort();
    };
    request.addEventListener("loadend", () => {
      clearTimeout(patience);
      signal.removeEventListener("abort", stop); // the list's signal outlives every request
    });
    signal.addEventListener("abort", stop);
    if (signal.aborted) {
      stop(); // the list was cleared while a busy server was waited for
      return;
    }
    alive();
    request.send(data);
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/** Whether the file can still be read: it lies where it lay, on a medium that is still there. */
export async function isThere(file) {
  // The whole: of a part Chrome says that it is empty.
  return file.arrayBuffer().then(
    () => true,
    () => false,
  );
}

/**
 * Have one file read.
 *
 * @returns {Promise<{state: string, ...}>} `done` with the server's answer, `refused` with the
 *   refusal's section and title, `later` with the same where another time may go better,
 *   `missing` when the file is no longer there, `patient` when the server must know child or
 *   adult, `signed-out` when the session has ended, or `failed` when nothing sensible came back.
 */
export async function readFilm(form, file, fields, onProgress, signal) {
  let alone = false; // on the line
  let unanswered = 0;
  let busy = 0;
  for (;;) {
    let request;
    const leave = await line.turn(file.size, { alone });
    try {
      const told = { onProgress, onUp: () => leave(true), signal };
      request = await post("/station/reading", body(form, file, fields), told);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      if (!(await isThere(file))) return { state: "missing" };
      if (error.message === SILENCE) return { state: "failed" };
      gone ||= unanswered === PAUSES.length;
      if (gone) return { state: "failed" };
      leave();
      await pause(PAUSES[unanswered]);
      unanswered += 1;
      continue;
    } finally {
      leave();
    }
    gone = false;
    if (request.status === TOO_SLOW && !alone) {
      alone = true; // others may have taken the line meanwhile
      continue;
    }
    if (request.status === 200 && isJson(request)) {
      return { state: "done", answer: JSON.parse(request.responseText) };
    }
    busy += 1;
    if (!BUSY.has(request.status) || busy === ATTEMPTS) return refusal(request);
    await pause(Number(request.getResponseHeader("Retry-After")) || 1);
  }
}

function isJson(request, kind = "json") {
  return (request.getResponseHeader("Content-Type") ?? "").startsWith(`application/${kind}`);
}

function refusal(request) {
  // Whoever is no longer signed in is sent to the page for it, and the request follows.
  if (new URL(request.responseURL).pathname === SIGN_IN) return { state: "signed-out" };
  const state = mayPass(request.status) ? "later" : "refused";
  if (isJson(request, "problem+json")) {
    // What is answered before Flask sees the request is no page (app/refusals.py).
    const { title, detail } = JSON.parse(request.responseText);
    return { state, title, detail };
  }
  const page = new DOMParser().parseFromString(request.responseText, "text/html");
  const section = page.querySelector(".refusal");
  if (!section) return { state: "failed" };
  if (section.dataset.code === PATIENT_UNKNOWN) return { state: "patient" };
  const title = section.querySelector("h1").textContent;
  return { state, section, title };
}

/**
 * The decoded pixels of a file.
 *
 * Throws NoFilm where the server has none to give, another error where it could not be asked.
 */
export async function askForFilm(form, file, signal) {
  // After what is going up, but before films that nobody is looking at.
  const leave = await line.turn(file.size, { first: true });
  let response;
  try {
    response = await fetch("/station/film", {
      method: "POST",
      headers: { Accept: "text/html" },
      body: body(form, file, {}),
      signal,
    });
  } finally {
    leave();
  }
  if (response.ok && response.headers.has("X-Film")) return response;
  const judged = !response.ok && response.status !== 401 && !mayPass(response.status);
  throw judged ? new NoFilm() : new Error("no answer"); // the sign-in page is none either
}

/** The sample radiograph as a file. */
export async function fetchSample() {
  const response = await fetch("/station/sample");
  if (!response.ok) throw new Error("no sample");
  return new File([await response.blob()], "sample.dcm", { type: "application/dicom" });
}
