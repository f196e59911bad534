// Recomputation: every tensor from its recipe, in the order of the steps.

import { indexTrace } from "./data.js";
import { evaluate } from "./operators.js";

/** Return the largest difference of two tensors, relative to the larger of 1 and the number. */
export function difference(computed, recorded) {
  if (computed.data.length !== recorded.data.length) return Infinity;
  return computed.data.reduce((largest, a, i) => {
    const b = recorded.data[i];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) return largest;
    const off = Math.abs(a - b) / Math.max(1, Math.abs(b));
    return Math.max(largest, Number.isNaN(off) ? Infinity : off);
  }, 0);
}

/** Recompute every recorded tensor from the recorded tensors before it. */
export function selfCheck(trace) {
  const get = (name) => trace.tensors.get(name);
  const rows = [];
  for (const step of trace.steps) {
    for (const tensor of step.outputs) {
      const computed = evaluate(tensor.recipe, get);
      rows.push({
        name: tensor.name,
        step: step.id,
        recomputed: computed !== undefined,
        off: computed ? difference(computed, tensor) : 0,
      });
    }
  }
  const recomputed = rows.filter((row) => row.recomputed);
  const largest = recomputed.reduce((top, row) => Math.max(top, row.off), 0);
  return {
    rows,
    recomputed: recomputed.length,
    inputs: rows.length - recomputed.length,
    largest,
    damaged: trace.damaged,
  };
}

/** Return the trace with some tensors replaced and all dependent tensors recomputed.
 *
 * `replaced` maps names to {shape, data}; `changed` has the names with a new recipe; `cells` maps
 * names to cells with a constant value, {index: number}. Other tensors keep their recorded bytes.
 */
export function recompute(trace, replaced, changed = new Set(), cells = new Map()) {
  const now = new Map();
  const touched = new Set();
  const get = (name) => now.get(name) ?? trace.tensors.get(name);
  const steps = trace.steps.map((step) => ({
    ...step,
    outputs: step.outputs.map((tensor) => {
      const fixed = replaced.get(tensor.name);
      const constants = cells.get(tensor.name);
      const dependent = changed.has(tensor.name) || readsAny(tensor.recipe, touched);
      if (!fixed && !constants && !dependent) return tensor;
      touched.add(tensor.name);
      const computed = fixed ?? (dependent ? evaluate(tensor.recipe, get) : tensor);
      const fresh = { ...tensor, ...withCells(tensor, computed, constants) };
      now.set(tensor.name, fresh);
      return fresh;
    }),
  }));
  return { ...indexTrace({ ...trace, steps }), touched, cells };
}

/** Return {shape, data} with the constant cells in it. */
function withCells({ dtype }, { shape, data }, cells = {}) {
  const out = Object.keys(cells).length ? Float64Array.from(data) : data;
  for (const [index, value] of Object.entries(cells))
    if (index < out.length) out[index] = dtype === "bool" ? Number(value !== 0) : value;
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
