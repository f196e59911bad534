// The tables of a step; padding, inactive interests, parameters and most vectors are folded.

import { h } from "./dom.js";
import { range, shapeText } from "./numbers.js";
import { meaning } from "./quantities.js";
import { state } from "./state.js";
import { layout, tensorFigure } from "./table.js";

const CELLS = 60; // of a table of vectors; at least ROWS rows are visible
const ROWS = 3;
const WHOLE = new Set(["S", "W", "bias", "E", "mask", "beta", "unit", "across", "along"]);
const LOOKED_UP = /\.(index|rows|weights|beta\d|complement\d|value|first|second|first'|second')$/;

/** Return whether a tensor is folded as a whole: a parameter, a mask, or kept for a gradient. */
const isFolded = (name) => WHOLE.has(name.replace(/\[.*$/, "")) || LOOKED_UP.test(name);

/** Return the rows of a table, {open, folded, text}; the text names the folded rows. */
function foldRows(trace, tensor) {
  const plan = layout(tensor);
  const [axis] = plan.rowAxes;
  const all = range(plan.rows.length);
  const mask = { behaviour: "mask", interest: "active" }[axis];
  const used = trace.tensors.get(mask)?.data;
  const real = used?.length === all.length ? all.filter((k) => used[k]) : all;
  const vectors = plan.columnAxis && plan.columnAxis !== "interest" && plan.rowAxes.length === 1;
  const most = vectors ? Math.max(ROWS, Math.floor(CELLS / plan.columns)) : Infinity;
  const open = real.slice(0, real.length > most + 1 ? most : real.length);
  const folded = all.filter((k) => !open.includes(k));
  const more = real.length - open.length;
  const idle = all.length - real.length;
  const texts = [
    more > 0 && `${more} more ${NAMES[axis] ?? "rows"}`,
    idle > 0 && (axis === "interest" ? plural(idle, "inactive interest") : `${plural(idle, "row")} of padding`),
  ];
  return { open, folded, text: texts.filter(Boolean).join(", ") };
}

const NAMES = {
  behaviour: "films",
  interest: "interests",
  negative: "negatives",
  item: "films",
  row: "rows of the item table",
};

const plural = (n, noun) => `${n} ${noun}${n === 1 ? "" : "s"}`;

/** Return the tables of a step, then the tables that are folded as a whole. */
export function foldedFigures(trace, step, optionsOf) {
  const whole = step.outputs.filter(({ name }) => isFolded(name));
  if (whole.length === step.outputs.length) whole.shift();
  const visible = step.outputs.filter((tensor) => !whole.includes(tensor));
  return [
    visible.map((tensor) => foldedRows(trace, tensor, optionsOf(tensor.name))),
    whole.map((tensor) => foldedTable(trace, tensor, optionsOf(tensor.name))),
  ];
}

/** Return the table of a tensor, and its remaining rows as a folded table. */
function foldedRows(trace, tensor, options) {
  const { open, folded, text } = foldRows(trace, tensor);
  if (folded.length === 0 || open.length === 0) return tensorFigure(trace, tensor, options);
  const hidden = tensorFigure(trace, tensor, { ...options, only: folded, bare: true });
  return [
    tensorFigure(trace, tensor, { ...options, only: open }),
    fold(tensor, folded, text, hidden),
  ];
}

/** Return a folded table. */
function foldedTable(trace, tensor, options) {
  const name = h("b", { "data-symbol": options.symbol }, tensor.name);
  const summary = [name, `, ${shapeText(tensor)}: ${meaning(tensor.name)}`];
  const rows = range(layout(tensor).rows.length);
  return fold(tensor, rows, summary, tensorFigure(trace, tensor, options));
}

/** Return a folded figure; it is open if it has the selected cell. */
function fold(tensor, rows, summary, figure) {
  const { name, index } = state.cell ?? {};
  const row = Math.floor(index / layout(tensor).columns);
  const open = name === tensor.name && rows.includes(row);
  return h("details.fold", { open }, h("summary", summary), figure);
}
