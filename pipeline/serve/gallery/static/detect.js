// Which work a picture is: somebody drops a file, the browser reads the mark in its pixels, and nothing leaves the machine.

import { el, say } from "./dom.js";
import { collections, shelf } from "./shelf.js";
import { tokenAt } from "./places.js";
import { markOf } from "./watermark.js";

const MAX_PIXELS = 4096 * 4096;
const CREDENTIAL = [0x63, 0x61, 0x42, 0x58]; // caBX, the chunk of a PNG that holds a signed credential

export class DetectView {
  constructor() {
    this.result = el("div", { class: "found", role: "status" });
    const input = el("input", { type: "file", accept: "image/*", onchange: () => this.look(input.files[0]) });
    this.drop = el(
      "label",
      { class: "drop", ondragover: (event) => this.over(event, true), ondragleave: (event) => this.over(event, false), ondrop: (event) => this.dropped(event) },
      el("strong", {}, "Drop a picture here"),
      el("span", {}, "or choose one"),
      input,
    );
    this.element = el(
      "article",
      { class: "making" },
      el("header", { class: "marquee" }, el("h1", {}, "Whose is it?"), el("p", { class: "lede" }, "A picture of this show can carry its token in its pixels. It is read in your browser: the file goes nowhere.")),
      this.drop,
      this.result,
    );
  }

  over(event, inside) {
    event.preventDefault();
    this.drop.classList.toggle("over", inside);
  }

  dropped(event) {
    this.over(event, false);
    this.look(event.dataTransfer.files[0]);
  }

  async look(file) {
    if (!file) return;
    this.tell(el("p", {}, "Looking…"));
    try {
      const signed = holds(new Uint8Array(await file.slice(0, 1 << 16).arrayBuffer()), CREDENTIAL);
      const mark = await markOf(await pixelsOf(file));
      this.tell(mark ? await this.named(mark) : el("p", {}, "There is no mark of this show in its pixels."), signed && el("p", {}, "The file holds a signed credential: ", el("code", {}, `pipeline detect ${file.name}`), " reads it."));
    } catch (error) {
      this.tell(el("p", {}, "This browser cannot open it as a picture."));
      say(error.message);
    }
  }

  async named({ collection, token, cut }) {
    const rest = cut ? " A part of it was cut off." : "";
    for (const one of await collections()) {
      if ((await shelf.transparency(one.id)).mark !== collection) continue;
      return el("p", {}, "It is ", el("a", { href: tokenAt(one.slug, token) }, `${one.name} #${token}`), `.${rest} This is a picture of it; whoever owns it owns the token.`);
    }
    return el("p", {}, `It is number ${token} of a collection that does not hang here (${collection}).${rest}`);
  }

  tell(...parts) {
    this.result.replaceChildren(...parts.filter(Boolean));
  }
}

async function pixelsOf(file) {
  const bitmap = await createImageBitmap(file);
  if (bitmap.width * bitmap.height > MAX_PIXELS) throw new Error("It is larger than 4096 by 4096 pixels.");
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}

function holds(bytes, word) {
  return bytes.some((_, from) => word.every((letter, place) => bytes[from + place] === letter));
}
