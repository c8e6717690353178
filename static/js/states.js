// The states of a film in the worklist, and their names where the server has said nothing.

const NAMES = {
  waiting: "Waiting",
  patient: "Child or adult?",
  failed: "No answer",
  "signed-out": "Signed out",
};
const WITHOUT_READING = new Set(["refused", "failed", "signed-out"]);

/** Whether nothing more will come for the film, and it has no reading. */
export function hasNoReading(item) {
  return WITHOUT_READING.has(item.state);
}

/** Whether nothing more will come for the film. */
export function hasEnded(item) {
  return item.state === "done" || hasNoReading(item);
}

/** The film's state in the words of its row. */
export function stateWords(item) {
  if (item.state === "done") return item.answer.words.decision;
  if (item.state === "refused") return item.title;
  return NAMES[item.state] ?? (item.progress < 1 ? "Sending" : "Reading");
}
