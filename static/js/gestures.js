// What the pointer does on the film: drag with the chosen tool, move, pinch, wheel.

const WHEEL_ZOOM = 0.0015; // per pixel that the wheel turns
const CLICK_SLOP = 4; // CSS pixels

export function enableGestures(viewer) {
  const { canvas } = viewer;
  const pointers = new Map();
  let space = false;

  function place(event) {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  function filmPoint(at) {
    return viewer.viewport.toFilm(viewer.fromPaneCentre(at.x, at.y));
  }

  function drag(pointer, at) {
    const dx = at.x - pointer.x;
    const dy = at.y - pointer.y;
    viewer.moving();
    if (pointer.tool === "pan") {
      viewer.moveBy(dx, dy);
    } else if (pointer.tool === "window") {
      // As viewers do: down is darker, to the right is wider. A pane's width is the range.
      viewer.changeWindow(dy / 600, dx / 600);
    } else if (pointer.tool === "ruler" && viewer.ruler.from && !viewer.ruler.to) {
      viewer.ruler.cursor = filmPoint(at);
      viewer.redraw();
    }
  }

  /** The press was no drag of its own after all: what it did with the ruler is undone. */
  function takeBack(pointer) {
    if (pointer.tool === "ruler") {
      viewer.ruler.takeBack(pointer.before);
      viewer.measured();
    }
    pointer.tool = "pinch";
  }

  function pinch(pointer, at) {
    const [other] = [...pointers.values()].filter((each) => each !== pointer);
    const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);
    const middle = { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 };
    viewer.moving();
    viewer.moveBy((at.x - pointer.x) / 2, (at.y - pointer.y) / 2);
    const factor = apart(at, other) / Math.max(1, apart(pointer, other));
    viewer.zoomBy(factor, viewer.fromPaneCentre(middle.x, middle.y));
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (!viewer.film || event.button === 2) return;
    const at = place(event);
    for (const other of pointers.values()) takeBack(other);
    const alone = event.button === 1 || space ? "pan" : viewer.tool;
    const tool = pointers.size === 0 ? alone : "pinch";
    pointers.set(event.pointerId, { ...at, start: at, tool, before: viewer.ruler.points });
    canvas.setPointerCapture(event.pointerId);
    if (tool === "ruler") {
      viewer.ruler.place(filmPoint(at));
      viewer.ruler.cursor = null;
      viewer.measured();
    }
    if (event.button === 1) event.preventDefault();
  });

  canvas.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    const at = place(event);
    if (!pointer) {
      if (viewer.tool === "ruler" && viewer.ruler.from && !viewer.ruler.to && viewer.film) {
        viewer.ruler.cursor = filmPoint(at);
        viewer.redraw();
      }
      return;
    }
    if (pointers.size === 1) drag(pointer, at);
    else if (pointers.size === 2) pinch(pointer, at);
    pointer.x = at.x;
    pointer.y = at.y;
  });

  function release(event) {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    pointers.delete(event.pointerId);
    const at = place(event);
    const dragged = Math.hypot(at.x - pointer.start.x, at.y - pointer.start.y) > CLICK_SLOP;
    if (pointer.tool === "ruler" && viewer.ruler.from && !viewer.ruler.to && dragged) {
      viewer.ruler.place(filmPoint(at));
      viewer.ruler.cursor = null;
      viewer.measured();
    }
  }
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", (event) => {
    const pointer = pointers.get(event.pointerId);
    pointers.delete(event.pointerId);
    if (pointer) takeBack(pointer);
  });

  canvas.addEventListener(
    "wheel",
    (event) => {
      if (!viewer.film) return;
      event.preventDefault();
      const at = place(event);
      const pixels = event.deltaMode === 1 ? event.deltaY * 30 : event.deltaY;
      viewer.moving();
      viewer.zoomBy(Math.exp(-pixels * WHEEL_ZOOM), viewer.fromPaneCentre(at.x, at.y));
    },
    { passive: false },
  );
  canvas.addEventListener("dblclick", () => viewer.tool !== "ruler" && viewer.fit());
  canvas.addEventListener("auxclick", (event) => event.preventDefault());

  addEventListener("keydown", (event) => {
    if (event.code === "Space" && document.activeElement === canvas) {
      space = true;
      event.preventDefault();
    }
  });
  addEventListener("keyup", (event) => {
    if (event.code === "Space") space = false;
  });
}
