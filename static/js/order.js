// The order of the list, and which films a filter lets through.

import { hasNoReading, warningOf } from "./states.js";

// The decision comes first: models differ in how probable "uncertain" is.
const URGENCY = { infected: 4, uncertain: 2, normal: 0 };

function rank(item) {
  if (item.state === "done") {
    const { decision, infection_probability: probability } = item.answer.reading;
    return URGENCY[decision] + probability;
  }
  return hasNoReading(item) ? -2 : -1;
}

const ORDERS = {
  probability: (a, b) => rank(b) - rank(a) || a.id - b.id,
  added: (a, b) => a.id - b.id,
};

/** Put the items into the order of this name. */
export function arrange(items, name) {
  items.sort(ORDERS[name]);
}

/** Whether the filter of this name shows the item. */
export function passes(item, filter) {
  if (!filter) return true;
  if (filter === "warned") return Boolean(warningOf(item));
  if (item.state === "done") return item.answer.reading.decision === filter;
  return filter === "refused" && hasNoReading(item);
}
