// The states of a film in the worklist, and their names where the server has said nothing.

const NAMES = {
  waiting: "Waiting",
  patient: "Child or adult?",
  failed: "No answer",
  missing: "File no longer there",
  "signed-out": "Signed out",
};
const MAY_PASS = new Set(["later", "failed"]);
const WITHOUT_READING = new Set([...MAY_PASS, "refused", "missing", "signed-out"]);

/** Whether a reading of the film is on its way. */
export function isUnderWay(item) {
  return item.state === "waiting" || item.state === "sending";
}

/** Whether nothing more will come for the film, and it has no reading. */
export function hasNoReading(item) {
  return WITHOUT_READING.has(item.state);
}

/** Whether the film has no reading, but may get one when it is sent again. */
export function mayPass(item) {
  return MAY_PASS.has(item.state);
}

/** Whether nothing more will come for the film. */
export function hasEnded(item) {
  return item.state === "done" || hasNoReading(item);
}

/** What must be known before the film's reading is relied on, in a few words; most have none. */
export function warningOf(item) {
  return item.state === "done" ? item.answer.words.warnings[0] : undefined;
}

/** The film's state in the words of its row. */
export function stateWords(item) {
  if (item.state === "done") return item.answer.words.decision;
  if (item.title) return item.title; // the server's, of a refusal
  return NAMES[item.state] ?? (item.progress < 1 ? "Sending" : "Reading");
}

const COUNTED = [
  [(item) => item.state === "done", "read"],
  [mayPass, "without an answer"],
  [(item) => item.state === "refused", "refused"],
  [(item) => item.state === "missing", "no longer there"],
  [(item) => item.state === "signed-out", "signed out"],
  [(item) => item.state === "patient", "to be called child or adult"],
  [isUnderWay, "left"],
];

/** How many films there are in each state, in words. */
export function tally(items) {
  return COUNTED.map(([counts, words]) => [items.filter(counts).length, words])
    .filter(([count, words]) => count > 0 || words === "read")
    .map(([count, words]) => `${count} ${words}`)
    .join(", ");
}
