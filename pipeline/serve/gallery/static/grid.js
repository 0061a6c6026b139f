// A grid of any number of tokens, of which only the rows near the window exist.

import { el, number } from "./dom.js";
import { show, thumbnail } from "./api.js";

const CAPTION = 44; // pixels below an image
const OVERSCAN = 2; // rows kept ready above and below the window
const SETTLE_MS = 90; // a cell that was there for shorter was only scrolled past, and is not worth an image
const PIXEL_ART = 128; // artworks up to this size are shown with their pixels sharp

export class Grid {
  /** `address(id)` is the link of a token. The element is `this.element`; call `destroy` when it leaves the page. */
  constructor(collection, size, address) {
    this.collection = collection;
    this.address = address;
    this.element = el("div", { class: "grid", role: "list", "aria-label": "Tokens" });
    this.element.classList.toggle("pixelated", size <= PIXEL_ART);
    this.index = { token_ids: [], ranks: [], versions: [], names: [] };
    this.cells = new Map(); // position -> element
    this.current = 0; // position that the Tab key reaches
    this.ranked = true; // a collection without traits has no rarity worth telling
    this.draw = this.draw.bind(this);
    this.onScroll = () => (this.pending ??= requestAnimationFrame(this.draw));
    this.resized = new ResizeObserver(() => this.layOut());
    this.resized.observe(this.element);
    addEventListener("scroll", this.onScroll, { passive: true });
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    this.element.addEventListener("focusin", (event) => this.onFocus(event));
  }

  destroy() {
    this.resized.disconnect();
    removeEventListener("scroll", this.onScroll);
    this.clear();
  }

  /** Show other tokens, or the same ones with newer images. */
  update(index) {
    const same = index.token_ids.length === this.index.token_ids.length && index.token_ids.every((id, n) => id === this.index.token_ids[n]);
    this.index = index;
    if (!same) {
      this.clear();
      this.current = 0;
      this.layOut();
      return;
    }
    for (const [position, cell] of this.cells) {
      if (cell.dataset.version !== this.index.versions[position]) this.fill(cell, position, 0);
      this.caption(cell, position);
    }
  }

  layOut() {
    const width = this.element.clientWidth;
    if (!width) return; // hidden while a token is open
    const style = getComputedStyle(this.element);
    this.gap = parseFloat(style.columnGap);
    const least = parseFloat(style.getPropertyValue("--cell"));
    const columns = Math.max(2, Math.floor((width + this.gap) / (least + this.gap)));
    const cell = (width - this.gap * (columns - 1)) / columns;
    if (columns !== this.columns || cell !== this.cell) this.clear();
    Object.assign(this, { columns, cell, row: cell + CAPTION + this.gap });
    const rows = Math.ceil(this.index.token_ids.length / columns);
    this.element.style.height = `${Math.max(0, rows * this.row - this.gap)}px`;
    this.draw();
  }

  draw() {
    this.pending = null;
    if (!this.columns || !this.element.isConnected || !this.element.clientWidth) return;
    const top = -this.element.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / this.row) - OVERSCAN) * this.columns;
    const last = Math.min(this.index.token_ids.length, (Math.ceil((top + innerHeight) / this.row) + OVERSCAN) * this.columns);
    for (const [position, cell] of this.cells) {
      if ((position < first || position >= last) && !cell.contains(document.activeElement)) this.remove(position, cell);
    }
    const fresh = document.createDocumentFragment();
    for (let position = first; position < last; position++) {
      if (!this.cells.has(position)) fresh.append(this.add(position));
    }
    this.element.append(fresh);
    this.drawn = true;
  }

  add(position) {
    const id = this.index.token_ids[position];
    const picture = el("span", { class: "picture" }, el("img", { alt: "", decoding: "async", draggable: "false" }));
    const cell = el(
      "a",
      { class: "cell", href: this.address(id), tabindex: position === this.current ? 0 : -1, data: { position } },
      picture,
      el("span", { class: "caption" }, el("span", { class: "name" }), el("span", { class: "rank" })),
    );
    const item = el("div", { role: "listitem", "aria-setsize": this.index.token_ids.length, "aria-posinset": position + 1 }, cell);
    const [column, row] = [position % this.columns, Math.floor(position / this.columns)];
    item.style.width = `${this.cell}px`;
    item.style.transform = `translate(${column * (this.cell + this.gap)}px, ${row * this.row}px)`;
    this.cells.set(position, cell);
    this.caption(cell, position);
    this.fill(cell, position, this.drawn ? SETTLE_MS : 0);
    return item;
  }

  caption(cell, position) {
    const [id, rank] = [this.index.token_ids[position], this.index.ranks[position]];
    const name = this.index.names[position];
    cell.querySelector(".name").textContent = name || `#${id}`;
    if (name) cell.title = `${name}, token ${id}`;
    cell.querySelector(".rank").textContent = rank && this.ranked ? `rank ${number(rank)}` : "";
    cell.setAttribute("aria-label", `Token ${id}${name ? `, ${name}` : ""}${rank ? (this.ranked ? `, rarity rank ${rank}` : "") : ", not drawn yet"}`);
  }

  /** Show the token's image when it is there, after a while in which the cell may be gone again. */
  fill(cell, position, delay) {
    const version = this.index.versions[position];
    cell.dataset.version = version;
    cell.classList.toggle("undrawn", !version);
    if (!version) return;
    const image = cell.querySelector("img");
    const width = this.cell * devicePixelRatio > 340 ? 640 : 320;
    const path = thumbnail(this.collection, this.index.token_ids[position], version, width);
    const start = () => {
      if (this.cells.get(position) !== cell) return;
      image.addEventListener("load", () => cell.classList.add("there"), { once: true });
      image.addEventListener("error", () => cell.classList.add("missing"), { once: true });
      show(image, path);
    };
    if (delay) setTimeout(start, delay);
    else start();
  }

  remove(position, cell) {
    const image = cell.querySelector("img");
    delete image.dataset.path;
    image.removeAttribute("src"); // nobody waits for it any more
    cell.parentElement.remove();
    this.cells.delete(position);
  }

  clear() {
    for (const [position, cell] of this.cells) this.remove(position, cell);
    this.drawn = false;
  }

  onFocus(event) {
    const cell = event.target.closest(".cell");
    if (cell) this.makeCurrent(Number(cell.dataset.position));
  }

  makeCurrent(position) {
    this.cells.get(this.current)?.setAttribute("tabindex", "-1");
    this.current = position;
    this.cells.get(position)?.setAttribute("tabindex", "0");
  }

  onKey(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(innerHeight / this.row)) * this.columns;
    const last = this.index.token_ids.length - 1;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns, PageUp: -page, PageDown: page };
    const target = { Home: 0, End: last }[event.key] ?? (event.key in steps ? this.current + steps[event.key] : null);
    if (target === null) return;
    event.preventDefault();
    this.focus(Math.max(0, Math.min(last, target)));
  }

  /** Move the focus to a position, wherever it is. */
  focus(position) {
    const top = this.element.getBoundingClientRect().top + scrollY + Math.floor(position / this.columns) * this.row;
    const bar = 96; // the toolbar that stays at the top
    if (top < scrollY + bar) scrollTo({ top: top - bar });
    else if (top + this.row > scrollY + innerHeight) scrollTo({ top: top + this.row - innerHeight + this.gap });
    this.draw();
    this.makeCurrent(position);
    this.cells.get(position)?.focus({ preventScroll: true });
  }
}
