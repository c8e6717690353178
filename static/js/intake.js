// How films come in: dropped anywhere (folders too), chosen, or pasted.

const HIDDEN = /^(\.|DICOMDIR$|Thumbs\.db$)/i;

// By number where there are numbers: film 10 comes after film 9.
const { compare } = new Intl.Collator(undefined, { numeric: true });

/** A file as a film, named by its path from the folder that it was in: names come more than once. */
const asFilm = (file, path = file.webkitRelativePath) => ({ file, name: path || file.name });

/** All films below a dropped entry, folder by folder. */
async function filesOf(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    return [asFilm(file, entry.fullPath.replace(/^\//, ""))];
  }
  const reader = entry.createReader();
  const files = [];
  for (;;) {
    // A reader hands out a hundred entries at a time.
    const entries = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (entries.length === 0) return files;
    for (const child of entries) files.push(...(await filesOf(child)));
  }
}

async function droppedFiles(transfer) {
  // The entries must be taken before the first await: the list is emptied after the event.
  const entries = [...transfer.items]
    .filter((item) => item.kind === "file")
    .map((item) => item.webkitGetAsEntry?.());
  if (entries.every((entry) => !entry || entry.isFile)) return asFilms(transfer.files);
  const found = [];
  for (const entry of entries.filter(Boolean)) found.push(...(await filesOf(entry).catch(() => [])));
  return inOrder(found);
}

const asFilms = (files) => [...files].map((file) => asFilm(file));

/** A file system hands out its entries in an order that means nothing. */
const inOrder = (films) => films.sort((a, b) => compare(a.name, b.name));

/**
 * Call `take(films)`, each a `file` with its `name`, whenever some come in, and `nothing()` when
 * a folder or a drop had none.
 */
export function enableIntake(root, take, nothing) {
  const zone = root.querySelector("[data-drop]");
  const own = root.querySelector("#file");
  const folder = document.querySelector("[data-folder]");
  const offer = (found) => {
    const films = found.filter(({ file }) => !HIDDEN.test(file.name));
    if (films.length > 0) take(films);
    return films.length > 0;
  };

  own.multiple = true;
  own.required = false;
  for (const input of [own, folder]) {
    input.addEventListener("change", () => {
      const films = asFilms(input.files);
      if (!offer(input === folder ? inOrder(films) : films) && input === folder) nothing();
      input.value = ""; // so that the same file can be chosen again
    });
  }
  // A quick hand, or a slow network: what was chosen before this ran.
  offer(asFilms(own.files));
  own.value = "";
  root.querySelector("[data-pick=files]").addEventListener("click", () => own.click());
  root.querySelector("[data-pick=folder]").addEventListener("click", () => folder.click());

  let depth = 0; // dragenter and dragleave come for every element on the way
  addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    zone.classList.add("over");
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    if (depth === 0) zone.classList.remove("over");
  });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    depth = 0;
    zone.classList.remove("over");
    if (!event.dataTransfer) return;
    const files = event.dataTransfer.types.includes("Files"); // not a word, nor a link
    if (!offer(await droppedFiles(event.dataTransfer)) && files) nothing();
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData) offer(asFilms(event.clipboardData.files));
  });
}
