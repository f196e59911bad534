// The same trace with another number of rounds: the steps of a round are a template.

import { index } from "./data.js";

const ROUND = /^routing\[(\d+)\]/;

/** Return how many rounds a trace has. */
export function roundsOf(trace) {
  return trace.steps.reduce(
    (top, step) => Math.max(top, Number(step.id.match(ROUND)?.[1] ?? 0)),
    0,
  );
}

/** Return a trace with `count` rounds; its tensors beyond the recorded ones are not yet computed. */
export function unroll(trace, count) {
  const last = roundsOf(trace);
  if (count === last || last < 2 || !(count >= 1)) return trace;
  const names = roundNames(trace);
  const made = new Set();
  const shift = (step, from, to) => renamed(step, names, (k) => k + to - from, made);
  const steps = [];
  const done = new Set();
  for (const step of trace.steps) {
    const turn = Number(step.id.match(ROUND)?.[1] ?? 0);
    if (!turn) {
      steps.push(
        joined(
          renamed(step, names, (k) => (k === last ? count : k), made),
          count,
          made,
        ),
      );
      continue;
    }
    const key = step.phase;
    if (done.has(key)) continue;
    done.add(key);
    const own = (k) =>
      trace.steps.filter((s) => s.phase === step.phase && s.id.startsWith(`routing[${k}]`));
    const order = Array.from({ length: count }, (_, k) => k + 1);
    if (step.phase === "backward") order.reverse();
    for (const k of order) {
      const from = k === count ? last : 1;
      steps.push(...own(from).map((s) => shift(s, from, k)));
    }
  }
  return { ...index({ ...trace, steps }), made };
}

/** Return the bases of names that belong to a round. */
function roundNames(trace) {
  const names = new Set();
  for (const step of trace.steps) {
    if (!ROUND.test(step.id)) continue;
    for (const { name } of step.outputs) names.add(name.replace(/\[\d+\]$/, ""));
  }
  return names;
}

function renamed(step, names, turn, made) {
  const change = (text) =>
    text.replace(/^([A-Za-z_]+)\[(\d+)\](?=$|:)/, (all, name, k) =>
      names.has(name) ? `${name}[${turn(Number(k))}]` : all,
    );
  const walk = (value, key) => {
    if (Array.isArray(value)) return value.map((part) => walk(part, key));
    if (value instanceof Float64Array || value === null) return value;
    if (typeof value === "object")
      return Object.fromEntries(
        Object.entries(value).map(([k, part]) => [k, walk(part, key === "of" ? key : k)]),
      );
    if (typeof value === "string" && (key === "of" || key === "inputs" || key === "name"))
      return change(value);
    return value;
  };
  const id = step.id.replace(ROUND, (_, k) => `routing[${turn(Number(k))}]`);
  const equation = {
    ...step.equation,
    symbols: Object.fromEntries(
      Object.entries(step.equation.symbols).map(([s, name]) => [s, change(name)]),
    ),
  };
  const outputs = step.outputs.map((tensor) => {
    const out = walk(tensor, "");
    if (out.name === tensor.name && JSON.stringify(out.recipe) === JSON.stringify(tensor.recipe))
      return tensor; // not edited
    made.add(out.name);
    return out;
  });
  const invariants = step.invariants.map((x) => ({ ...x, check: walk(x.check, "of") }));
  return {
    ...step,
    id,
    turn: step.turn === null ? null : turn(step.turn),
    equation,
    outputs,
    invariants,
    inputs: step.inputs.map(change),
  };
}

/** Give a sum over all rounds its terms for `count` of them. */
function joined(step, count, made) {
  const outputs = step.outputs.map((tensor) => {
    if (tensor.recipe.op !== "sum") return tensor;
    const rounds = tensor.recipe.terms.filter(
      (term) => term.factors.length === 1 && /^from_(sums|agreement)\[/.test(term.factors[0].of),
    );
    if (rounds.length < 2) return tensor;
    const at = rounds[0].factors[0].at;
    const of = (name, k) => ({ sign: 1, factors: [{ of: `${name}[${k}]`, at }] });
    const all = [];
    for (let k = count; k >= 1; k -= 1) {
      all.push(of("from_sums", k));
      if (k > 1) all.push(of("from_agreement", k - 1));
    }
    made.add(tensor.name);
    return { ...tensor, recipe: { ...tensor.recipe, terms: all } };
  });
  return { ...step, outputs };
}
