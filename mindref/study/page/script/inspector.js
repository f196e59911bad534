// "This number": where it comes from, its gradient, and where it goes.

import { h, put, byId } from "./dom.js";
import { cellName, explain } from "./explain.js";
import { six, tiny, unflat, whole } from "./numbers.js";
import { hue, meaning } from "./quantities.js";
import { change, state } from "./state.js";
import { slope } from "./twin.js";

const SHOWN = 12; // terms before the rest is summed up in one line

/** Show the chosen cell, or what can be chosen. */
export function showInspector(trace, recorded, step, goTo) {
  const place = byId("inspector");
  const tensor = state.cell && trace.tensors.get(state.cell.name);
  if (!tensor || !(state.cell.at < tensor.data.length)) {
    put(
      place,
      h("h2", {}, "This number"),
      h(
        "p",
        { class: "note" },
        "Choose a cell of a table to see the terms it is made of, its gradient and where it is used next.",
      ),
      quantities(trace, step, goTo),
    );
    return;
  }
  const cell = unflat(tensor.shape, state.cell.at);
  put(
    place,
    h("h2", {}, "This number"),
    h(
      "p",
      { class: "chosen", colour: hue(tensor.name) },
      h("span", { class: "name" }, cellName(trace, tensor.name, cell)),
      h(
        "output",
        { "data-value": whole(tensor.data[state.cell.at]) },
        ` = ${six(tensor.data[state.cell.at])}`,
      ),
    ),
    h("p", { class: "meaning" }, meaning(tensor.name)),
    was(recorded, tensor),
    terms(trace, tensor),
    gradient(trace, tensor, state.cell.at, cell),
    next(trace, tensor, goTo),
    quantities(trace, step, goTo),
  );
}

/** List what the symbols of the step stand for, and where each comes from. */
function quantities(trace, step, goTo) {
  const entries = Object.entries(step.equation.symbols).filter(([, name]) =>
    trace.tensors.has(name),
  );
  if (entries.length === 0) return null;
  const items = entries.map(([symbol, name]) => {
    const tensor = trace.tensors.get(name);
    const from = trace.steps[trace.stepOf.get(name)];
    const shape = tensor.shape.length
      ? `${tensor.axes.join(" × ")}, ${tensor.shape.join(" × ")}`
      : "one number";
    const origin =
      from === step
        ? "made here"
        : ["from ", h("button", { type: "button", on: { click: () => goTo(from.id) } }, from.id)];
    return h(
      "li",
      { "data-symbol": symbol, colour: hue(name) },
      h("b", {}, name),
      " ",
      meaning(name),
      h("span", { class: "note" }, ` (${shape}; `, origin, ")"),
    );
  });
  return h(
    "section",
    { class: "quantities", "aria-label": "symbols of this step" },
    h("h3", {}, "Symbols of this step"),
    h("ul", {}, items),
  );
}

function was(recorded, tensor) {
  const before = recorded.tensors.get(tensor.name);
  if (!before || before === tensor || before.data.length !== tensor.data.length) return null;
  return h("p", { class: "note" }, `Recorded: ${six(before.data[state.cell.at])}`);
}

function terms(trace, tensor) {
  const found = explain(trace, tensor.name, state.cell.at);
  const box = h("section", {
    class: "terms-of",
    "data-rule": found.rule,
    "data-total": whole(found.total),
    "aria-label": "its terms",
  });
  box.append(h("p", {}, found.text));
  if (found.rule === "given" || found.terms.length === 0) return box;
  box.append(list(found.terms, found.rule === "quotient" ? "above" : "sum"));
  if (found.below) box.append(h("p", {}, "over the sum of"), list(found.below, "below"));
  const last = { sum: "in all", quotient: "the quotient", log: "its logarithm" }[found.rule] ?? "";
  box.append(h("p", { class: "total" }, `${last} ${six(found.total)}`));
  return box;
}

/** List the terms, the largest first, and the rest in one line. */
function list(all, role) {
  const sorted = [...all].sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const most = sorted.reduce((top, t) => Math.max(top, Math.abs(t.value)), 0);
  const body = h("ul", { class: "list", "data-role": role });
  const draw = (some) => some.map((term) => item(term, most));
  body.append(...draw(sorted.slice(0, SHOWN)));
  const rest = sorted.slice(SHOWN);
  if (rest.length) {
    const total = rest.reduce((a, t) => a + t.value, 0);
    const more = h(
      "button",
      { type: "button", on: { click: () => more.parentElement.replaceWith(...draw(rest)) } },
      `${rest.length} more terms: ${six(total)}`,
    );
    body.append(h("li", { class: "rest", "data-term": whole(total) }, more));
  }
  return body;
}

function item(term, most) {
  const bar = h("span", { class: term.value < 0 ? "bar negative" : "bar", "aria-hidden": "true" });
  bar.style.width = `${most > 0 ? (100 * Math.abs(term.value)) / most : 0}%`;
  return h(
    "li",
    { "data-term": whole(term.value) },
    h("span", { class: "what" }, h("bdi", {}, `${term.sign < 0 ? "− " : ""}${term.label}`)),
    term.numbers && h("span", { class: "numbers" }, term.numbers),
    h("span", { class: "value" }, six(term.value)),
    bar,
  );
}

/** Show the closed gradient beside a finite difference that this page computes now. */
function gradient(trace, tensor, at, cell) {
  const closed = closedOf(trace, tensor);
  if (!closed || !trace.tensors.has("loss")) return null;
  const value = closed.data[at];
  const { value: moved, noise } = slope(trace, tensor.name, at);
  const off = Math.abs(value - moved) / Math.max(Math.abs(value), Math.abs(moved), 1e-8);
  const open = () => change({ cell: { name: closed.name, at } });
  return h(
    "section",
    {
      class: "gradient",
      "data-closed": whole(value),
      "data-moved": whole(moved),
      "aria-label": "its gradient",
    },
    h("h3", {}, "Its gradient"),
    h(
      "dl",
      {},
      h(
        "dt",
        {},
        h("button", { type: "button", on: { click: open } }, cellName(trace, closed.name, cell)),
      ),
      h("dd", {}, six(value)),
      h("dt", {}, "finite difference, computed here now"),
      h("dd", {}, six(moved)),
      h("dt", {}, "relative difference"),
      h("dd", {}, tiny(off)),
    ),
    off > 1e-5 && h("p", { class: "note" }, why(trace, tensor, Math.abs(value - moved) <= noise)),
  );
}

/** Return the tensor that is the gradient of the loss by this one, in all its uses. */
function closedOf(trace, tensor) {
  const scaled = (trace.tensors.get("beta")?.data[0] ?? 1) !== 1;
  if (/^o(_t)?$/.test(tensor.name) && scaled) return null; // recorded before the temperature
  const closed = trace.tensors.get(tensor.name === "t" ? "d_target" : `d_${tensor.name}`);
  const fits = closed?.data.length === tensor.data.length && tensor.dtype === "float64";
  return fits ? closed : null;
}

function why(trace, tensor, noise) {
  if (noise) {
    return "The gradient is so small that the difference is rounding alone: it cannot see it.";
  }
  if (trace.about.config.routing_gradient === "last") {
    return "They differ: this model's gradient holds the weights of the last round and leaves out the earlier rounds, the finite difference does not. That is what “stop-gradient” means.";
  }
  if (trace.cells?.size) {
    return "They differ: you hold a number in between. Nothing passes through it in the difference; the formula of the gradient does not know that it is held.";
  }
  return `They differ: near a corner of the loss, or because ${tensor.name} is used in a way that this gradient does not count.`;
}

/** Return whether a recipe reads a tensor: among its terms, or as a whole. */
function reads({ of, terms }, name) {
  const factors = (terms ?? []).flatMap((term) => term.factors ?? []);
  return [...factors, ...(Array.isArray(of) ? of : [])].some((place) => place.of === name);
}

/** List the steps that use a tensor; the one that makes it first, where it goes on using it. */
function next(trace, tensor, goTo) {
  const own = trace.stepOf.get(tensor.name);
  const here = trace.steps[own].outputs.filter(({ recipe }) => reads(recipe, tensor.name));
  const links = (trace.users.get(tensor.name) ?? []).map((at) =>
    h(
      "li",
      {},
      h(
        "button",
        { type: "button", on: { click: () => goTo(trace.steps[at].id) } },
        trace.steps[at].id,
      ),
      " ",
      h("span", { class: "titled" }, trace.steps[at].title),
    ),
  );
  if (here.length > 0)
    links.unshift(h("li", {}, `in its own step, for ${here.map(({ name }) => name).join(", ")}`));
  return h(
    "section",
    { class: "next", "aria-label": "used next" },
    h("h3", {}, "Used next"),
    links.length ? h("ul", {}, links) : h("p", { class: "note" }, "by no step of this trace"),
  );
}
