// Elements and words. Text from outside becomes text nodes and nothing else; links are checked before they are links.

/**
 * An element. Attributes: `class`, `href` (checked), `on…` (a function), `data` (an object), anything else by its name;
 * `true` sets an empty one, null and false leave it out. Children: elements, text, numbers; null and false are left out.
 */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

function set(node, name, value) {
  if (value === null || value === undefined || value === false) return;
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (name === "data") Object.assign(node.dataset, value);
  else if (name === "href") link(node, value);
  else node.setAttribute(name, value === true ? "" : String(value));
}

/** Point a link at an address of the web or of this page; any other scheme leaves it without one. */
function link(node, address) {
  const url = parsed(address);
  if (!url) return;
  if (url.protocol !== "http:" && url.protocol !== "https:") return;
  node.setAttribute("href", address);
  if (url.origin !== location.origin) {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
}

/** An address as browsers read it, or null: metadata is a stranger's, lasts for ever, and may hold what no browser takes. */
function parsed(address) {
  try {
    return new URL(address, location.href);
  } catch {
    return null;
  }
}

/** Where an address leads, in few letters. */
export const host = (address) => parsed(address)?.host || String(address).slice(0, 40);

/** The day so many seconds after 1970; a number where that is in no year of four digits. */
export function day(seconds) {
  const date = new Date(seconds * 1000);
  const year = date.getUTCFullYear();
  return year >= 0 && year <= 9999 ? date.toISOString().slice(0, 10) : number(seconds);
}

/** The same day as people say it. */
export function date(seconds) {
  return new Date(seconds * 1000).toLocaleDateString("en-GB", { day: "numeric", month: "long", year: "numeric" });
}

/** An amount of wei in ether, with the four digits that matter. */
export function ether(wei) {
  const value = Number(wei) / 1e18;
  if (!value) return "0 ETH";
  return `${value.toLocaleString("en", { maximumSignificantDigits: 4, maximumFractionDigits: 18, useGrouping: false })} ETH`;
}

/** A fraction of a bar as its width: the one style that scripts set, through the object model that the CSP allows. */
export function bar(share, className = "bar") {
  const fill = el("span");
  fill.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("span", { class: className, "aria-hidden": "true" }, fill);
}

export const number = (value) => Number(value).toLocaleString("en");
export const plural = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
export const shortHex = (hex) => (hex.length > 14 ? `${hex.slice(0, 6)}…${hex.slice(-4)}` : hex);
export const shortCid = (cid) => (cid.length > 20 ? `${cid.slice(0, 9)}…${cid.slice(-6)}` : cid);

export function percent(share) {
  const value = share * 100;
  if (value > 0 && value < 0.1) return "< 0.1 %";
  return `${value < 10 && value % 1 ? value.toFixed(1) : Math.round(value)} %`;
}

/** Tell the person at the screen, and the one who listens to it. */
export function say(sentence) {
  const said = document.getElementById("said");
  said.textContent = sentence;
  clearTimeout(say.timer);
  said.classList.add("shown");
  say.timer = setTimeout(() => said.classList.remove("shown"), 4000);
}

/** A value in its short form that copies the whole one when it is pressed. */
export function copyable(whole, short, what) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(whole);
      say(`${what} copied`);
    } catch {
      say(`this browser does not let the page copy: ${whole}`);
    }
  };
  return el("button", { type: "button", class: "copy", title: whole, "aria-label": `copy ${what} ${whole}`, onclick: copy }, short);
}
