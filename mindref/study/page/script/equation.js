// The equation and the source lines of a step; their symbols are linked to the tensors.

import { button, h, section } from "./dom.js";
import { hue, inCode, meaning } from "./quantities.js";
import { change, state } from "./state.js";

const MATHML = "http://www.w3.org/1998/Math/MathML";

/** Return the equation: MathML with linked symbols, and a legend of all symbols. */
export function equation(step) {
  const { plain, mathml, symbols, letters, constants } = step.equation;
  const math = mathOf(mathml, symbols);
  math.setAttribute("alttext", plain.replaceAll("\n", "; "));
  const lettersOf = (name) => Object.keys(letters).filter((letter) => letters[letter] === name);
  const terms = Object.entries(symbols).map(([symbol, name]) =>
    term(math, symbol, name, lettersOf(name)),
  );
  const named = Object.entries(constants).map(([name, text]) => constant(math, name, text));
  return section(
    "equation",
    "equation",
    h("div.math", math),
    terms.length > 0 && h("p.terms", terms),
    named.length > 0 && h("dl.constants", named),
  );
}

/** Return the MathML element. For the keyboard, each symbol has a button in the legend. */
function mathOf(mathml, symbols) {
  const math = new DOMParser().parseFromString(mathml, "text/html").querySelector("math");
  for (const element of math.querySelectorAll("[data-symbol]")) {
    element.style.setProperty("--q", hue(symbols[element.dataset.symbol]));
    element.classList.add("term");
  }
  return math;
}

/** Return a copy of a part of the equation, without its links. */
function copied(element) {
  const part = element.cloneNode(true);
  for (const one of [part, ...part.querySelectorAll("*")])
    for (const { name } of [...one.attributes])
      if (/^(data-|class|style)/.test(name)) one.removeAttribute(name);
  const math = document.createElementNS(MATHML, "math");
  math.append(part);
  return math;
}

/** Return the text of a symbol without its indices. */
function letterOf(element) {
  const copy = element.cloneNode(true);
  for (const part of [copy, ...copy.querySelectorAll("msub, msubsup")])
    if (/^msub/i.test(part.localName)) part.children[1].remove();
  return copy.textContent;
}

/** Return the occurrences of a symbol in the formulas, one for each letter. */
function lettersIn(math, symbol) {
  const occurrences = [...math.querySelectorAll(`[data-symbol="${CSS.escape(symbol)}"]`)];
  const letters = occurrences.map(letterOf);
  return occurrences.filter((_, k) => letters.indexOf(letters[k]) === k);
}

/** Return the button of a tensor; `letters` are its names in the formulas, if they differ. */
function term(math, symbol, name, letters) {
  const shown = lettersIn(math, symbol).filter((element) => element.textContent !== name);
  const printed = shown.flatMap((element, k) => [k ? ", " : "", copied(element)]);
  const text = [printed, shown.length > 0 && " = ", h("b", name), " ", h("span", meaning(name))];
  return button(text, null, {
    class: "term",
    "data-symbol": symbol,
    "data-letters": letters.join(" "),
    colour: hue(name),
    "aria-pressed": "false",
  });
}

/** Return the entry of a name that is no tensor. */
function constant(math, name, text) {
  const first = math.querySelector(`[data-constant="${CSS.escape(name)}"]`);
  return h("div", h("dt", copied(first)), h("dd", text));
}

/** Mark every occurrence of a symbol, or remove the mark. */
export function mark(symbol) {
  change({ symbol: state.symbol === symbol ? null : symbol });
}

const MARKS = "math [data-symbol], .code [data-symbol], .tensor .name[data-symbol], button[data-symbol]";

/** Mark the symbol that was clicked, touched or chosen with Enter. */
function chooseSymbol(event) {
  const element = event.target.closest?.(MARKS);
  if (!element || (event.type === "keydown" && !pressedOn(element, event))) return;
  mark(element.dataset.symbol);
}

/** Return whether Enter or the space bar was pressed on an element that is no button. */
function pressedOn(element, event) {
  const chosen = [" ", "Enter"].includes(event.key) && element === event.target;
  if (!chosen || element.matches("button")) return false; // a button has its own click
  event.preventDefault();
  return true;
}

/** Highlight every occurrence of the symbol under the pointer, or with the focus. */
export function highlight(event) {
  const target = event.type === "focusout" ? event.relatedTarget : event.target;
  const symbol = target?.closest?.("[data-symbol]")?.dataset.symbol;
  for (const element of document.querySelectorAll(".lit")) {
    if (element.dataset.symbol !== symbol) element.classList.remove("lit");
  }
  if (symbol === undefined || document.querySelector(".lit")) return;
  for (const element of document.querySelectorAll("[data-symbol]")) {
    if (element.dataset.symbol === symbol && !element.matches("td")) element.classList.add("lit");
  }
}

document.addEventListener("click", chooseSymbol);
document.addEventListener("keydown", chooseSymbol);
document.addEventListener("focusin", highlight);
document.addEventListener("focusout", highlight);

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
  const symbol = assigned(source.text, names);
  return rows.map((row, k) =>
    h(
      "span",
      {
        class: k ? "line" : "line first",
        "data-line": source.first + k,
        "data-symbol": symbol,
        colour: symbol && hue(symbols[symbol]),
      },
      linkIdentifiers(row.slice(indent), names, symbols),
      "\n",
    ),
  );
}

/** Return the symbol that a statement assigns to; undefined for none. */
function assigned(text, names) {
  const left = text.match(/^([\w., ]+?) [-+]?= /)?.[1] ?? "";
  return left
    .split(", ")
    .map((word) => names[word])
    .find((symbol) => symbol !== undefined);
}

/** Split a line into text, linked identifiers and the comment after a #. */
function linkIdentifiers(text, names, symbols) {
  const start = text.search(/(^|\s)#/);
  const [run, comment] = start < 0 ? [text, ""] : [text.slice(0, start), text.slice(start)];
  const out = run.split(/([A-Za-z_][A-Za-z_0-9.]*)/).map((word) => {
    const symbol = names[word];
    if (symbol === undefined) return word;
    const link = { "data-symbol": symbol, colour: hue(symbols[symbol]) };
    return h("span.term", link, word);
  });
  return [...out, comment && h("span.comment", comment)];
}

/** Return the symbol of each identifier in the source lines. */
function identifiers(step) {
  const text = step.source.map((source) => source.text).join("\n");
  const out = {};
  for (const [symbol, name] of Object.entries(step.equation.symbols)) {
    for (const word of inCode(name)) {
      if (new RegExp(`(^|[^A-Za-z_0-9.])${word}([^A-Za-z_0-9]|$)`).test(text)) out[word] ??= symbol;
    }
  }
  return out;
}
