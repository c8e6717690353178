// The keyboard: one table, which the keys and the help both come from.

/** key(s) → what it says in the help → what it does. */
function tableOf({ viewer, controls, worklist, dialog, addFilms, copyReading }) {
  return [
    ["ArrowUp ArrowDown", "Previous, next film", (event) => worklist.step(event.key)],
    ["+ =", "Larger", () => viewer.zoomIn()],
    ["- −", "Smaller", () => viewer.zoomOut()],
    ["f", "Fit the film", () => viewer.fit()],
    ["1", "One film pixel for each screen pixel", () => viewer.actual()],
    ["Shift+Arrow", "Move the film", (event) => move(viewer, event.key)],
    ["w", "Drag to window", () => viewer.setTool("window")],
    ["p", "Drag to move", () => viewer.setTool("pan")],
    ["l", "Measure a length", () => viewer.setTool("ruler")],
    ["d", "Darker", () => viewer.changeWindow(0.03, 0)],
    ["u", "Brighter", () => viewer.changeWindow(-0.03, 0)],
    ["c", "More contrast", () => viewer.changeWindow(0, -0.05)],
    ["x", "Less contrast", () => viewer.changeWindow(0, 0.05)],
    ["n", "Next preset of the window", () => controls.nextPreset()],
    ["i", "Invert", () => viewer.invert()],
    ["r", "Rotate by a quarter", () => viewer.rotate()],
    ["h", "Heatmap on or off", () => viewer.setView(viewer.view === "heatmap" ? "film" : "heatmap")],
    ["s", "Side by side", () => viewer.setView("both")],
    ["b", "Blink; again: switch by hand", () => blink(viewer)],
    ["o", "Heatmap fainter", () => controls.setOpacity(viewer.opacity - 0.1)],
    ["O", "Heatmap stronger", () => controls.setOpacity(viewer.opacity + 0.1)],
    ["Escape", "Back to how the film came", () => viewer.reset()],
    ["a", "Add films", addFilms],
    ["t", "Copy the reading as text", copyReading],
    ["?", "This help", () => dialog.showModal()],
  ];
}

const STEP = 40; // CSS pixels that one press moves the film

function move(viewer, key) {
  const across = { ArrowLeft: STEP, ArrowRight: -STEP }[key] ?? 0;
  const down = { ArrowUp: STEP, ArrowDown: -STEP }[key] ?? 0;
  viewer.moveBy(across, down);
}

function blink(viewer) {
  if (viewer.view === "blink") viewer.blink();
  else viewer.setView("blink");
}

/** While the ruler is the tool and the film has the focus, arrows and Enter measure. */
function measureByKey(viewer, event) {
  if (viewer.tool !== "ruler" || document.activeElement !== viewer.canvas) return false;
  if (!viewer.film?.spacing || (event.key !== "Enter" && !event.key.startsWith("Arrow"))) {
    return false;
  }
  const { ruler, viewport } = viewer;
  ruler.cursor ??= { ...viewport.centre };
  const at = viewport.toScreen(ruler.cursor);
  const by = event.shiftKey ? 20 : 2;
  if (event.key === "ArrowLeft") at.x -= by;
  if (event.key === "ArrowRight") at.x += by;
  if (event.key === "ArrowUp") at.y -= by;
  if (event.key === "ArrowDown") at.y += by;
  ruler.cursor = viewport.toFilm(at);
  if (event.key === "Enter") ruler.place(ruler.cursor);
  viewer.measured();
  return true;
}

const TYPING = "input:not([type=checkbox], [type=range], [type=radio]), select, textarea, dialog";
const HAS_OWN_ARROWS = "input[type=range], input[type=radio]";

function isForThePage(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return false;
  if (event.key.startsWith("Arrow") && event.target.closest?.(HAS_OWN_ARROWS)) return false;
  return !event.target.closest?.(TYPING);
}

export function enableShortcuts(parts) {
  const { viewer, worklist, dialog } = parts;
  const shortcuts = tableOf(parts);
  const letters = dialog.querySelector("[data-keys-on]");
  const list = dialog.querySelector("[data-shortcuts]");
  for (const [keys, words] of shortcuts) {
    const row = document.createElement("div");
    const term = document.createElement("dt");
    for (const key of keys.split(" ")) {
      const kbd = document.createElement("kbd");
      kbd.textContent = { Escape: "Esc", ArrowUp: "↑", ArrowDown: "↓" }[key] ?? key;
      term.append(kbd, " ");
    }
    const meaning = document.createElement("dd");
    meaning.textContent = words;
    row.append(term, meaning);
    list.append(row);
  }

  document.querySelector("[data-do=help]").addEventListener("click", () => dialog.showModal());
  addEventListener("keydown", (event) => {
    if (!isForThePage(event) || worklist.items.length === 0) return;
    if (measureByKey(viewer, event)) {
      event.preventDefault();
      return;
    }
    // WCAG 2.1.4: single-letter shortcuts can be switched off.
    if (event.key.length === 1 && !letters.checked && event.key !== "?") return;
    const wanted = event.shiftKey && event.key.startsWith("Arrow") ? "Shift+Arrow" : event.key;
    const found =
      shortcuts.find(([keys]) => keys.split(" ").includes(wanted)) ??
      shortcuts.find(([keys]) => keys === wanted.toLowerCase());
    if (!found) return;
    event.preventDefault();
    found[2](event);
  });
}
