// What the learner may change, as short texts that fit into a link, and what follows from it.
//   set:b[1]:13:0.5   a cell held at a number        drop:2    a behaviour left out
//   R:5               another number of rounds       K:2       another number of interests
//   S:2               the bilinear map scaled

import { index } from "./data.js";
import { recompute } from "./twin.js";
import { unroll } from "./unroll.js";

/** Return the trace under the edits; the trace itself if there are none. */
export function edited(trace, edits) {
  if (edits.length === 0) return trace;
  const parsed = edits.map(parse);
  const rounds = parsed.filter((edit) => edit.kind === "R").at(-1)?.value;
  const most = parsed.filter((edit) => edit.kind === "K").at(-1)?.value;
  const start = resized(rounds ? unroll(trace, rounds) : trace, most);
  const held = new Map();
  const hold = (name) => {
    const tensor = start.tensors.get(name);
    if (!held.has(name))
      held.set(name, { shape: tensor.shape, data: Float64Array.from(tensor.data) });
    return held.get(name);
  };
  const labels = { ...trace.labels };
  const cells = new Map(); // name -> {place: number}: the rest of such a tensor is computed
  for (const edit of parsed) CHANGES[edit.kind]?.(edit, { hold, held, labels, cells });
  return { ...recompute({ ...start, labels }, held, start.made, cells), edits };
}

/** Return a trace whose count of interests goes up to another K. */
function resized(trace, most) {
  if (!most) return trace;
  const made = new Set(trace.made);
  const change = (tensor) => {
    if (tensor.recipe.op !== "count") return tensor;
    made.add(tensor.name);
    return { ...tensor, recipe: { ...tensor.recipe, interests: most } };
  };
  const steps = trace.steps.map((step) => ({ ...step, outputs: step.outputs.map(change) }));
  return { ...index({ ...trace, steps }), made };
}

function parse(text) {
  const [kind, ...rest] = text.split(":");
  if (kind === "set")
    return {
      kind,
      name: rest.slice(0, -2).join(":"),
      at: Number(rest.at(-2)),
      value: Number(rest.at(-1)),
    };
  return { kind, value: Number(rest[0]) };
}

const CHANGES = {
  set: ({ name, at, value }, { cells }) => {
    cells.set(name, { ...cells.get(name), [at]: value });
  },
  drop: ({ value }, { hold }) => {
    hold("mask").data[value] = 0;
  },
  S: ({ value }, { hold }) => {
    const map = hold("S");
    map.data.forEach((x, i) => {
      map.data[i] = x * value;
    });
  },
  K: ({ value }, { hold, held, labels }) => {
    held.set("b[1]", widened(hold("b[1]"), value));
    labels.interest = Array.from(
      { length: value },
      (_, k) => labels.interest[k] ?? `interest ${k + 1}`,
    );
  },
};

/** Return logits (behaviours, count): columns left out, or added, drawn as wide as the others. */
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
