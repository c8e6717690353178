// Talking to the server. The forms of the page carry what every request needs besides the
// file (a token, where the service asks for one); refusals come back as the page's own words.

const BUSY = new Set([429, 503]);
const ATTEMPTS = 5;
const PATIENT_UNKNOWN = "patient_unknown";

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

function post(address, data, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch does not tell how far an upload is
    request.open("POST", address);
    request.setRequestHeader("Accept", "text/html, application/json;q=0.9");
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) onProgress(event.loaded / event.total);
    });
    request.upload.addEventListener("load", () => onProgress(1));
    request.addEventListener("load", () => resolve(request));
    request.addEventListener("error", () => reject(new Error("network")));
    signal.addEventListener("abort", () => {
      request.abort();
      reject(new DOMException("stopped", "AbortError"));
    });
    request.send(data);
  });
}

const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/**
 * Have one file read.
 *
 * @returns {Promise<{state: string, ...}>} `done` with the server's answer, `refused` with the
 *   refusal's section and title, `patient` when the server must know child or adult, or
 *   `signed-out` when the session has ended, or `failed` when nothing sensible came back.
 */
export async function readFilm(form, file, fields, onProgress, signal) {
  for (let attempt = 1; ; attempt += 1) {
    let request;
    try {
      request = await post("/station/reading", body(form, file, fields), onProgress, signal);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      return { state: "failed" };
    }
    if (request.status === 200 && isJson(request)) {
      return { state: "done", answer: JSON.parse(request.responseText) };
    }
    if (!BUSY.has(request.status) || attempt === ATTEMPTS) return refusal(request);
    await pause(Number(request.getResponseHeader("Retry-After")) || 1);
  }
}

function isJson(request) {
  return (request.getResponseHeader("Content-Type") ?? "").startsWith("application/json");
}

function refusal(request) {
  // Whoever is no longer signed in is sent to the page for it, and the request follows.
  if (new URL(request.responseURL).pathname === "/sign-in") return { state: "signed-out" };
  const page = new DOMParser().parseFromString(request.responseText, "text/html");
  const section = page.querySelector(".refusal");
  if (!section) return { state: "failed" };
  if (section.dataset.code === PATIENT_UNKNOWN) return { state: "patient" };
  const title = section.querySelector("h1").textContent;
  return { state: "refused", section, title, code: section.dataset.code };
}

/** The decoded pixels of a file, or an error when the server has none to give. */
export async function askForFilm(form, file) {
  const response = await fetch("/station/film", {
    method: "POST",
    headers: { Accept: "text/html" },
    body: body(form, file, {}),
  });
  if (!response.ok || !response.headers.has("X-Film")) throw new Error("no film");
  return response;
}

/** The sample radiograph as a file. */
export async function fetchSample() {
  const response = await fetch("/station/sample");
  if (!response.ok) throw new Error("no sample");
  return new File([await response.blob()], "sample.dcm", { type: "application/dicom" });
}
