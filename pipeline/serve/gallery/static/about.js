// How the works of a collection came to be: what was written, what was learned, how to check it, what is not known.

import { copyable, el, plural } from "./dom.js";
import { collectionAt, detectAt } from "./places.js";

export class AboutView {
  constructor(collection, told) {
    this.element = el(
      "article",
      { class: "making" },
      el(
        "header",
        { class: "marquee" },
        el("p", { class: "by" }, el("a", { href: collectionAt(collection.slug) }, collection.name)),
        el("h1", {}, "How it was made"),
        el("p", { class: "lede" }, told.made.length ? "By what, from what, and how to check it." : "Nothing of it is there yet."),
      ),
      told.made.map((one) => made(one)),
      told.seed_rule && section("The rule of the seeds", el("p", {}, told.seed_rule)),
      told.how_to_verify.length > 0 &&
        section(
          "How to check it",
          el("p", {}, "With the program that made it, from the chain alone:"),
          told.how_to_verify.map((line) => el("pre", {}, el("code", {}, line))),
        ),
      section("What is not known", told.not_known.length ? el("ul", {}, told.not_known.map((line) => el("li", {}, line))) : el("p", {}, "Nothing that we know of.")),
    );
  }
}

function made(one) {
  const tokens = one.first === one.last ? `Work ${one.first}` : `Works ${one.first} to ${one.last}`;
  const word = one.source_type?.split("/").pop();
  return section(
    tokens,
    el(
      "dl",
      { class: "facts" },
      fact("Written", one.written),
      fact("Learned", one.learned),
      fact("From", one.data),
      word && fact("In the IPTC's word", el("a", { href: one.source_type }, word)),
      fact("Model", one.model),
      fact("Renderer", one.renderer),
      one.weights_sha256 && fact("Weights, SHA-256", copyable(one.weights_sha256, `${one.weights_sha256.slice(0, 16)}…`, "digest")),
      one.size && fact("Size", plural(one.size, "pixel")),
      fact("Hidden mark", one.watermark ? ["in the pixels: collection and token; ", el("a", { href: detectAt() }, "look into a picture")] : "none"),
    ),
  );
}

const section = (title, ...parts) => el("section", {}, el("h2", {}, title), ...parts);
const fact = (name, value) => [el("dt", {}, name), el("dd", {}, value)];
