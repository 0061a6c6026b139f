// One collection: what it is, how far it is, and all of its tokens with search, filter and order.

import { bar, copyable, date, el, ether, host, number, plural, say, shortHex } from "./dom.js";
import { events, parsedQuery, queryString, show } from "./api.js";
import { Grid } from "./grid.js";
import { aboutAt, IS_PUBLIC, collectionAt, tokenAt } from "./places.js";
import { shelf } from "./shelf.js";
import { licence } from "./token.js";

const SHOWN_VALUES = 8; // of a trait before "all"
const TYPING_MS = 180; // of rest after a key, before the server is asked
const REFRESH_MS = 2500; // between two looks at the tokens while a run draws
const SILENCE_MS = 45000; // after which a run that says nothing may have been interrupted

export class CollectionView {
  constructor(about) {
    this.about = about;
    this.query = parsedQuery("");
    this.grid = new Grid(about.id, about.size ?? Infinity, (id) => tokenAt(about.slug, id));
    this.count = el("p", { class: "count", role: "status", "aria-live": "polite" });
    this.facets = el("aside", { class: "facets", id: "facets", "aria-label": "Filter by trait" });
    this.chips = el("div", { class: "chips" });
    this.empty = el("div", { class: "empty" });
    this.progress = el("section", { class: "progress", "aria-label": "The run", hidden: true });
    this.owners = el("dd");
    this.supply = el("dd");
    this.toolbar = this.makeToolbar();
    this.makeSheet();
    this.below = el("div", { class: "below" }, this.facets, el("div", { class: "tokens" }, this.chips, this.grid.element, this.empty));
    this.element = el(
      "div",
      { class: "collection" },
      this.hero(),
      this.progress,
      this.toolbar,
      this.below,
      this.sheet,
    );
    this.stopped = new AbortController();
  }

  destroy() {
    this.stopped.abort();
    this.grid.destroy();
  }

  // ── what it is ─────────────────────────────────────────────────────────────────────────────────────────────

  hero() {
    const { about } = this;
    const cover = el("div", { class: "cover" });
    if (about.cover) {
      const image = el("img", { alt: `Cover of ${about.name}`, width: 640, height: 640 });
      show(image, about.cover);
      cover.append(image);
    }
    return el(
      "section",
      { class: "hero" },
      el(
        "div",
        { class: "about" },
        el("h1", {}, about.name),
        about.artist && el("p", { class: "by" }, about.artist),
        about.description && el("p", { class: "description" }, about.description),
        about.external_url && el("p", {}, el("a", { href: about.external_url }, `${host(about.external_url)} ↗`)),
        about.statement &&
          about.statement !== about.description &&
          el("details", { class: "statement" }, el("summary", {}, "Statement"), el("p", {}, about.statement)),
      ),
      cover,
      el(
        "dl",
        { class: "facts" },
        fact("Tokens", this.supply),
        fact("Owners", this.owners),
        about.began && fact("Minted", el("dd", {}, date(about.began))),
        about.licence && fact("Licence", el("dd", {}, licence(about.licence))),
        fact("Contract", el("dd", {}, this.contract())),
        fact("Chain", el("dd", {}, chainName(about.chain))),
        fact("Making", el("dd", {}, el("a", { href: aboutAt(about.slug) }, "how it was made"))),
        about.fee_wei && fact("Fees", el("dd", {}, ether(about.fee_wei))),
      ),
    );
  }

  contract() {
    const { contract, contract_page } = this.about;
    if (!contract) return "not deployed yet";
    return [copyable(contract, shortHex(contract), "contract address"), contract_page && el("a", { class: "out", href: contract_page, "aria-label": "contract on the explorer" }, "↗")];
  }

  tellSupply() {
    const { minted, planned } = this.about.progress;
    this.supply.textContent = minted === planned ? number(minted) : `${number(minted)} of ${number(planned)}`;
    this.owners.textContent = minted ? number(this.about.owners) : "—";
  }

  // ── searching ──────────────────────────────────────────────────────────────────────────────────────────────

  makeToolbar() {
    this.search = el("input", {
      type: "search",
      placeholder: "Search: id, name, owner, trait",
      "aria-label": "Search tokens by id, name, owner or trait",
      autocomplete: "off",
      spellcheck: "false",
      maxlength: 200,
      oninput: () => {
        clearTimeout(this.typing);
        this.typing = setTimeout(() => this.change({ q: this.search.value.trim() }), TYPING_MS);
      },
    });
    this.sort = el(
      "select",
      { "aria-label": "Order", onchange: () => this.change({ sort: this.sort.value }) },
      el("option", { value: "id" }, "First to last"),
      el("option", { value: "-id" }, "Last to first"),
      el("option", { value: "rank" }, "Rarest first"),
    );
    this.filterButton = el(
      "button",
      { type: "button", class: "filter", "aria-expanded": "false", "aria-haspopup": "dialog", onclick: () => this.openSheet() },
      "Filter",
    );
    return el("div", { class: "toolbar", role: "search" }, this.filterButton, this.search, this.sort, this.count);
  }

  /** On a small screen the traits are a sheet above the page; they stand beside the grid on any other. */
  openSheet() {
    this.sheetBody.replaceChildren(this.facets);
    this.sheet.showModal();
    this.filterButton.setAttribute("aria-expanded", "true");
  }

  closeSheet() {
    this.below.prepend(this.facets);
    this.filterButton.setAttribute("aria-expanded", "false");
  }

  makeSheet() {
    this.sheetBody = el("div", { class: "body" });
    this.showButton = el("button", { type: "button", class: "main", onclick: () => this.sheet.close() }, "Show");
    this.sheet = el(
      "dialog",
      { class: "filters", "aria-label": "Filter by trait", onclose: () => this.closeSheet(), onclick: (event) => event.target === this.sheet && this.sheet.close() },
      el("header", {}, el("strong", {}, "Filter"), el("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "Clear")),
      this.sheetBody,
      el("footer", {}, this.showButton),
    );
  }

  /** Another search: into the address, from which it comes back. */
  change(part) {
    const query = queryString({ ...this.query, ...part });
    this.opened = collectionAt(this.about.slug, query);
    history.replaceState(null, "", this.opened);
    this.open(query.slice(1));
  }

  choose(trait, value, wanted) {
    const traits = new Map([...this.query.traits].map(([name, values]) => [name, new Set(values)]));
    const values = traits.get(trait) ?? new Set();
    if (wanted) values.add(String(value));
    else values.delete(String(value));
    if (values.size) traits.set(trait, values);
    else traits.delete(trait);
    this.change({ traits });
  }

  /** Show what a query string asks for. */
  async open(text) {
    this.query = parsedQuery(text);
    if (document.activeElement !== this.search) this.search.value = this.query.q;
    this.sort.value = this.query.sort;
    this.drawChips();
    await this.refresh();
  }

  async refresh() {
    this.asked?.abort();
    const asked = (this.asked = new AbortController());
    try {
      const [index, facets] = await Promise.all([
        shelf.index(this.about.id, this.query, asked.signal),
        shelf.facets(this.about.id, this.query, asked.signal),
      ]);
      this.grid.ranked = facets.traits.length > 0;
      this.grid.update(index);
      this.drawFacets(facets.traits);
      this.tellCount(index);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.tellEmpty(error.message, error.hint);
    }
  }

  tellCount({ total, token_ids }) {
    const { planned } = this.about.progress;
    const shown = token_ids.length < total ? `the first ${number(token_ids.length)} of ` : "";
    this.count.textContent = total === planned ? plural(total, "token") : `${shown}${number(total)} of ${plural(planned, "token")}`;
    this.showButton.textContent = total ? `Show ${plural(total, "token")}` : "Show none";
    this.empty.replaceChildren();
    if (planned === 0) this.tellEmpty("No tokens yet.", "`pipeline mint --count 50 --more` makes the first ones.");
    else if (total === 0) this.tellEmpty("No token fits.", "Take a condition away, or search for another word.", true);
  }

  tellEmpty(sentence, hint, clear = false) {
    this.grid.update({ token_ids: [], ranks: [], versions: [], names: [] });
    const button = clear && el("button", { type: "button", onclick: () => this.clear() }, "Show all tokens");
    this.empty.replaceChildren(el("p", { class: "big" }, sentence), hint ? el("p", {}, hint) : "", button || "");
  }

  clear() {
    this.search.value = "";
    this.change({ q: "", owner: "", traits: new Map() });
  }

  drawChips() {
    const chips = [...this.query.traits].flatMap(([trait, values]) =>
      [...values].map((value) => chip(`${trait}: ${value}`, () => this.choose(trait, value, false))),
    );
    if (this.query.owner) chips.push(chip(`owner ${shortHex(this.query.owner)}`, () => this.change({ owner: "" })));
    if (chips.length > 1) chips.push(el("button", { type: "button", class: "quiet", onclick: () => this.clear() }, "clear all"));
    this.chips.replaceChildren(...chips);
    const chosen = chips.length ? ` · ${[...this.query.traits.values()].reduce((sum, values) => sum + values.size, 0) + (this.query.owner ? 1 : 0)}` : "";
    this.filterButton.textContent = `Filter${chosen}`;
  }

  // ── traits ─────────────────────────────────────────────────────────────────────────────────────────────────

  drawFacets(traits) {
    const focused = document.activeElement?.dataset?.facet;
    const open = new Map([...this.facets.querySelectorAll("details")].map((one) => [one.dataset.trait, one.open]));
    const full = new Set([...this.facets.querySelectorAll("details.full")].map((one) => one.dataset.trait));
    this.facets.replaceChildren(
      ...traits.map((facet, place) => this.facet(facet, open.get(facet.trait_type) ?? place < 3, full.has(facet.trait_type))),
    );
    if (!traits.length) this.facets.append(el("p", { class: "muted" }, "Traits appear with the first drawn token."));
    if (focused) [...this.facets.querySelectorAll("input")].find((one) => one.dataset.facet === focused)?.focus({ preventScroll: true });
  }

  facet({ trait_type, values }, open, full) {
    const chosen = this.query.traits.get(trait_type) ?? new Set();
    const list = el("ul", {}, values.map((one) => this.value(trait_type, one, chosen.has(String(one.value)))));
    const details = el("details", { open, data: { trait: trait_type } }, el("summary", {}, trait_type, el("span", {}, number(values.length))), list);
    details.classList.toggle("full", full);
    if (values.length > SHOWN_VALUES) {
      const more = el("button", { type: "button", class: "quiet", onclick: () => details.classList.add("full") }, `all ${number(values.length)}`);
      details.append(more);
    }
    return details;
  }

  value(trait, { value, count, total }, chosen) {
    const box = el("input", {
      type: "checkbox",
      checked: chosen,
      disabled: !count && !chosen,
      data: { facet: `${trait}\n${value}` },
      onchange: (event) => this.choose(trait, value, event.target.checked),
    });
    return el(
      "li",
      { title: `${value}: ${number(count)} of ${number(total)}` },
      el("label", { class: count || chosen ? null : "none" }, box, el("span", { class: "name" }, String(value)), el("span", { class: "n" }, number(count))),
    );
  }

  // ── progress ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Follow a run until it has ended; a collection without one is told once. */
  async follow() {
    this.tellSupply();
    if (!this.about.progress.running) return;
    this.tellProgress(this.about.progress);
    let seen = performance.now();
    const watch = setInterval(() => this.progress.classList.toggle("silent", performance.now() - seen > SILENCE_MS), 1000);
    this.stopped.signal.addEventListener("abort", () => clearInterval(watch));
    try {
      await events(
        `/v1/collections/${this.about.id}/progress`,
        (_, progress) => {
          seen = performance.now();
          this.tellProgress(progress);
        },
        this.stopped.signal,
      );
      await this.reload();
      if (!this.about.progress.running) say(`${plural(this.about.progress.minted, "token")} minted`);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.words.textContent = `${error.message} ${error.hint ?? ""}`;
    } finally {
      clearInterval(watch);
    }
  }

  tellProgress(progress) {
    const before = this.about.progress;
    this.about.progress = progress;
    this.tellSupply();
    this.progress.hidden = !progress.running;
    if (!this.words) {
      this.words = el("p", { role: "status" });
      this.bars = el("div", { class: "stages" });
      this.progress.append(this.words, this.bars, el("p", { class: "silence" }, `Nothing new for a while.${IS_PUBLIC ? "" : " If the run was interrupted, the same `pipeline mint` command continues it."}`));
    }
    const { planned, drawn, pinned, minted } = progress;
    this.words.replaceChildren(el("strong", {}, "A run is minting."), ` ${number(drawn)} drawn, ${number(pinned)} pinned, ${number(minted)} minted of ${number(planned)}.`);
    this.bars.replaceChildren(...[["drawn", drawn], ["pinned", pinned], ["minted", minted]].map(([name, count]) => el("div", {}, bar(count / planned, `bar ${name}`), el("small", { "aria-hidden": "true" }, name))));
    if (before.drawn !== drawn || before.minted !== minted) this.refreshSoon();
  }

  refreshSoon() {
    this.soon ??= setTimeout(() => {
      this.soon = null;
      if (!this.stopped.signal.aborted) this.refresh();
    }, REFRESH_MS);
  }

  /** After a run: the whole collection again, since contract, owners and ranks are known now. */
  async reload() {
    const about = await shelf.collection(this.about.id);
    this.about = about;
    this.element.querySelector(".hero").replaceWith(this.hero());
    this.progress.hidden = !about.progress.running;
    this.tellSupply();
    await this.refresh();
  }
}

const fact = (name, value) => el("div", {}, el("dt", {}, name), value);

export function chainName(chain) {
  const kind = { devnet: chain.rpc_url ? "a devnet on this machine" : "a devnet", testnet: "testnet", mainnet: "", unknown: "" }[chain.worth];
  return [chain.name.replace(/^./, (letter) => letter.toUpperCase()), el("span", { class: "muted" }, ` ${chain.chain_id ?? ""}${kind ? `, ${kind}` : ""}`)];
}

function chip(text, remove) {
  return el("button", { type: "button", class: "chip", "aria-label": `remove ${text}`, onclick: remove }, text, el("span", { "aria-hidden": "true" }, "×"));
}
