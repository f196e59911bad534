// The sums of a softmax over each axis: one must be 1, the other need not.

import { h } from "./dom.js";
import { allDigits, axisName, tiny } from "./numbers.js";
import { axisOver } from "./operators.js";

const LIMIT = 1e-12;
const FEW = 8; // sums in a sentence

/** Return whether the softmax of a table runs along its rows. */
export const overColumns = (tensor) => tensor.shape.length === 2 && axisOver(tensor.recipe) === 1;

/** Return the sums over one axis of a tensor of one or two axes. */
function sumsOver(tensor, axis) {
  if (tensor.shape.length === 1) return [tensor.data.reduce((a, x) => a + x, 0)];
  const [rows, width] = tensor.shape;
  const out = new Array(axis === 1 ? rows : width).fill(0);
  tensor.data.forEach((x, index) => {
    out[axis === 1 ? Math.floor(index / width) : index % width] += x;
  });
  return out;
}

const sumCell = (x) => h("td.sum", { "data-sum": allDigits(x) }, x.toFixed(3));

/** Return the cell with the sum of each row. */
export function sumCells(tensor) {
  return sumsOver(tensor, 1).map(sumCell);
}

/** Return the footer of a table: the sum of each displayed column. */
export function foot(tensor, plan, columns, across) {
  const sums = sumsOver(tensor, 0);
  const name = h("th", { scope: "row" }, `sum over ${axisName(plan.rowAxes[0])}s`);
  const cells = columns.map((k) => sumCell(sums[k]));
  return h("tfoot", h("tr", name, cells, across && h("td", "")));
}

/** Return a note: the sum that must be 1, its largest deviation, and the other sum. */
export function sumsNote(tensor) {
  const axis = axisOver(tensor.recipe);
  const [over, other] = [axis, tensor.axes.findIndex((_, k) => k !== axis)]
    .map((k) => tensor.axes[k])
    .map((name) => name && axisName(name));
  const sums = sumsOver(tensor, axis);
  const live = sums.filter((x) => x !== 0);
  const off = live.reduce((most, x) => Math.max(most, Math.abs(x - 1)), 0);
  const holds = off <= LIMIT;
  const must = `Sum over ${over}s: must be 1${other ? ` for every ${other}` : ""}.`;
  const is = holds ? `It is, to ${tiny(off)}.` : `It is not: a sum differs from 1 by ${tiny(off)}.`;
  const lines = [
    h("li", { class: holds ? "holds" : "fails", "data-off": allDigits(off) }, must, " ", is),
  ];
  if (live.length < sums.length) {
    const none = sums.length - live.length;
    lines.push(h("li", `${none} of the sums are 0: excluded by the mask.`));
  }
  if (other) {
    const otherSums = sumsOver(tensor, 1 - axis);
    const otherText = otherSums
      .slice(0, FEW)
      .map((x) => x.toFixed(3))
      .join(", ");
    const ellipsis = otherSums.length > FEW ? ", …" : "";
    lines.push(h("li", `Sum over ${other}s: need not be 1; it is ${otherText}${ellipsis}.`));
  }
  return h("ul.sums", lines);
}
