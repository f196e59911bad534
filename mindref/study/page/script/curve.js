// Step-size curve: the error of a finite difference as a function of its step h.

import { chart, h, svg } from "./dom.js";
import { tiny } from "./numbers.js";
import { TABS } from "./tabs.js";
import { cellName } from "./explain.js";
import { chooser, missing, plainTable, redrawable } from "./views.js";

let chosenTensor = null;
const [WIDE, HIGH, EDGE_LEFT, EDGE_DOWN] = [640, 360, 64, 44];

TABS.curve = ({ trace, derived }) => {
  const curves = derived.curves;
  if (!curves?.length) return missing("Finite differences", "This file has no step-size curves.");
  const names = curves.map((curve) => [curve.tensor, curve.tensor]);
  return redrawable((draw) => {
    const curve = curves.find((c) => c.tensor === chosenTensor) ?? curves[0];
    const choose = (name) => {
      chosenTensor = name;
      draw();
    };
    const text = "gradient of the loss with respect to";
    return view(trace, curve, chooser(text, names, curve.tensor, choose));
  });
};

function view(trace, curve, choice) {
  const inTrace = trace.tensors.has(curve.tensor);
  const rows = curve.h.map((step, k) => [
    tiny(step),
    formatError(curve.float64[k]),
    formatError(curve.float32[k]),
    curve.kink?.[k] ? "kink within ±h" : "",
  ]);
  return [
    h("h2", "Error of finite differences by step size"),
    h(
      "p.why",
      "If h is large, the curvature of the loss dominates the error. If h is small, rounding dominates. The best step is between the two, and its error is larger in float32 than in float64.",
    ),
    h(
      "p.choices",
      choice,
      h(
        "bdi",
        inTrace ? cellName(trace, curve.tensor, curve.index) : `${curve.tensor}[${curve.index}]`,
      ),
    ),
    h(
      "div.map",
      drawing(curve),
      plainTable("Relative error of the difference", ["h", "float64", "float32", ""], rows),
    ),
  ];
}

const formatError = (x) => (typeof x === "number" ? tiny(x) : "none");

function drawing(curve) {
  const points = (errors) =>
    curve.h
      .map((step, k) => [Math.log10(step), errors[k] > 0 ? Math.log10(errors[k]) : null])
      .filter(([, y]) => y !== null && Number.isFinite(y));
  const [wide, narrow] = [points(curve.float32), points(curve.float64)];
  const ys = [...wide, ...narrow].map(([, y]) => y);
  const [low, high] = [Math.floor(Math.min(...ys)), Math.ceil(Math.max(...ys, 0))];
  const [left, right] = [Math.log10(curve.h.at(-1)), Math.log10(curve.h[0])];
  const x = (v) => EDGE_LEFT + ((v - left) / (right - left)) * (WIDE - EDGE_LEFT - 16);
  const y = (v) => HIGH - EDGE_DOWN - ((v - low) / (high - low || 1)) * (HIGH - EDGE_DOWN - 16);
  const line = (list, kind) => [
    svg("polyline", {
      points: list.map(([a, b]) => `${x(a)},${y(b)}`).join(" "),
      class: `curve ${kind}`,
    }),
    list.map(([a, b]) =>
      kind === "float64"
        ? svg("circle", { cx: x(a), cy: y(b), r: 3.5, class: kind })
        : svg("rect", { x: x(a) - 3, y: y(b) - 3, width: 6, height: 6, class: kind }),
    ),
  ];
  const grid = [];
  for (let v = low; v <= high; v += 2)
    grid.push(
      svg("line", { x1: EDGE_LEFT, x2: WIDE - 16, y1: y(v), y2: y(v), class: "grid" }),
      svg("text", { x: EDGE_LEFT - 8, y: y(v) + 4, class: "tick end" }, `1e${v}`),
    );
  for (let v = Math.ceil(left); v <= right; v += 2)
    grid.push(svg("text", { x: x(v), y: HIGH - EDGE_DOWN + 18, class: "tick middle" }, `1e${v}`));
  const chosen = Object.entries(curve.chosen ?? {}).map(([kind, step]) =>
    svg(
      "g",
      svg("line", {
        x1: x(Math.log10(step)),
        x2: x(Math.log10(step)),
        y1: 12,
        y2: HIGH - EDGE_DOWN,
        class: `chosen-line ${kind}`,
      }),
      svg(
        "text",
        {
          x: x(Math.log10(step)) - 5,
          y: HIGH - EDGE_DOWN - (kind === "float64" ? 10 : 26),
          class: "tick end",
        },
        `chosen, ${kind}`,
      ),
    ),
  );
  return chart(
    WIDE,
    HIGH,
    "error against step size, both axes logarithmic; the table has the numbers",
    grid,
    line(wide, "float32"),
    line(narrow, "float64"),
    chosen,
    svg("text", { x: WIDE / 2, y: HIGH - 6, class: "tick middle" }, "step h"),
    svg("text", { x: WIDE - 16, y: HIGH - 6, class: "tick end" }, "● float64   ■ float32"),
  );
}
