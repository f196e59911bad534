// The inspector: the terms, the gradient and the uses of the selected number.

import { button, byId, h, put, section } from "./dom.js";
import { cellName, explain } from "./explain.js";
import { allDigits, shapeText, five, unflat } from "./numbers.js";
import { hue, meaning } from "./quantities.js";
import { change, state } from "./state.js";
import { reads } from "./recompute.js";

const MAX_TERMS = 12; // terms listed one by one; the others are summed in one line

/** Show the selected cell, or the symbols of the step. */
export function showInspector(trace, recorded, step, goTo) {
  const tensor = state.cell && trace.tensors.get(state.cell.name);
  if (!tensor || !(state.cell.index < tensor.data.length)) {
    put(
      byId("inspector"),
      h("h2", "Selected number"),
      h("p.note", "Select a table cell to see its terms, its gradient and the steps that use it."),
      quantities(trace, step, goTo),
    );
    return;
  }
  const cell = unflat(tensor.shape, state.cell.index);
  put(
    byId("inspector"),
    h("h2", "Selected number"),
    h(
      "p.chosen",
      { colour: hue(tensor.name) },
      h("span.name", cellName(trace, tensor.name, cell)),
      h(
        "output",
        { "data-value": allDigits(tensor.data[state.cell.index]) },
        ` = ${five(tensor.data[state.cell.index])}`,
      ),
    ),
    h("p.meaning", meaning(tensor.name)),
    was(recorded, tensor),
    terms(trace, tensor),
    gradient(trace, tensor, state.cell.index, cell),
    next(trace, tensor, goTo),
    quantities(trace, step, goTo),
  );
}

/** List the meaning and the source of each symbol of the step. */
function quantities(trace, step, goTo) {
  const entries = Object.entries(step.equation.symbols).filter(([, name]) =>
    trace.tensors.has(name),
  );
  if (entries.length === 0) return null;
  const items = entries.map(([symbol, name]) => {
    const from = trace.steps[trace.stepOf.get(name)];
    const origin =
      from === step ? "computed in this step" : ["from ", button(from.id, () => goTo(from.id))];
    return h(
      "li",
      { "data-symbol": symbol, colour: hue(name) },
      h("b", name),
      " ",
      meaning(name),
      h("span.note", ` (${shapeText(trace.tensors.get(name))}; `, origin, ")"),
    );
  });
  const title = h("h3", "Symbols of this step");
  return section("quantities", "symbols of this step", title, h("ul", items));
}

function was(recorded, tensor) {
  const before = recorded.tensors.get(tensor.name);
  if (!before || before === tensor || before.data.length !== tensor.data.length) return null;
  return h("p.note", `Recorded: ${five(before.data[state.cell.index])}`);
}

function terms(trace, tensor) {
  const explanation = explain(trace, tensor.name, state.cell.index);
  const box = h("section.terms-of", {
    "data-rule": explanation.rule,
    "data-total": allDigits(explanation.total),
    "aria-label": "terms",
  });
  box.append(h("p", explanation.text));
  if (explanation.rule === "input" || explanation.terms.length === 0) return box;
  box.append(list(explanation.terms, explanation.rule === "quotient" ? "above" : "sum"));
  if (explanation.below)
    box.append(h("p", "divided by the sum of"), list(explanation.below, "below"));
  const last = { sum: "sum", quotient: "quotient", log: "logarithm" }[explanation.rule] ?? "";
  box.append(h("p.total", `${last} ${five(explanation.total)}`));
  return box;
}

/** List the terms, the largest first; further terms in one line. */
function list(all, role) {
  const sorted = [...all].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const most = sorted.reduce((top, t) => Math.max(top, Math.abs(t.value)), 0);
  const draw = (terms) => terms.map((term) => item(term, most));
  const body = h("ul.list", { "data-role": role }, draw(sorted.slice(0, MAX_TERMS)));
  const remaining = sorted.slice(MAX_TERMS);
  if (remaining.length) {
    const total = remaining.reduce((a, t) => a + t.value, 0);
    const expand = button(`${remaining.length} more terms: ${five(total)}`, () =>
      expand.parentElement.replaceWith(...draw(remaining)),
    );
    body.append(h("li.rest", { "data-term": allDigits(total) }, expand));
  }
  return body;
}

function item(term, most) {
  const bar = h("span", { class: term.value < 0 ? "bar negative" : "bar", "aria-hidden": "true" });
  bar.style.width = `${most > 0 ? (100 * Math.abs(term.value)) / most : 0}%`;
  return h(
    "li",
    { "data-term": allDigits(term.value) },
    h("span.what", h("bdi", `${term.sign < 0 ? "− " : ""}${term.label}`)),
    term.numbers && h("span.numbers", term.numbers),
    h("span.value", five(term.value)),
    bar,
  );
}

/** Show the gradient of the loss with respect to the selected number. */
function gradient(trace, tensor, index, cell) {
  const closed = closedOf(trace, tensor);
  if (!closed || !trace.tensors.has("loss")) return null;
  const value = closed.data[index];
  const open = () => change({ cell: { name: closed.name, index } });
  return h(
    "section.gradient",
    { "data-closed": allDigits(value), "aria-label": "gradient" },
    h("h3", "Gradient"),
    h("dl", h("dt", button(cellName(trace, closed.name, cell), open)), h("dd", five(value))),
  );
}

/** Return the gradient of the loss with respect to a tensor, through all its uses. */
function closedOf(trace, tensor) {
  const scaled = (trace.tensors.get("beta")?.data[0] ?? 1) !== 1;
  if (/^o(_t)?$/.test(tensor.name) && scaled) return null; // the gradient is recorded before the temperature
  const closed = trace.tensors.get(tensor.name === "t" ? "d_target" : `d_${tensor.name}`);
  const fits = closed?.data.length === tensor.data.length && tensor.dtype === "float64";
  return fits ? closed : null;
}

/** List the steps that use a tensor; first the step that computes it, if it uses it too. */
function next(trace, tensor, goTo) {
  const producer = trace.stepOf.get(tensor.name);
  const ownUses = trace.steps[producer].outputs.filter(({ recipe }) =>
    reads(recipe).includes(tensor.name),
  );
  const links = (trace.readers.get(tensor.name) ?? []).map((index) => {
    const { id, title } = trace.steps[index];
    return h(
      "li",
      button(id, () => goTo(id)),
      " ",
      h("span.titled", title),
    );
  });
  if (ownUses.length > 0)
    links.unshift(h("li", `in the same step, for ${ownUses.map(({ name }) => name).join(", ")}`));
  const content = links.length ? h("ul", links) : h("p.note", "no step of this trace");
  return section("next", "used by", h("h3", "Used by"), content);
}
