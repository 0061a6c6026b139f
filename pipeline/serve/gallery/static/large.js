// The picture alone, as large as the window or the whole screen, at the size that the screen has pixels for.

import { el } from "./dom.js";
import { locked, show, thumbnail } from "./api.js";
import { at } from "./places.js";

const PIXEL_ART = 128;

/** Let an image choose among the sizes there are of a token's picture; without a way to choose it is the whole one. */
export function showAtItsSize(image, about, token, sizes) {
  const own = token.provenance.size;
  const version = token.thumbnail?.split("/").at(-2);
  const pixelArt = own && own <= PIXEL_ART;
  image.classList.toggle("pixelated", Boolean(pixelArt));
  if (locked() || pixelArt || !version || !own || !token.widths.length) return show(image, token.image);
  const smaller = token.widths.map((width) => [at(thumbnail(about.id, token.token_id, version, width)), width]);
  const all = [...smaller, [at(token.image), own]].sort((one, another) => one[1] - another[1]);
  image.sizes = sizes;
  image.srcset = all.map(([address, width]) => `${address} ${width}w`).join(", ");
  image.addEventListener("error", () => {
    if (!image.srcset) return;
    image.removeAttribute("srcset"); // one of them cannot be made here: the picture itself is always there
    show(image, token.image);
  });
}

/** Links that save a picture: as it is on IPFS, and the largest that is drawn again. */
export function downloads(about, token) {
  if (!token.image || locked()) return [];
  const name = `${about.slug}-${token.token_id}`;
  const version = token.thumbnail?.split("/").at(-2);
  const largest = Math.max(0, ...token.widths);
  const links = [el("a", { href: at(token.image), download: name, class: "button" }, "Download")];
  if (version && largest > token.provenance.size) {
    links.push(el("a", { href: at(thumbnail(about.id, token.token_id, version, largest)), download: `${name}-${largest}.webp`, class: "button", title: "drawn again from its seed" }, `${largest} px`));
  }
  return links;
}

export class LargeView {
  constructor(about, token) {
    this.about = about;
    this.token = token;
    this.stage = el("div", { class: "stage", onclick: () => this.close() });
    this.fullButton = el("button", { type: "button", onclick: () => this.wholeScreen(), hidden: !document.fullscreenEnabled }, "Full screen");
    this.element = el(
      "dialog",
      { class: "zoom", "aria-label": `${token.name}, the image alone` },
      this.stage,
      el("div", { class: "tools" }, this.fullButton, ...downloads(about, token), el("button", { type: "button", onclick: () => this.close() }, "Close")),
    );
    this.element.addEventListener("close", () => document.fullscreenElement && document.exitFullscreen());
    this.element.addEventListener("fullscreenchange", () => this.tell());
  }

  get isOpen() {
    return this.element.open;
  }

  open() {
    if (!this.token.image) return;
    if (!this.stage.childElementCount) {
      const image = el("img", { alt: this.token.name });
      showAtItsSize(image, this.about, this.token, "min(100vw, 100vh)");
      this.stage.append(image);
    }
    this.element.showModal();
  }

  close() {
    this.element.close();
  }

  async wholeScreen() {
    try {
      await (document.fullscreenElement ? document.exitFullscreen() : this.element.requestFullscreen());
    } catch {
      // the browser does not let a page have the screen: the window is what there is
    }
  }

  tell() {
    this.fullButton.textContent = document.fullscreenElement ? "Leave full screen" : "Full screen";
  }

  onKey(event) {
    if (event.key === "z") this.close();
    else if (event.key === "f") this.wholeScreen();
    else return;
    event.preventDefault();
  }
}
