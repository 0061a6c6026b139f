// The way from the chain back to the pixels, walked by the server, each step shown as it comes.

import { el } from "./dom.js";
import { events } from "./api.js";
import { IN_FOLDER } from "./places.js";

/** The links of the way in order, and what each of them says. */
const WAY = [
  ["contract", "the contract's code is the published source's"],
  ["owner", "somebody owns the token"],
  ["token URI", "the contract says where its metadata is"],
  ["metadata", "the document hashes to the CID on the chain"],
  ["image", "the image hashes to the CID in the metadata"],
  ["digest", "and to the sha256 in the metadata"],
  ["pixels", "drawn again from its seed, it is the same picture"],
];
const MARKS = { true: ["✓", "holds"], false: ["✗", "does not hold"], null: ["–", "could not be checked"] };

export class Verification {
  constructor(about, token) {
    this.path = `/v1/collections/${about.id}/tokens/${token.token_id}/verification`;
    this.minted = token.state === "mined" || token.state === "final";
    this.button = el("button", { type: "button", class: "main", disabled: !this.minted, onclick: () => this.start() }, "Verify this token");
    this.verdict = el("p", { class: "verdict", role: "status", "aria-live": "polite" });
    this.list = el("ol", { class: "way" });
    if (IN_FOLDER) {
      this.element = el("section", { class: "verification" }, ...byHand(about, token));
      return;
    }
    if (!this.minted) this.verdict.textContent = "It can be verified when it is minted.";
    this.element = el("section", { class: "verification" }, this.button, this.verdict, this.list);
  }

  stop() {
    this.asked?.abort();
  }

  async start() {
    if (IN_FOLDER || !this.minted || this.button.disabled) return;
    this.button.disabled = true;
    this.asked = new AbortController();
    this.begin();
    try {
      await events(this.path, (name, data) => this.heard(name, data), this.asked.signal);
      if (!this.ended) this.end(false, "The server stopped before the end. Try again.");
    } catch (error) {
      if (error.name !== "AbortError") this.end(false, `${error.message} ${error.hint ?? ""}`);
    } finally {
      this.button.disabled = false;
      this.button.textContent = "Verify again";
    }
  }

  begin() {
    this.ended = false;
    this.verdict.className = "verdict";
    this.verdict.textContent = "Walking from the chain back to the pixels…";
    this.rows = new Map(WAY.map(([name, claim]) => [name, row(name, claim)]));
    this.list.replaceChildren(...this.rows.values());
    this.next();
  }

  /** Mark the first step that nothing is known of as under way. */
  next() {
    [...this.rows.values()].find((one) => one.classList.contains("waiting"))?.classList.replace("waiting", "walking");
  }

  heard(name, data) {
    if (name === "step") this.step(data);
    else if (name === "problem") this.end(false, `${data.error} ${data.hint}`);
    else if (name === "done") this.end(data.verdict === "false" ? false : data.ok || null, inWords(data));
  }

  step({ name, ok, detail }) {
    if (!this.rows.has(name)) {
      this.rows.set(name, row(name, ""));
      this.list.append(this.rows.get(name));
    }
    const [mark, meaning] = MARKS[ok];
    const known = this.rows.get(name);
    known.className = { true: "holds", false: "fails", null: "open" }[ok];
    known.querySelector(".mark").replaceChildren(el("span", { "aria-hidden": "true" }, mark), el("span", { class: "heard" }, meaning));
    const told = known.querySelector(".detail");
    told.textContent = told.title = detail;
    this.next();
  }

  end(ok, words) {
    this.ended = true;
    for (const one of this.rows?.values() ?? []) {
      if (one.classList.contains("walking") || one.classList.contains("waiting")) one.className = "unreached";
    }
    this.verdict.className = { true: "verdict good", false: "verdict bad", null: "verdict" }[ok]; // not checked is neither
    this.verdict.textContent = words;
  }
}

/** A folder has no server that walks the way: whoever wants it walked has a command. */
function byHand(about, token) {
  const gateway = about.gateway?.replace(/\/ipfs\/$/, "") ?? "https://…";
  return [
    el("h2", {}, "Prove it yourself"),
    el("p", { class: "muted" }, "Anybody can walk the way from the chain back to the pixels, without this page:"),
    el("p", {}, el("code", {}, `pipeline verify --contract ${about.contract} --rpc-url https://… --gateway ${gateway} --token ${token.token_id}`)),
  ];
}

function row(name, claim) {
  return el("li", { class: "waiting" }, el("span", { class: "mark" }), el("span", { class: "step" }, el("strong", {}, name), " ", el("span", { class: "muted" }, claim)), el("button", { type: "button", class: "detail", onclick: (event) => event.currentTarget.classList.toggle("whole") }));
}

function inWords({ ok, steps }) {
  const failed = steps.find((step) => step.ok === false);
  if (failed) return `It breaks at: ${failed.name}.`;
  const open = steps.filter((step) => step.ok === null).map((step) => step.name);
  if (!ok) return "Nothing could be checked.";
  return open.length ? `What could be checked holds; not checked: ${open.join(", ")}.` : "Every link holds, from the chain to the pixels.";
}
