// The main column: one step, read from top to bottom.

import { residual } from "./checks.js";
import { byId, h, prose, put } from "./dom.js";
import { code, equation, showMarks } from "./equation.js";
import { label } from "./explain.js";
import { minus, tiny, unflat } from "./numbers.js";
import { heldBack, predictBox } from "./predict.js";
import { change } from "./state.js";
import { tensorFigure } from "./table.js";

/** Show a step of the trace at hand; `recorded` is the trace without edits. */
export function showStep(trace, recorded, step) {
  const at = trace.steps.indexOf(step);
  const changed = step.outputs.some((tensor) => recorded.tensors.get(tensor.name) !== tensor);
  put(
    byId("step"),
    h(
      "p",
      { class: "place" },
      `${PHASES[step.phase]} · ${roundOf(step)}step ${at + 1} of ${trace.steps.length} · `,
      h("code", {}, step.id),
    ),
    h("h2", { tabindex: -1, id: "step-title" }, step.title),
    changed &&
      h(
        "p",
        { class: "badge" },
        "edited: these numbers are computed in this page from your changes",
      ),
    h("p", { class: "why" }, prose(step.why)),
    at === 0 && welcome(trace),
    equation(step),
    predictBox(step),
    heldBack(step) ? null : results(trace, recorded, step),
    code(step),
    inputs(trace, recorded, step),
    references(step),
  );
  showMarks();
}

/** Say which round a step of the routing belongs to. */
const roundOf = (step) =>
  step.turn && step.kind.startsWith("routing.") ? `round ${step.turn} · ` : "";

const deviation = (name) =>
  h(
    "button",
    {
      type: "button",
      class: "quiet",
      on: { click: () => change({ variant: name, view: "bench" }) },
    },
    name,
  );

/** What the page is about, said once, at its first step. */
function welcome(trace) {
  return h(
    "div",
    { class: "callout" },
    h(
      "p",
      {},
      `This page follows one training pair through the whole model in ${trace.steps.length} steps: from ids to the loss, all the way back, one step of the optimiser, and serving. Every number is the one that the running code had.`,
    ),
    h(
      "p",
      {},
      "Go on with ",
      h("kbd", {}, "→"),
      ". Choose any number to see the terms it is made of, its gradient and where it goes. Change one, and everything after it is computed again.",
    ),
  );
}

export const PHASES = {
  forward: "forward",
  backward: "backward",
  update: "optimiser",
  serve: "serving",
};

function results(trace, recorded, step) {
  const symbols = Object.fromEntries(
    Object.entries(step.equation.symbols).map(([symbol, name]) => [name, symbol]),
  );
  const figures = step.outputs.map((tensor) =>
    tensorFigure(trace, tensor, {
      symbol: symbols[tensor.name],
      recorded: recorded.tensors.get(tensor.name) ?? null,
    }),
  );
  return h(
    "section",
    { class: "results", "aria-label": "results" },
    figures,
    moves(trace, step),
    invariants(trace, step),
  );
}

/** Say which number moved most since the round before. */
function moves(trace, step) {
  const said = step.outputs.flatMap((tensor) => {
    const turn = tensor.name.match(/^([wvb])\[(\d+)\]$/);
    const before = turn && trace.tensors.get(`${turn[1]}[${turn[2] - 1}]`);
    if (!before || before.data.length !== tensor.data.length) return [];
    let most = 0;
    tensor.data.forEach((x, k) => {
      if (Math.abs(x - before.data[k]) > Math.abs(tensor.data[most] - before.data[most])) most = k;
    });
    const by = tensor.data[most] - before.data[most];
    const cell = unflat(tensor.shape, most).map((k, axis) => label(trace, tensor.axes[axis], k));
    return [
      h(
        "p",
        { class: "moves" },
        `Since the round before, the biggest move of ${turn[1]}: `,
        h("bdi", {}, cell.join(" → ")),
        ` ${by > 0 ? "+" : ""}${minus(by.toFixed(3))}.`,
      ),
    ];
  });
  return said;
}

/** Say what must hold; of edited numbers it is looked at again, here. */
function invariants(trace, step) {
  const stale = step.outputs.some((tensor) => trace.touched?.has(tensor.name));
  const items = step.invariants.flatMap((invariant) => {
    const off = stale ? residual(trace, invariant) : invariant.residual;
    if (off === undefined) return [];
    const holds = stale ? off <= invariant.tolerance : invariant.holds;
    const how = h(
      "span",
      { class: "residual" },
      `, off by ${tiny(off)} (at most ${tiny(invariant.tolerance)})`,
    );
    return [
      h(
        "li",
        { class: holds ? "holds" : "fails" },
        `${invariant.text}: ${holds ? "holds" : "FAILS"}`,
        how,
      ),
    ];
  });
  if (items.length === 0) return null;
  return h(
    "section",
    { class: "invariants", "aria-label": "what must hold" },
    h("h3", {}, stale ? "What must hold here, of the edited numbers" : "What must hold here"),
    h("ul", {}, items),
  );
}

/** The tensors that the step reads, closed until they are wanted. */
function inputs(trace, recorded, step) {
  const symbols = Object.fromEntries(
    Object.entries(step.equation.symbols).map(([symbol, name]) => [name, symbol]),
  );
  const known = step.inputs.filter((name) => trace.tensors.has(name));
  const extra = Object.values(step.equation.symbols).filter(
    (name) =>
      trace.tensors.has(name) &&
      !known.includes(name) &&
      !step.outputs.some((t) => t.name === name),
  );
  const all = [...known, ...extra];
  if (all.length === 0) return null;
  const boxes = all.map((name) => {
    const tensor = trace.tensors.get(name);
    const symbol = symbols[name];
    const box = h(
      "details",
      { class: "input" },
      h(
        "summary",
        { "data-symbol": symbol },
        `reads ${name}`,
        h("span", { class: "shape" }, ` ${tensor.axes.join(" × ") || "one number"}`),
      ),
    );
    const draw = () => {
      if (box.open && !box.querySelector("figure")) {
        box.append(
          tensorFigure(trace, tensor, { symbol, recorded: recorded.tensors.get(name) ?? null }),
        );
        showMarks();
      }
    };
    box.addEventListener("toggle", draw);
    return box;
  });
  return h("section", { class: "inputs", "aria-label": "what it reads" }, boxes);
}

function references(step) {
  const rows = [
    ["paper", step.paper],
    ["rules", (step.rules ?? []).join(", ")],
    ["known deviations", (step.variants ?? []).map((name) => deviation(name))],
    [
      "exercises",
      (step.exercises ?? []).map((name) => `mindref study --exercise ${name}`).join(", "),
    ],
  ].filter(([, text]) => text.length);
  return h(
    "dl",
    { class: "sources" },
    rows.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
  );
}
