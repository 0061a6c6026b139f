// The front page: the show's name, and a room for each collection.

import { date, el, number, plural } from "./dom.js";
import { locked, show } from "./api.js";
import { IS_PUBLIC, at, collectionAt, tokenAt } from "./places.js";

const WORK_SIZES = "(max-width: 820px) 30vw, 17vw";

export class FrontView {
  /** `title` is what the show is called, `found` its collections, the newest first. */
  constructor(title, found) {
    this.element = found.length ? el("div", { class: "front" }, marquee(title, found), found.map((one) => room(one, title))) : nothingYet();
  }
}

function marquee(title, found) {
  const works = found.reduce((sum, one) => sum + one.progress.minted, 0);
  const artists = [...new Set(found.map((one) => one.artist).filter(Boolean))];
  const by = artists.length > 1 ? ` by ${listed(artists.slice(0, 4))}` : "";
  return el("header", { class: "marquee" }, el("h1", {}, title), el("p", { class: "lede" }, `${plural(found.length, "collection")}, ${plural(works, "work")}${by}.`));
}

/** A collection in the show `title`; whose name that is needs no saying again. */
function room(about, title) {
  const address = collectionAt(about.slug);
  return el(
    "article",
    { class: "room" },
    el("a", { class: "cover", href: address, tabindex: -1, "aria-hidden": "true" }, picture(about.cover ?? about.works[0]?.thumbnail)),
    el(
      "div",
      { class: "told" },
      el("h2", {}, el("a", { href: address }, about.name)),
      about.artist && about.artist !== title && el("p", { class: "by" }, about.artist),
      (about.description || about.statement) && el("p", { class: "words" }, about.description || about.statement),
      el("p", { class: "muted small" }, supply(about)),
      el("ul", { class: "works" }, about.works.map((work) => el("li", {}, el("a", { href: tokenAt(about.slug, work.token_id), "aria-label": `${about.name}, token ${work.token_id}` }, picture(work.thumbnail, WORK_SIZES))))),
    ),
  );
}

export function supply({ progress: { minted, planned }, chain }) {
  const count = minted === planned ? plural(minted, "work") : `${number(minted)} of ${plural(planned, "work")}`;
  return `${count} on ${chain.name.replace(/^./, (letter) => letter.toUpperCase())}`;
}

/** The picture at a path; of one of 320 pixels a screen with more of them takes the larger one. */
function picture(path, sizes) {
  const frame = el("span", { class: "picture" });
  if (path) {
    const image = el("img", { alt: "", loading: "lazy", decoding: "async", width: 640, height: 640 });
    if (sizes && path.endsWith("/320.webp") && !locked()) {
      image.sizes = sizes;
      image.srcset = `${at(path)} 320w, ${at(path.replace("/320.webp", "/640.webp"))} 640w`;
    }
    show(image, path);
    frame.append(image);
  }
  return frame;
}

function nothingYet() {
  return el(
    "div",
    { class: "empty tall" },
    el("p", { class: "huge", "aria-hidden": "true" }, "An empty wall."),
    el("p", { class: "big" }, "Nothing here yet."),
    IS_PUBLIC ? el("p", {}, "The first works appear here by themselves.") : el("p", {}, "This command makes a collection, and this page shows it as it grows:"),
    !IS_PUBLIC && el("p", {}, el("code", {}, "pipeline mint --count 50")),
  );
}

const listed = (names) => (names.length > 1 ? `${names.slice(0, -1).join(", ")} and ${names.at(-1)}` : names[0]);
