// One token: its image, what it is made of, whose it was and is, where its content lies, and the way back to its pixels.

import { copyable, date, day, el, ether, host, number, percent, shortCid, shortHex } from "./dom.js";
import { LargeView, downloads, showAtItsSize } from "./large.js";
import { Moving } from "./moving.js";
import { IS_PUBLIC, collectionAt, ownerAt, tokenAt } from "./places.js";
import { shelf } from "./shelf.js";
import { Verification } from "./verify.js";
import { WalletPanel } from "./wallet.js";

const NOBODY = "0x0000000000000000000000000000000000000000";
const LONG = 30; // characters of a name, above which it is set smaller

export class TokenView {
  /** `neighbours` are the tokens before and behind this one where it was opened, or nothing; `back` leads there by `go`. */
  constructor(about, token, neighbours, back, go) {
    this.about = about;
    this.back = back;
    this.go = go;
    this.token = token;
    this.before = neighbours?.before ?? token.previous;
    this.behind = neighbours?.behind ?? token.following;
    this.verification = new Verification(about, token);
    this.large = new LargeView(about, token);
    this.element = el(
      "article",
      { class: "token" },
      this.figure(),
      el(
        "div",
        { class: "told" },
        this.heading(),
        this.traits(),
        this.edition(),
        this.verification.element,
        new WalletPanel(about, token).element,
        this.history(),
        this.content(),
        this.provenance(),
      ),
      this.large.element,
    );
  }

  destroy() {
    if (this.large.isOpen) this.large.close();
    this.moving.stop();
    this.verification.stop();
  }

  figure() {
    const { token, about } = this;
    const frame = el("div", { class: "frame" });
    if (token.image) {
      const image = el("img", { alt: token.name });
      image.addEventListener("load", () => frame.classList.add("there"), { once: true });
      showAtItsSize(image, about, token, "(max-width: 980px) 100vw, min(65vw, 100vh)");
      image.addEventListener("error", () => !image.srcset && frame.replaceChildren(el("p", { class: "empty" }, IS_PUBLIC ? "The image cannot be shown now." : "The image cannot be read. `pipeline verify` tells why.")));
      frame.append(el("button", { type: "button", class: "enlarge", "aria-label": "the image alone, as large as the window", onclick: () => this.large.open() }, image));
    } else {
      frame.append(el("p", { class: "empty" }, "Not drawn yet."));
    }
    const turn = (id, text, label) => (id ? el("a", { href: tokenAt(about.slug, id), class: "turn", "aria-label": `${label}, token ${id}` }, text) : el("span", { class: "turn", "aria-hidden": "true" }, text));
    if (token.background_color) frame.style.backgroundColor = `#${token.background_color}`;
    this.moving = new Moving(token, frame);
    return el(
      "figure",
      {},
      frame,
      this.moving.element,
      el(
        "figcaption",
        {},
        el("span", { class: "turns" }, turn(this.before, "←", "the one before"), el("span", {}, `#${token.token_id}`), turn(this.behind, "→", "the next one")),
        token.image && el("span", { class: "tools" }, el("button", { type: "button", onclick: () => this.large.open() }, "Large"), downloads(about, token)),
      ),
    );
  }

  heading() {
    const { token, about } = this;
    return el(
      "header",
      {},
      el("h1", { class: token.name.length > LONG ? "long" : null }, nameInWords(token)),
      about.artist && el("p", { class: "by" }, about.artist),
      el(
        "p",
        { class: "line" },
        token.rank ? token.traits.length > 0 && el("span", {}, el("strong", {}, `Rank ${number(token.rank)}`), ` of ${number(token.ranked)} by rarity`) : el("span", {}, "Not drawn yet"),
        el("span", {}, token.owner ? ["owned by ", this.person(token.owner)] : stateInWords(token.state)),
        token.token_page && el("a", { href: token.token_page }, "on the explorer ↗"),
        token.external_url && el("a", { href: token.external_url }, `${host(token.external_url)} ↗`),
        token.youtube_url && el("a", { href: token.youtube_url }, "YouTube ↗"),
      ),
    );
  }

  /** When and for how much it was minted, and what may be done with it. */
  edition() {
    const { token, about } = this;
    const { minting } = token;
    if (!minting && !about.licence && !about.statement) return null;
    return section(
      "About",
      about.statement && el("p", { class: "statement" }, about.statement),
      el(
        "dl",
        { class: "pairs" },
        minting && pair("Minted", [date(minting.time), token.block_number && el("span", { class: "muted" }, `, block ${number(token.block_number)}`)]),
        minting && pair("Fee", [ether(minting.fee_wei), minting.quantity > 1 && el("span", { class: "muted" }, ` for ${number(minting.quantity)} together`)]),
        about.licence && pair("Licence", licence(about.licence)),
      ),
    );
  }

  person(owner) {
    return el("a", { href: ownerAt(owner), title: owner, class: "mono" }, shortHex(owner));
  }

  traits() {
    const { traits } = this.token;
    if (!traits.length) return null;
    return section(
      "Traits",
      el(
        "ul",
        { class: "traits" },
        traits.map((trait) =>
          el(
            "li",
            {},
            el("a", { href: filterAddress(this.about.slug, trait) }, el("span", { class: "type" }, trait.trait_type), el("span", { class: "value" }, valueInWords(trait)), el("span", { class: "share" }, percent(trait.share))),
          ),
        ),
      ),
    );
  }

  history() {
    const { token } = this;
    if (!token.history.length) {
      const words = token.owner ? `No Transfer event was read yet${IS_PUBLIC ? "." : "; `pipeline owners` reads them."}` : "It begins when the token is minted.";
      return section("History", el("p", { class: "muted" }, words));
    }
    return section(
      "History",
      el(
        "ol",
        { class: "history" },
        [...token.history].reverse().map((event) =>
          el(
            "li",
            {},
            el("span", {}, event.sender === NOBODY ? ["Minted to ", this.person(event.recipient)] : [this.person(event.sender), " gave it to ", this.person(event.recipient)]),
            el("span", { class: "muted" }, event.time && `${date(event.time)}, `, `block ${number(event.block_number)}, `, copyable(event.transaction, shortHex(event.transaction), "transaction"), event.transaction_page && el("a", { class: "out", href: event.transaction_page, "aria-label": "transaction on the explorer" }, " ↗")),
          ),
        ),
      ),
    );
  }

  content() {
    const { token } = this;
    if (!token.token_uri) return section("Content", el("p", { class: "muted" }, "Its CIDs are known when its batch is pinned."));
    return section(
      "Content",
      el(
        "dl",
        { class: "pairs" },
        pair("Metadata", uri(token.token_uri, token.metadata_page, "token URI")),
        pair("Image", uri(token.image_uri, token.image_page, "image URI")),
        token.animation?.uri && pair("Animation", uri(token.animation.uri, token.animation.web_page, "animation URI")),
        pair("sha256", copyable(token.image_sha256, shortCid(token.image_sha256), "sha256 of the image")),
        pair("Pinned at", token.pinned_at.join(", ") || "nowhere yet"),
      ),
    );
  }

  provenance() {
    const { provenance } = this.token;
    if (provenance.seed === null) return section("Origin", el("p", { class: "muted" }, "This image existed before it was minted: no seed draws it again, and its digest says whether it is the one."));
    return section(
      "Drawn by",
      el(
        "dl",
        { class: "pairs" },
        pair("Model", provenance.model),
        pair("Seed", copyable(String(provenance.seed), String(provenance.seed), "seed")),
        pair("Weights", copyable(provenance.weights_sha256, shortCid(provenance.weights_sha256), "sha256 of the weights")),
        pair("Renderer", provenance.renderer),
        pair("Encoder", provenance.encoder),
        pair("Size", `${provenance.size} × ${provenance.size}`),
      ),
    );
  }

  onKey(event) {
    const next = { ArrowLeft: this.before, ArrowRight: this.behind }[event.key];
    if (next) this.go(tokenAt(this.about.slug, next));
    else if (event.key === "Escape") this.go(this.back);
    else if (event.key === "v") this.verification.start();
    else if (event.key === "z") this.large.open();
    else return;
    event.preventDefault();
  }
}

export async function openToken(about, id, neighbours, back, go) {
  return new TokenView(about, await shelf.token(about.id, id), neighbours, back, go);
}

/** A name, with the token id that it may end in set apart, or behind it where the name does not tell it. */
function nameInWords({ name, token_id }) {
  const id = `#${token_id}`;
  const words = name.endsWith(` ${id}`) ? name.slice(0, -id.length - 1) : name;
  return [words, " ", el("span", { class: "id" }, id)];
}

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), ...children);
}

function pair(name, value) {
  return [el("dt", {}, name), el("dd", {}, value)];
}

function uri(address, page, what) {
  if (!address.startsWith("ipfs://")) return [copyable(address, address.slice(0, 60), what), page && el("a", { class: "out", href: page, "aria-label": `${what} on the web` }, " ↗")];
  const [root, ...path] = address.replace("ipfs://", "").split("/");
  return [copyable(address, `${shortCid(root)}/${path.join("/")}`, what), page && el("a", { class: "out", href: page, "aria-label": `${what} at the gateway` }, " ↗")];
}

function valueInWords({ value, display_type, max_value }) {
  if (display_type === "date" && typeof value === "number") return day(value);
  if (typeof value !== "number") return String(value);
  const sign = display_type?.startsWith("boost") && value > 0 ? "+" : "";
  const unit = display_type === "boost_percentage" ? " %" : "";
  return `${sign}${number(value)}${unit}${max_value ? ` of ${number(max_value)}` : ""}`;
}

function filterAddress(slug, { trait_type, value }) {
  const pair = `${encodeURIComponent(trait_type)}:${encodeURIComponent(value)}`;
  return collectionAt(slug, `?trait=${encodeURIComponent(pair)}`);
}

/** A licence: a link where it is an address, and else the words. */
export function licence(text) {
  return /^https?:\/\/\S+$/.test(text) ? el("a", { href: text }, `${host(text)} ↗`) : text;
}

function stateInWords(state) {
  return { planned: "planned", generated: "drawn, not pinned yet", sealed: "pinned, not minted yet", live: "being minted" }[state] ?? state;
}
