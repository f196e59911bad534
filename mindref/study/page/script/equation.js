// The equation and the running lines of code, their terms bound to the numbers.

import { h } from "./dom.js";
import { hue, inCode, meaning } from "./quantities.js";
import { change, state } from "./state.js";

/** Return the equation: MathML whose terms can be clicked, and a button for each term. */
export function equation(step) {
  const { plain, mathml, symbols } = step.equation;
  const math = h("div", { class: "math" });
  math.append(mathOf(mathml, symbols));
  math.querySelector("math")?.setAttribute("alttext", plain);
  const terms = Object.entries(symbols).map(([symbol, name]) => term(symbol, name));
  return h(
    "section",
    { class: "equation", "aria-label": "equation" },
    math,
    terms.length > 0 && h("p", { class: "terms" }, terms),
  );
}

function mathOf(mathml, symbols) {
  const math = new DOMParser().parseFromString(mathml, "text/html").querySelector("math");
  if (!math) return document.createTextNode("");
  for (const element of math.querySelectorAll("[data-symbol]")) {
    const { symbol } = element.dataset;
    if (!(symbol in symbols)) continue;
    element.style.setProperty("--q", hue(symbols[symbol]));
    element.classList.add("term");
    element.addEventListener("click", () => mark(symbol));
  }
  return math;
}

function term(symbol, name) {
  return h(
    "button",
    {
      type: "button",
      class: "term",
      "data-symbol": symbol,
      colour: hue(name),
      "aria-pressed": "false",
      on: { click: () => mark(symbol) },
    },
    h("b", {}, name),
    " ",
    h("span", {}, meaning(name)),
  );
}

/** Mark a symbol everywhere it stands, or unmark it. */
export function mark(symbol) {
  change({ symbol: state.symbol === symbol ? null : symbol });
}

/** While the pointer is on a symbol, light it up wherever it stands. */
export function lightUp(event) {
  const symbol = event.target.closest?.("[data-symbol]")?.dataset.symbol;
  for (const element of document.querySelectorAll(".lit")) {
    if (element.dataset.symbol !== symbol) element.classList.remove("lit");
  }
  if (symbol === undefined || document.querySelector(".lit")) return;
  for (const element of document.querySelectorAll("[data-symbol]")) {
    if (element.dataset.symbol === symbol && !element.matches("td")) element.classList.add("lit");
  }
}

/** Show what is marked: every element of that symbol, and no other. */
export function showMarks() {
  for (const element of document.querySelectorAll("[data-symbol]")) {
    const on = state.symbol !== null && element.dataset.symbol === state.symbol;
    element.classList.toggle("linked", on);
    if (element.hasAttribute("aria-pressed")) element.setAttribute("aria-pressed", String(on));
    if (on) element.closest("details")?.setAttribute("open", "");
  }
}

/** Return the lines of code that ran, with numbers; names of the step's terms can be clicked. */
export function code(step) {
  if (step.source.length === 0) return null;
  const names = identifiers(step);
  const blocks = grouped(step.source).map((spans) =>
    h(
      "figure",
      { class: "code" },
      h("figcaption", {}, `${spans[0].module}.${spans[0].function}, ${where(spans)}`),
      h(
        "pre",
        { tabindex: 0 },
        h(
          "code",
          {},
          spans.map((span) => lines(span, names, step.equation.symbols)),
        ),
      ),
    ),
  );
  return h("section", { class: "source", "aria-label": "the lines that ran" }, blocks);
}

/** Put neighbouring spans of one function together. */
function grouped(sources) {
  const out = [];
  for (const span of sources) {
    const last = out.at(-1)?.[0];
    if (last && last.module === span.module && last.function === span.function)
      out.at(-1).push(span);
    else out.push([span]);
  }
  return out;
}

function where(spans) {
  const told = spans.map(({ first, last }) =>
    first === last ? `${first}` : `${first} to ${last}`,
  );
  return `${told.length > 1 || spans[0].first !== spans[0].last ? "lines" : "line"} ${told.join(", ")}`;
}

function lines(source, names, symbols) {
  const rows = source.text.replace(/\n$/, "").split("\n");
  const indent = Math.min(
    ...rows.filter((row) => row.trim()).map((row) => row.match(/^ */)[0].length),
  );
  return rows.map((row, k) =>
    h(
      "span",
      { class: k ? "line" : "line first", "data-line": source.first + k },
      words(row.slice(indent), names, symbols),
      "\n",
    ),
  );
}

/** Split a line into text and marked identifiers; what follows a # is comment. */
function words(text, names, symbols) {
  const at = text.search(/(^|\s)#/);
  const [run, comment] = at < 0 ? [text, ""] : [text.slice(0, at), text.slice(at)];
  const out = run.split(/([A-Za-z_][A-Za-z_0-9.]*)/).map((word) => {
    const symbol = names[word];
    if (symbol === undefined) return word;
    return h(
      "span",
      {
        class: "term",
        "data-symbol": symbol,
        colour: hue(symbols[symbol]),
        on: { click: () => mark(symbol) },
      },
      word,
    );
  });
  return [...out, comment && h("span", { class: "comment" }, comment)];
}

/** Return which identifier of the code stands for which symbol. */
function identifiers(step) {
  const text = step.source.map((source) => source.text).join("\n");
  const out = {};
  for (const [symbol, name] of Object.entries(step.equation.symbols)) {
    for (const word of step.equation.code?.[symbol] ?? inCode(name)) {
      if (new RegExp(`(^|[^A-Za-z_0-9.])${word}([^A-Za-z_0-9]|$)`).test(text)) out[word] ??= symbol;
    }
  }
  return out;
}
