// The heatmap of the selected film: of which class it is, and the menu that says so. What the
// menu names is what is drawn; while another map is under way, none is.

export class Heatmap {
  /**
   * @param {(name: string) => HTMLElement} find
   * @param {Viewer} viewer
   * @param {() => object} selected the item whose film is shown
   * @param {(item: object, id: string) => Promise<?string>} ask another class's map
   * @param {(words: string) => void} announce
   */
  constructor(find, viewer, selected, ask, announce) {
    Object.assign(this, { viewer, selected, ask, announce });
    this.menu = find("map");
    this.failed = find("map-failed");
    this.legend = find("legend");
    this.menu.addEventListener("change", () => this.#choose(this.menu.value));
    find("map-anyway").addEventListener("click", () => {
      const item = this.selected();
      item.mapWanted = true;
      this.draw(item);
    });
  }

  /** Nothing of an earlier reading's maps stays. */
  forget(item) {
    Object.assign(item, { map: null, mapAsked: null, mapWanted: false, otherLayer: null });
    if (item === this.selected()) this.viewer.setLayer(null);
  }

  /** What the map shows and what it does not, for paper. */
  get words() {
    const [chosen] = this.menu.selectedOptions;
    return `${chosen?.textContent ?? ""}. ${this.legend.textContent.trim()}`;
  }

  async draw(item) {
    this.failed.hidden = true;
    if (item.state !== "done" || !item.answer.layer || !this.viewer.film) return;
    const { maps, map_at_once: atOnce } = item.answer;
    this.menu.replaceChildren(...maps.map(({ id, label }) => new Option(label, id)));
    this.menu.value = item.mapAsked ?? item.map ?? maps[0].id;
    if (item.mapAsked) {
      this.viewer.awaitLayer();
      return;
    }
    const source = item.otherLayer ?? item.answer.layer;
    const image = new Image();
    image.src = source;
    await image.decode();
    const current = item.otherLayer ?? item.answer?.layer;
    if (item !== this.selected() || item.mapAsked || source !== current) return;
    this.viewer.setLayer(image, !atOnce && !item.mapWanted);
  }

  /** Another class's map: the same reading again, of which only the map is taken. */
  async #choose(id) {
    const item = this.selected();
    item.mapAsked = id;
    this.failed.hidden = true;
    this.viewer.awaitLayer();
    const { maps, layer: first } = item.answer;
    const layer = id === maps[0].id ? first : await this.ask(item, id).catch(() => null);
    if (item.mapAsked !== id) return; // a later choice or a new reading overtook it
    item.mapAsked = null;
    if (layer) Object.assign(item, { map: id, mapWanted: true, otherLayer: layer });
    if (item !== this.selected()) return;
    await this.draw(item);
    this.failed.hidden = Boolean(layer);
    if (!layer) this.announce(this.failed.textContent);
  }
}
