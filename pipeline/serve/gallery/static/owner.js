// A collector: what an address owns, collection by collection.

import { copyable, el, plural, shortHex } from "./dom.js";
import { Grid } from "./grid.js";
import { collectionAt, tokenAt } from "./places.js";

export class OwnerView {
  /** What an address owns of the `show`; whose name that is needs no saying again. */
  constructor({ owner, total, collections }, show) {
    this.show = show;
    this.grids = [];
    const pages = [...new Set(collections.map((held) => held.page).filter(Boolean))];
    this.element = el(
      "div",
      { class: "owner" },
      el(
        "header",
        { class: "marquee" },
        el("p", { class: "by" }, "Collected by"),
        el("h1", {}, shortHex(owner)),
        el("p", { class: "lede" }, total ? `${plural(total, "work")} in ${plural(collections.length, "collection")}.` : "Nothing of this show, at the moment."),
        el("p", { class: "address" }, copyable(owner, owner, "address"), ...pages.map((page) => el("a", { href: page }, "on the explorer ↗"))),
      ),
      collections.map((held) => this.holding(held)),
    );
  }

  holding({ collection, tokens, size }) {
    const grid = new Grid(collection.id, size ?? Infinity, (id) => tokenAt(collection.slug, id));
    grid.index = tokens;
    grid.ranked = new Set(tokens.ranks).size > 1;
    this.grids.push(grid);
    return el(
      "section",
      { class: "holding" },
      el("h2", {}, el("a", { href: collectionAt(collection.slug) }, collection.name), el("span", { class: "muted" }, ` ${plural(tokens.total, "work")}`)),
      collection.artist && collection.artist !== this.show && el("p", { class: "by" }, collection.artist),
      grid.element,
    );
  }

  layOut() {
    for (const grid of this.grids) grid.layOut();
  }

  destroy() {
    for (const grid of this.grids) grid.destroy();
  }
}
