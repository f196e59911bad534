// The second computation: every tensor again from its recipe, in the order of the steps.

import { index } from "./data.js";
import { evaluate } from "./operators.js";

/** Return the largest difference of two tensors, relative to the larger of 1 and the number. */
export function difference(found, recorded) {
  if (found.data.length !== recorded.data.length) return Infinity;
  let largest = 0;
  for (let i = 0; i < found.data.length; i += 1) {
    const a = found.data[i];
    const b = recorded.data[i];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const off = Math.abs(a - b) / Math.max(1, Math.abs(b));
    largest = off > largest || Number.isNaN(off) ? (Number.isNaN(off) ? Infinity : off) : largest;
  }
  return largest;
}

/** Recompute every recorded tensor from the recorded tensors before it. */
export function selfCheck(trace) {
  const get = (name) => trace.tensors.get(name);
  const rows = [];
  for (const step of trace.steps) {
    for (const tensor of step.outputs) {
      const found = evaluate(tensor.recipe, get);
      rows.push({
        name: tensor.name,
        step: step.id,
        recomputed: found !== undefined,
        off: found ? difference(found, tensor) : 0,
      });
    }
  }
  const recomputed = rows.filter((row) => row.recomputed);
  const largest = recomputed.reduce((top, row) => Math.max(top, row.off), 0);
  return {
    rows,
    recomputed: recomputed.length,
    given: rows.length - recomputed.length,
    largest,
    damaged: trace.damaged,
  };
}

/** Return the trace with some tensors held at other numbers and all that follows recomputed.
 *
 * `held` maps names to {shape, data}; `made` are names whose recipe is new; `cells` maps names to
 * the cells that are held, {place: number}. What none of them reaches keeps its recorded bytes.
 */
export function recompute(trace, held, made = new Set(), cells = new Map()) {
  const now = new Map();
  const touched = new Set();
  const get = (name) => now.get(name) ?? trace.tensors.get(name);
  const steps = trace.steps.map((step) => ({
    ...step,
    outputs: step.outputs.map((tensor) => {
      const fixed = held.get(tensor.name);
      const own = cells.get(tensor.name);
      const again = made.has(tensor.name) || readsAny(tensor.recipe, touched);
      if (!fixed && !own && !again) return tensor;
      touched.add(tensor.name);
      const found = fixed ?? (again ? evaluate(tensor.recipe, get) : tensor);
      const fresh = { ...tensor, ...withCells(tensor, found, own) };
      now.set(tensor.name, fresh);
      return fresh;
    }),
  }));
  return { ...index({ ...trace, steps }), touched, cells };
}

/** Return {shape, data} with the held cells in it. */
function withCells({ dtype }, { shape, data }, cells = {}) {
  const out = Object.keys(cells).length ? Float64Array.from(data) : data;
  for (const [at, value] of Object.entries(cells))
    if (at < out.length) out[at] = dtype === "bool" ? Number(value !== 0) : value;
  return { shape, data: out };
}

/** Return the names of the tensors that a recipe reads. */
export function reads(recipe) {
  const names = [];
  const walk = (value) => {
    if (Array.isArray(value)) value.forEach(walk);
    else if (value && typeof value === "object") {
      if (typeof value.of === "string") names.push(value.of);
      Object.values(value).forEach(walk);
    }
  };
  walk(recipe);
  return [...new Set(names)];
}

const readsAny = (recipe, names) => names.size > 0 && reads(recipe).some((name) => names.has(name));

/** Return the centred difference of the loss by one cell, everything after it recomputed.
 *
 * `noise` is what rounding alone can make of it: a few units of the loss's last digit over the step.
 */
export function slope(trace, name, at) {
  const tensor = trace.tensors.get(name);
  const step = 1e-5 * Math.max(1, Math.abs(tensor.data[at]));
  const side = (by) => {
    const data = Float64Array.from(tensor.data);
    data[at] += by;
    return lossUnder(trace, new Map([[name, { shape: tensor.shape, data }]]));
  };
  const loss = Math.abs(trace.tensors.get("loss").data[0]);
  const noise = (16 * Number.EPSILON * Math.max(1, loss)) / step;
  return { value: (side(step) - side(-step)) / (2 * step), noise };
}

/** Return the loss with some tensors held: only what leads to it is computed. */
function lossUnder(trace, held) {
  const now = new Map(held);
  const get = (name) => now.get(name) ?? trace.tensors.get(name);
  for (const step of trace.steps) {
    for (const tensor of step.outputs) {
      if (!held.has(tensor.name) && reads(tensor.recipe).some((name) => now.has(name))) {
        const found = evaluate(tensor.recipe, get);
        const own = trace.cells?.get(tensor.name);
        now.set(tensor.name, { ...tensor, ...withCells(tensor, found, own) });
      }
      if (tensor.name === "loss") return get("loss").data[0];
    }
  }
  return NaN;
}
