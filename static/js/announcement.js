// What is announced when nothing more will come for a film, or a question must be answered.

import { hasEnded, tally, warningOf } from "./states.js";

const FEW = 5; // films, each of which is announced

const WORDS = {
  done: ({ answer: { words } }) => `${words.decision}, probability ${words.probability}`,
  refused: (item) => item.title,
  later: (item) => item.title,
  patient: () => "Child or adult?",
  failed: () => "The server did not answer",
  missing: () => "The file is no longer there",
  "signed-out": () => "You are no longer signed in",
};

/** The words for one of these items, or nothing where they would be one voice of too many. */
export function announcement(item, items, inSight) {
  const left = items.filter((other) => !hasEnded(other)).length;
  // Of many films the one in sight, every tenth and the last: nobody listens to three hundred.
  if (items.length > FEW && !inSight && left % 10 > 0) return "";
  const warning = warningOf(item) ? ` Warning: ${warningOf(item)}.` : "";
  const end = items.length > 1 ? ` ${tally(items)}.` : "";
  const rest = left > 0 ? ` ${left} left.` : end;
  return `${item.name}: ${WORDS[item.state](item)}.${warning}${rest}`;
}
