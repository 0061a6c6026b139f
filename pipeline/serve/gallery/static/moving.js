// What moves beside a token's image: a video, a sound, a model, a page. Nothing of it is loaded before it is asked for.

import { el } from "./dom.js";
import { locked, source } from "./api.js";
import { IN_FOLDER } from "./places.js";

const VERBS = { video: "Play the video", audio: "Play the sound", page: "Run the page", picture: "Show it move" };

export class Moving {
  /** `frame` is where the token's image is; `this.element` has the button, and a player of sound. */
  constructor(token, frame) {
    this.token = token;
    this.frame = frame;
    this.image = [...frame.childNodes];
    this.element = el("div", { class: "moving" }, this.controls());
  }

  controls() {
    const { animation } = this.token;
    if (!animation) return [];
    if (animation.kind === "elsewhere") return [el("p", { class: "muted" }, "It has an animation elsewhere, which this page does not load: see Content.")];
    if (!animation.path) return IN_FOLDER && animation.kind === "page" ? [el("p", { class: "muted" }, "It has a page of its own, which runs at the gateway: see Content.")] : [];
    if (animation.kind === "model") return this.model();
    if (animation.kind === "page" && locked()) return [el("p", { class: "muted" }, "Its page runs only where reading needs no token, or at the gateway: see Content.")];
    this.button = el("button", { type: "button", "aria-pressed": "false", onclick: () => (this.player ? this.stop() : this.start()) }, VERBS[animation.kind]);
    return [this.button];
  }

  model() {
    const { animation, token_id } = this.token;
    const save = async () => {
      const link = el("a", { download: `${token_id}.glb` });
      link.href = await source(animation.path);
      link.click();
    };
    return [el("button", { type: "button", onclick: save }, "Save the 3D model (GLB)")];
  }

  async start() {
    const { animation, name } = this.token;
    const address = await source(animation.path);
    const failed = () => this.fail();
    if (animation.kind === "page") {
      this.player = el("iframe", { sandbox: "allow-scripts", referrerpolicy: "no-referrer", title: `${name}, its own page`, src: address });
    } else if (animation.kind === "picture") {
      this.player = el("img", { src: address, alt: `${name}, moving`, onerror: failed });
    } else {
      this.player = el(animation.kind, { controls: true, autoplay: true, loop: animation.kind === "video", src: address, "aria-label": name, onerror: failed });
    }
    if (animation.kind === "audio") this.element.append(this.player);
    else this.frame.replaceChildren(this.player);
    this.tell("true", animation.kind === "audio" ? "Stop the sound" : "Show the image");
  }

  stop() {
    if (!this.player) return;
    this.player.remove(); // ends a page, and a video as well
    this.player.pause?.();
    if (this.player.src.startsWith("blob:")) URL.revokeObjectURL(this.player.src);
    this.player = null;
    if (this.token.animation.kind !== "audio") this.frame.replaceChildren(...this.image);
    this.tell("false", VERBS[this.token.animation.kind]);
  }

  fail() {
    this.stop();
    this.element.replaceChildren(el("p", { class: "muted" }, "This browser cannot play it. At the gateway it can be saved: see Content."));
  }

  tell(pressed, words) {
    this.button.setAttribute("aria-pressed", pressed);
    this.button.textContent = words;
  }
}
