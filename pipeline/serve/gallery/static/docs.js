// The API's own page, drawn from /openapi.json: what can be asked, what is answered, and a button that asks.

import { el } from "./dom.js";
import { json } from "./api.js";
import { at } from "./places.js";

const MAX_SHOWN = 20000; // characters of an answer
const ORDER = ["get", "post", "put", "patch", "delete"];

export class DocsView {
  static async open() {
    const [document] = await Promise.all([json("/openapi.json"), styled()]);
    return new DocsView(document);
  }

  constructor(document) {
    this.schemas = document.components?.schemas ?? {};
    const operations = Object.entries(document.paths).flatMap(([path, methods]) => ORDER.filter((method) => methods[method]).map((method) => ({ path, method, ...methods[method] })));
    const groups = new Map();
    for (const operation of operations) {
      const group = operation.tags?.[0] ?? "other";
      groups.set(group, [...(groups.get(group) ?? []), operation]);
    }
    this.common = Object.entries(operations[0]?.responses ?? {}).filter(([status]) => operations.every((one) => one.path === "/healthz" || status in one.responses) && status !== "200");
    const used = Object.keys(this.schemas).sort();
    this.element = el(
      "div",
      { class: "docs" },
      el("nav", { class: "contents", "aria-label": "Contents" }, [...groups].map(([group, found]) => [el("h2", {}, group), el("ul", {}, found.map((one) => el("li", {}, el("a", { href: `#${idOf(one)}` }, verb(one), el("span", {}, one.path.split(/(?<=\/)/).flatMap((part) => [part, el("wbr")]))))))])),
      el(
        "div",
        { class: "told" },
        el("header", { class: "marquee" }, el("h1", {}, "API"), el("p", { class: "lede" }, introduction(document)), el("p", {}, el("a", { href: at("/openapi.json"), target: "_self" }, "openapi.json"), " has the same for programs.")),
        this.common.length > 0 && el("section", { class: "operation" }, el("table", {}, el("caption", {}, "Any request may be answered"), el("tbody", {}, this.common.map(([status, answer]) => this.answer(status, answer))))),
        [...groups.values()].flat().map((one) => this.operation(one)),
        el("section", { class: "schemas" }, el("h2", { class: "part" }, "Documents"), used.map((name) => this.schema(name))),
      ),
    );
    this.element.addEventListener("click", (event) => this.onClick(event));
  }

  operation(one) {
    const parameters = one.parameters ?? [];
    const body = one.requestBody?.content?.["application/json"]?.schema;
    const reads = one.method === "get";
    return el(
      "section",
      { class: "operation", id: idOf(one) },
      el("h3", {}, verb(one), " ", el("code", {}, one.path)),
      el("p", {}, prose(one.description || one.summary || "")),
      parameters.length > 0 && el("table", {}, el("caption", {}, "Parameters"), el("tbody", {}, parameters.map((parameter) => this.parameter(parameter)))),
      body && el("p", {}, "Body: ", this.type(body)),
      el("table", {}, el("caption", {}, "Answers"), el("tbody", {}, Object.entries(one.responses).filter(([status]) => !this.common.some(([known]) => known === status)).map(([status, answer]) => this.answer(status, answer)))),
      reads ? this.trial(one, parameters) : el("pre", {}, el("code", {}, curl(one))),
    );
  }

  parameter({ name, in: place, required, schema, description }) {
    return el("tr", {}, el("th", { scope: "row" }, el("code", {}, name), required && el("span", { class: "muted" }, " required")), el("td", {}, this.type(schema), el("span", { class: "muted" }, ` in ${place}`), description && el("p", {}, description), limits(schema)));
  }

  answer(status, { description, content = {} }) {
    const kinds = Object.entries(content).map(([kind, { schema }]) => [el("span", {}, schema && Object.keys(schema).length && !(schema.type === "string") ? this.type(schema) : kind), " "]);
    return el("tr", {}, el("th", { scope: "row" }, el("code", { class: status < "400" ? "good" : null }, status)), el("td", {}, kinds, el("span", { class: "muted" }, description)));
  }

  /** A type in words, with a link where it is a document. */
  type(schema = {}) {
    if (schema.$ref) return this.link(schema.$ref);
    if (schema.anyOf || schema.oneOf) return joined((schema.anyOf ?? schema.oneOf).map((one) => this.type(one)));
    if (schema.type === "array") return el("span", {}, "list of ", this.type(schema.items));
    if (schema.enum) return el("span", {}, joined(schema.enum.map((value) => el("code", {}, String(value)))));
    if (schema.const !== undefined) return el("code", {}, String(schema.const));
    return el("span", {}, schema.type ?? "anything");
  }

  link(reference) {
    const name = reference.split("/").at(-1);
    return el("a", { href: `#document-${name}` }, name);
  }

  schema(name) {
    const schema = this.schemas[name];
    const needed = new Set(schema.required ?? []);
    return el(
      "section",
      { class: "schema", id: `document-${name}` },
      el("h3", {}, name),
      schema.description && el("p", {}, schema.description),
      schema.properties &&
        el(
          "table",
          {},
          el("tbody", {}, Object.entries(schema.properties).map(([field, of]) => el("tr", {}, el("th", { scope: "row" }, el("code", {}, field), !needed.has(field) && el("span", { class: "muted" }, " may be left out")), el("td", {}, this.type(of), of.description && el("p", {}, of.description), limits(of))))),
        ),
      !schema.properties && el("p", {}, this.type(schema)),
    );
  }

  /** Fields for the parameters in the path, a button, and what comes back. */
  trial(one, parameters) {
    const fields = parameters.filter((parameter) => parameter.in === "path").map(({ name }) => [name, el("input", { name, value: { collection_id: "1", token_id: "1" }[name] ?? "", placeholder: name, "aria-label": name, size: 12, autocomplete: "off" })]);
    const shown = el("pre", { hidden: true, tabindex: 0 });
    const path = () => fields.reduce((address, [name, field]) => address.replace(`{${name}}`, encodeURIComponent(field.value)), one.path);
    const ask = async () => {
      shown.hidden = false;
      shown.textContent = "…";
      try {
        shown.textContent = inShort(JSON.stringify(await json(path()), null, 2));
      } catch (error) {
        shown.textContent = `${error.status || ""} ${error.message}\n${error.hint ?? ""}`.trim();
      }
    };
    const isJson = Object.keys(one.responses["200"]?.content ?? {}).includes("application/json");
    if (!isJson) return el("pre", {}, el("code", {}, curl(one)));
    return el("form", { class: "trial", onsubmit: (event) => (event.preventDefault(), ask()) }, fields.map(([, field]) => field), el("button", {}, "Ask"), el("code", { class: "muted" }, curl(one)), shown);
  }

  /** A link within this page. */
  onClick(event) {
    const link = event.target.closest('a[href^="#"]');
    if (!link) return;
    event.preventDefault();
    history.replaceState(null, "", link.getAttribute("href"));
    this.goTo(link.getAttribute("href"));
  }

  goTo(hash) {
    const target = hash.length > 1 && document.getElementById(decodeURIComponent(hash.slice(1)));
    if (target) target.scrollIntoView();
    else scrollTo({ top: 0, behavior: "instant" });
  }
}

let style = null;

/** The style of this page, which no other needs. */
function styled() {
  style ??= new Promise((resolve) => document.head.append(el("link", { rel: "stylesheet", href: at("/gallery/docs.css"), onload: resolve, onerror: resolve })));
  return style;
}

/** A docstring: its paragraphs on one line each, and code between backticks. */
const prose = (text) => text.replace(/\n/g, " ").split("`").map((part, place) => (place % 2 ? el("code", {}, part) : part));
const idOf = ({ method, path }) => `${method}${path.replace(/[^a-z0-9]+/gi, "-").replace(/-$/, "")}`;
const verb = ({ method }) => el("span", { class: `verb ${method}` }, method.toUpperCase());
const joined = (parts) => el("span", {}, parts.flatMap((part, place) => (place ? [" or ", part] : [part])));
const inShort = (text) => (text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}\n… ${text.length - MAX_SHOWN} more characters` : text);

function introduction({ paths }) {
  const writes = Object.values(paths).some((methods) => Object.keys(methods).some((method) => method !== "get"));
  return writes
    ? "Everything that the pages show, as JSON, and jobs that mint. Whatever writes needs a token: Authorization: Bearer …, and an Idempotency-Key, so that the same request is done once."
    : "Everything that the pages show, as JSON, for everybody to read. Nothing here writes.";
}

function limits(schema = {}) {
  const of = schema.anyOf?.find((one) => one.type && one.type !== "null") ?? schema;
  const words = [
    of.minimum !== undefined && `from ${of.minimum}`,
    of.maximum !== undefined && `up to ${of.maximum}`,
    of.maxLength && `at most ${of.maxLength} characters`,
    of.maxItems && `at most ${of.maxItems}`,
    schema.default !== undefined && schema.default !== null && schema.default !== "" && `${schema.default} unless given`,
    of.pattern && `matches ${of.pattern}`,
  ].filter(Boolean);
  return words.length > 0 && el("p", { class: "muted" }, words.join(", "));
}

function curl({ method, path }) {
  const base = at("/").replace(/\/$/, "");
  if (method === "get") return `curl ${base}${path}`;
  return `curl -X ${method.toUpperCase()} ${base}${path} -H "Authorization: Bearer $TOKEN" -H 'Idempotency-Key: …' --json '{…}'`;
}
