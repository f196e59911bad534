// The witnesses of a softmax: both sums under it, the one that must be 1 and the one that need not.

import { h } from "./dom.js";
import { tiny, whole } from "./numbers.js";
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
  tensor.data.forEach((x, at) => {
    out[axis === 1 ? Math.floor(at / width) : at % width] += x;
  });
  return out;
}

const shown = (x) => h("td", { class: "sum", "data-sum": whole(x) }, x.toFixed(3));

/** Return for each row the cell of its sum. */
export function sumCells(tensor) {
  return sumsOver(tensor, 1).map(shown);
}

/** Return the foot of a table: the sum of each column that is shown. */
export function foot(tensor, plan, columns, across) {
  const sums = sumsOver(tensor, 0);
  const name = h("th", { scope: "row" }, `sum over ${plan.rowAxes[0]}s`);
  const cells = columns.map((k) => shown(sums[k]));
  return h("tfoot", {}, h("tr", {}, name, cells, across && h("td", {}, "")));
}

/** Say which sum must be 1 and how far it is from it, and that the other need not be. */
export function sumsNote(tensor) {
  const axis = axisOver(tensor.recipe);
  const [over, rest] = [tensor.axes[axis], tensor.axes.find((_, k) => k !== axis)];
  const sums = sumsOver(tensor, axis);
  const live = sums.filter((x) => x !== 0);
  const off = live.reduce((most, x) => Math.max(most, Math.abs(x - 1)), 0);
  const holds = off <= LIMIT;
  const must = `Sum over ${over}s: must be 1${rest ? ` for every ${rest}` : ""}.`;
  const is = `${holds ? "It is" : "It is not"}; largest distance from 1: ${tiny(off)}.`;
  const lines = [
    h("li", { class: holds ? "holds" : "fails", "data-off": whole(off) }, must, " ", is),
  ];
  if (live.length < sums.length) {
    const none = sums.length - live.length;
    lines.push(h("li", {}, `${none} of them are left out by the mask and give nothing: 0.`));
  }
  if (rest) {
    const other = sumsOver(tensor, 1 - axis);
    const told = other
      .slice(0, FEW)
      .map((x) => x.toFixed(3))
      .join(", ");
    const more = other.length > FEW ? ", …" : "";
    lines.push(h("li", {}, `Sum over ${rest}s: need not be 1, and is ${told}${more}.`));
  }
  return h("ul", { class: "sums" }, lines);
}
