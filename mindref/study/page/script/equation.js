// The equation and the source lines of a step; their symbols are linked to the tensors.

import { button, h, section } from "./dom.js";
import { hue, inCode, meaning } from "./quantities.js";
import { change, state } from "./state.js";

/** Return the equation: MathML with clickable symbols, and a button for each symbol. */
export function equation(step) {
  const { plain, mathml, symbols, letters } = step.equation;
  const math = h("div.math");
  math.append(mathOf(mathml, symbols));
  math.querySelector("math")?.setAttribute("alttext", plain.replaceAll("\n", "; "));
  const lettersOf = (name) => Object.keys(letters).filter((letter) => letters[letter] === name);
  const terms = Object.entries(symbols).map(([symbol, name]) => term(symbol, name, lettersOf(name)));
  return section("equation", "equation", math, terms.length > 0 && h("p.terms", terms));
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

/** Return the button of a tensor; `letters` are its names in the formulas, if they differ. */
function term(symbol, name, letters) {
  const equals = letters.map((letter) => `${letter} = `).join("");
  return button([equals, h("b", name), " ", h("span", meaning(name))], () => mark(symbol), {
    class: "term",
    "data-symbol": symbol,
    colour: hue(name),
    "aria-pressed": "false",
  });
}

/** Mark every occurrence of a symbol, or remove the mark. */
export function mark(symbol) {
  change({ symbol: state.symbol === symbol ? null : symbol });
}

/** Highlight every occurrence of the symbol under the pointer. */
export function highlight(event) {
  const symbol = event.target.closest?.("[data-symbol]")?.dataset.symbol;
  for (const element of document.querySelectorAll(".lit")) {
    if (element.dataset.symbol !== symbol) element.classList.remove("lit");
  }
  if (symbol === undefined || document.querySelector(".lit")) return;
  for (const element of document.querySelectorAll("[data-symbol]")) {
    if (element.dataset.symbol === symbol && !element.matches("td")) element.classList.add("lit");
  }
}

/** Show the marked symbol: every element of this symbol, and no other. */
export function showMarks() {
  for (const element of document.querySelectorAll("[data-symbol]")) {
    const on = state.symbol !== null && element.dataset.symbol === state.symbol;
    element.classList.toggle("linked", on);
    if (element.hasAttribute("aria-pressed")) element.setAttribute("aria-pressed", String(on));
    if (on) element.closest("details")?.setAttribute("open", "");
  }
}

/** Return the source lines of the step with line numbers; its symbols are clickable. */
export function code(step) {
  if (step.source.length === 0) return null;
  const names = identifiers(step);
  const blocks = grouped(step.source).map((spans) =>
    h(
      "figure.code",
      h("figcaption", `${spans[0].module}.${spans[0].function}, ${lineNumbers(spans)}`),
      h("pre", { tabindex: 0 }, h("code", ...spans.map((span) => lines(span, names, step)))),
    ),
  );
  return section("source", "source lines", blocks);
}

/** Group consecutive spans of the same function. */
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

function lineNumbers(spans) {
  const ranges = spans.map(({ first, last }) =>
    first === last ? `${first}` : `${first} to ${last}`,
  );
  return `${ranges.length > 1 || spans[0].first !== spans[0].last ? "lines" : "line"} ${ranges.join(", ")}`;
}

function lines(source, names, { equation: { symbols } }) {
  const rows = source.text.replace(/\n$/, "").split("\n");
  const indent = Math.min(...rows.filter((row) => row.trim()).map((row) => row.search(/\S/)));
  return rows.map((row, k) =>
    h(
      "span",
      { class: k ? "line" : "line first", "data-line": source.first + k },
      linkIdentifiers(row.slice(indent), names, symbols),
      "\n",
    ),
  );
}

/** Split a line into text, linked identifiers and the comment after a #. */
function linkIdentifiers(text, names, symbols) {
  const start = text.search(/(^|\s)#/);
  const [run, comment] = start < 0 ? [text, ""] : [text.slice(0, start), text.slice(start)];
  const out = run.split(/([A-Za-z_][A-Za-z_0-9.]*)/).map((word) => {
    const symbol = names[word];
    if (symbol === undefined) return word;
    const link = { "data-symbol": symbol, colour: hue(symbols[symbol]) };
    return h("span.term", { ...link, on: { click: () => mark(symbol) } }, word);
  });
  return [...out, comment && h("span.comment", comment)];
}

/** Return the symbol of each identifier in the source lines. */
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
