// The heatmap of the selected film: of which class it is, and the menu that says so.

export class Heatmap {
  /**
   * @param {(name: string) => HTMLElement} find
   * @param {Viewer} viewer
   * @param {() => object} selected the item whose film is shown
   * @param {(item: object, id: string) => Promise<?string>} ask another class's map
   */
  constructor(find, viewer, selected, ask) {
    this.viewer = viewer;
    this.selected = selected;
    this.ask = ask;
    this.menu = find("map");
    this.menu.addEventListener("change", () => this.#choose(this.menu.value));
    find("map-anyway").addEventListener("click", () => {
      const item = this.selected();
      item.mapWanted = true;
      this.draw(item);
    });
  }

  /** Nothing of an earlier reading's maps stays. */
  forget(item) {
    Object.assign(item, { map: null, otherLayer: null, mapWanted: false });
    if (item === this.selected()) this.viewer.setLayer(null);
  }

  async draw(item) {
    if (item.state !== "done" || !item.answer.layer || !this.viewer.film) return;
    const { maps, map_at_once: atOnce, layer } = item.answer;
    const image = new Image();
    image.src = item.otherLayer ?? layer;
    await image.decode();
    if (item !== this.selected()) return;
    this.menu.replaceChildren(...maps.map(({ id, label }) => new Option(label, id)));
    this.menu.value = item.map ?? maps[0].id;
    this.viewer.setLayer(image, !atOnce && !item.mapWanted);
  }

  /** Another class's map: the same reading again, of which only the map is taken. */
  async #choose(id) {
    const item = this.selected();
    try {
      const layer = await this.ask(item, id);
      if (!layer) return;
      Object.assign(item, { map: id, mapWanted: true, otherLayer: layer });
    } catch {
      return; // the list was cleared meanwhile
    }
    if (item === this.selected()) await this.draw(item);
  }
}
