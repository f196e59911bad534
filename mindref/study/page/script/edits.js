// Edits: what a reader may change, as short texts that fit into a link, and their effect.
//   set:b[1]:13:0.5   a cell set to a constant       drop:2    a film left out
//   r:5               number of iterations           K:2       number of interests
//   S:2               the matrix S scaled

import { indexTrace } from "./data.js";
import { range } from "./numbers.js";
import { recompute } from "./recompute.js";
import { unroll } from "./unroll.js";

/** Return the trace with the edits applied; the trace itself without edits. */
export function edited(trace, edits) {
  if (edits.length === 0) return trace;
  const parsed = edits.map(parse);
  const iterations = parsed.filter((edit) => edit.kind === "r").at(-1)?.value;
  const most = parsed.filter((edit) => edit.kind === "K").at(-1)?.value;
  const start = resized(iterations ? unroll(trace, iterations) : trace, most);
  const replaced = new Map();
  const replace = (name) => {
    const tensor = start.tensors.get(name);
    if (!replaced.has(name))
      replaced.set(name, { shape: tensor.shape, data: Float64Array.from(tensor.data) });
    return replaced.get(name);
  };
  const labels = { ...trace.labels };
  const cells = new Map(); // name -> {index: number}; the other cells are recomputed
  for (const edit of parsed) CHANGES[edit.kind]?.(edit, { replace, replaced, labels, cells });
  return { ...recompute({ ...start, labels }, replaced, start.changed, cells), edits };
}

/** Return a trace with another maximum number of interests K. */
export function resized(trace, most) {
  if (!most) return trace;
  const changed = new Set(trace.changed);
  const change = (tensor) => {
    if (tensor.recipe.op !== "count") return tensor;
    changed.add(tensor.name);
    return { ...tensor, recipe: { ...tensor.recipe, interests: most } };
  };
  const steps = trace.steps.map((step) => ({ ...step, outputs: step.outputs.map(change) }));
  return { ...indexTrace({ ...trace, steps }), changed };
}

function parse(text) {
  const [kind, ...parts] = text.split(":");
  const [index, value] = parts.slice(-2).map(Number);
  if (kind === "set") return { kind, name: parts.slice(0, -2).join(":"), index, value };
  return { kind, value: Number(parts[0]) };
}

const CHANGES = {
  set: ({ name, index, value }, { cells }) => {
    cells.set(name, { ...cells.get(name), [index]: value });
  },
  drop: ({ value }, { replace }) => {
    replace("mask").data[value] = 0;
  },
  S: ({ value }, { replace }) => {
    const map = replace("S");
    map.data.forEach((x, i) => {
      map.data[i] = x * value;
    });
  },
  K: ({ value }, { replace, replaced, labels }) => {
    replaced.set("b[1]", widened(replace("b[1]"), value));
    labels.interest = range(value).map((k) => labels.interest[k] ?? `interest ${k + 1}`);
  },
};

/** Return logits (behaviours, count): columns removed, or added by draws of the same spread. */
function widened({ shape, data }, count) {
  const [rows, width] = shape;
  const out = new Float64Array(rows * count);
  const spread = Math.sqrt((3 * data.reduce((a, x) => a + x * x, 0)) / (data.length || 1));
  let seed = 1;
  for (let i = 0; i < rows; i += 1) {
    for (let j = 0; j < count; j += 1) {
      seed = (seed * 48271) % 2147483647; // minimal standard generator
      out[i * count + j] = j < width ? data[i * width + j] : spread * ((2 * seed) / 2147483647 - 1);
    }
  }
  return { shape: [rows, count], data: out };
}
