// Step-size curve: the error of a finite difference as a function of its step h.

import { chart, disc, h, square, stroke, svg, words } from "./dom.js";
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
      "div.plot-and-table",
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
      points: list.map(([a, b]) => [x(a), y(b)]).join(" "),
      class: `curve ${kind}`,
    }),
    list.map(([a, b]) =>
      kind === "float64" ? disc(x(a), y(b), 3.5, kind) : square(x(a), y(b), kind),
    ),
  ];
  const grid = [];
  for (let v = low; v <= high; v += 2)
    grid.push(
      stroke(EDGE_LEFT, y(v), WIDE - 16, y(v), "grid"),
      words(EDGE_LEFT - 8, y(v) + 4, `1e${v}`, "tick end"),
    );
  for (let v = Math.ceil(left); v <= right; v += 2)
    grid.push(words(x(v), HIGH - EDGE_DOWN + 18, `1e${v}`, "tick middle"));
  const chosen = Object.entries(curve.chosen ?? {}).map(([kind, step]) => {
    const at = x(Math.log10(step));
    const above = kind === "float64" ? 10 : 26;
    return svg(
      "g",
      stroke(at, 12, at, HIGH - EDGE_DOWN, `chosen-line ${kind}`),
      words(at - 5, HIGH - EDGE_DOWN - above, `chosen, ${kind}`, "tick end"),
    );
  });
  return chart(
    WIDE,
    HIGH,
    "error against step size, both axes logarithmic; the table has the numbers",
    grid,
    line(wide, "float32"),
    line(narrow, "float64"),
    chosen,
    words(WIDE / 2, HIGH - 6, "step h", "tick middle"),
    words(WIDE - 16, HIGH - 6, "● float64   ■ float32", "tick end"),
  );
}
