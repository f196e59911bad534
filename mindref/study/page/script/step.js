// The main column: one step.

import { button, byId, h, prose, put, section } from "./dom.js";
import { code, equation, showMarks } from "./equation.js";
import { label } from "./explain.js";
import { foldedFigures } from "./folds.js";
import { axisName, minus, tiny, unflat } from "./numbers.js";
import { numbersHidden, predictBox } from "./prediction.js";
import { change } from "./state.js";
import { squashLengths } from "./squash_lengths.js";
import { tensorFigure } from "./table.js";

/** Show a step of the trace; `recorded` is the trace without edits. */
export function showStep(trace, recorded, step) {
  const index = trace.steps.indexOf(step);
  const changed = step.outputs.some((tensor) => recorded.tensors.get(tensor.name) !== tensor);
  put(
    byId("step"),
    h(
      "p.position",
      `${PHASES[step.phase]} · ${iterationText(step)}step ${index + 1} of ${trace.steps.length} · `,
      h("code", step.id),
    ),
    h("h2", { tabindex: -1, id: "step-title" }, step.title),
    changed && h("p.badge", "edited: recomputed in this page from your changes"),
    reason(trace, step),
    index === 0 && welcome(trace),
    equation(step),
    predictBox(step),
    numbersHidden(step) ? null : results(trace, recorded, step),
    code(step),
    numbersHidden(step) ? null : inputs(trace, recorded, step),
    references(step),
  );
  showMarks();
}

/** Return the reason of the step; for a later iteration, what it changed. */
function reason(trace, step) {
  const why = h("p.why", prose(step.why));
  if (!step.change || trace.edits || numbersHidden(step)) return why;
  const changed = h("p.why", h("bdi", step.change));
  const first = trace.steps.find(({ kind }) => kind === step.kind);
  if (first === step) return [why, changed];
  const link = button(`iteration ${first.number}`, () => change({ step: first.id }), LINK);
  return [changed, h("p.note", "The formula is that of ", link, ".")];
}

const QUIET = { class: "quiet" };
const LINK = { class: "link" };

/** Return the iteration of a routing step as text. */
const iterationText = (step) =>
  step.number && step.kind.startsWith("routing.") ? `iteration ${step.number} · ` : "";

const variantButton = (name) =>
  button(name, () => change({ variant: name, view: "variants" }), QUIET);

/** Return the introduction, shown at the first step. */
function welcome(trace) {
  return h(
    "div.callout",
    h(
      "p",
      `This page shows one training pair in ${trace.steps.length} steps: from film ids to the loss, the backward pass, one optimiser step, and serving. Every number was recorded while the reference implementation ran.`,
    ),
    h(
      "p",
      "Press ",
      h("kbd", "→"),
      " for the next step. Select a number to see its terms, its gradient and the steps that use it. If you change a number, the page recomputes all dependent numbers.",
    ),
  );
}

export const PHASES = {
  forward: "forward",
  backward: "backward",
  update: "optimiser",
  serve: "serving",
};

const symbolOf = (step, name) =>
  Object.entries(step.equation.symbols).find(([, other]) => other === name)?.[0];

const optionsOf = (recorded, step, name) => ({
  symbol: symbolOf(step, name),
  recorded: recorded.tensors.get(name) ?? null,
});

const figureOf = (trace, recorded, step, name) =>
  tensorFigure(trace, trace.tensors.get(name), optionsOf(recorded, step, name));

function results(trace, recorded, step) {
  return section(
    "results",
    "results",
    squashLengths(trace, step),
    foldedFigures(trace, step, (name) => optionsOf(recorded, step, name)),
    trace.edits && moves(trace, step),
    invariants(trace, step),
  );
}

/** Return the largest change since the previous iteration. */
function moves(trace, step) {
  return step.outputs.flatMap((tensor) => {
    const match = tensor.name.match(/^([wub])\[(\d+)\]$/);
    const before = match && trace.tensors.get(`${match[1]}[${match[2] - 1}]`);
    if (!before || before.data.length !== tensor.data.length) return [];
    let most = 0;
    tensor.data.forEach((x, k) => {
      if (Math.abs(x - before.data[k]) > Math.abs(tensor.data[most] - before.data[most])) most = k;
    });
    const by = tensor.data[most] - before.data[most];
    const cell = unflat(tensor.shape, most).map((k, axis) => label(trace, tensor.axes[axis], k));
    const text = `Largest change of ${match[1]} since the previous iteration: `;
    const change = ` ${by > 0 ? "+" : ""}${minus(by.toFixed(3))}.`;
    return [h("p.moves", text, h("bdi", cell.join(" → ")), change)];
  });
}

/** Return the recorded invariants; edited numbers have none. */
function invariants(trace, step) {
  const stale = step.outputs.some((tensor) => trace.touched?.has(tensor.name));
  if (stale || step.invariants.length === 0) return null;
  const items = step.invariants.map(({ text, holds, residual, tolerance }) => {
    const how = ` (deviation ${tiny(residual)}, tolerance ${tiny(tolerance)})`;
    const result = `${text}: ${holds ? "holds" : "FAILS"}`;
    return h(holds ? "li.holds" : "li.fails", result, h("span.residual", how));
  });
  return section("invariants", "invariants", h("h3", "Invariants"), h("ul", items));
}

/** Return the tensors that the step reads, each folded. */
function inputs(trace, recorded, step) {
  const outputs = step.outputs.map(({ name }) => name);
  const names = new Set([...step.inputs, ...Object.values(step.equation.symbols)]);
  const all = [...names].filter((name) => trace.tensors.has(name) && !outputs.includes(name));
  if (all.length === 0) return null;
  const boxes = all.map((name) => {
    const axes = trace.tensors.get(name).axes.map(axisName).join(" × ") || "one number";
    const symbol = { "data-symbol": symbolOf(step, name) };
    const box = h(
      "details.input",
      h("summary", symbol, `reads ${name}`, h("span.shape", ` ${axes}`)),
    );
    const draw = () => {
      if (!box.open || box.querySelector("figure")) return;
      box.append(figureOf(trace, recorded, step, name));
      showMarks();
    };
    box.addEventListener("toggle", draw);
    return box;
  });
  return section("inputs", "inputs", boxes);
}

function references(step) {
  const rows = [
    ["paper", step.paper],
    ["specification", step.equation.pages.join(", ")],
    ["rules", step.rules.join(", ")],
    ["variants of public code", step.variants.map((name) => variantButton(name))],
    ["exercises", step.exercises.map((name) => `mindref study --exercise ${name}`).join(", ")],
  ].filter(([, text]) => text.length);
  return h("dl.sources", ...rows.flatMap(([name, text]) => [h("dt", name), h("dd", text)]));
}
