// A trace with another number of iterations; the steps of one iteration are the template.

import { indexTrace } from "./data.js";

const ITERATION = /^routing\[(\d+)\]/;

/** Return the number of iterations of a trace. */
export function iterationsOf(trace) {
  return trace.steps.reduce(
    (top, step) => Math.max(top, Number(step.id.match(ITERATION)?.[1] ?? 0)),
    0,
  );
}

/** Return a trace with `count` iterations; tensors of new iterations are not yet computed. */
export function unroll(trace, count) {
  const last = iterationsOf(trace);
  if (count === last || last < 2 || !(count >= 1)) return trace;
  const names = iterationNames(trace);
  const changed = new Set();
  const shift = (step, from, to) => renamed(step, names, (k) => k + to - from, changed);
  const steps = [];
  const done = new Set();
  for (const step of trace.steps) {
    const iteration = Number(step.id.match(ITERATION)?.[1] ?? 0);
    if (!iteration) {
      const outer = renamed(step, names, (k) => (k === last ? count : k), changed);
      steps.push(withIterationTerms(outer, count, changed));
      continue;
    }
    const key = step.phase;
    if (done.has(key)) continue;
    done.add(key);
    const stepsOf = (k) =>
      trace.steps.filter((s) => s.phase === step.phase && s.id.startsWith(`routing[${k}]`));
    const order = Array.from({ length: count }, (_, k) => k + 1);
    if (step.phase === "backward") order.reverse();
    for (const k of order) {
      const from = k === count ? last : 1;
      steps.push(...stepsOf(from).map((s) => shift(s, from, k)));
    }
  }
  return { ...indexTrace({ ...trace, steps }), changed };
}

/** Return the base names of the tensors of an iteration. */
function iterationNames(trace) {
  const names = new Set();
  for (const step of trace.steps) {
    if (!ITERATION.test(step.id)) continue;
    for (const { name } of step.outputs) names.add(name.replace(/\[\d+\]$/, ""));
  }
  return names;
}

function renamed(step, names, renumber, changed) {
  const change = (text) =>
    text.replace(/^([A-Za-z_]+)\[(\d+)\](?=$|:)/, (all, name, k) =>
      names.has(name) ? `${name}[${renumber(Number(k))}]` : all,
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
  const id = step.id.replace(ITERATION, (_, k) => `routing[${renumber(Number(k))}]`);
  const changeValues = (mapping) =>
    Object.fromEntries(Object.entries(mapping).map(([key, name]) => [key, change(name)]));
  const equation = {
    ...step.equation,
    symbols: changeValues(step.equation.symbols),
    letters: changeValues(step.equation.letters),
  };
  const outputs = step.outputs.map((tensor) => {
    const out = walk(tensor, "");
    if (out.name === tensor.name && JSON.stringify(out.recipe) === JSON.stringify(tensor.recipe))
      return tensor; // not edited
    changed.add(out.name);
    return out;
  });
  return {
    ...step,
    id,
    number: step.number === null ? null : renumber(step.number),
    equation,
    outputs,
    inputs: step.inputs.map(change),
  };
}

/** Replace the terms of a sum over iterations by the terms of `count` iterations. */
function withIterationTerms(step, count, changed) {
  const outputs = step.outputs.map((tensor) => {
    if (tensor.recipe.op !== "sum") return tensor;
    const iterationTerms = tensor.recipe.terms.filter(
      (term) => term.factors.length === 1 && /^from_[za]\[/.test(term.factors[0].of),
    );
    if (iterationTerms.length < 2) return tensor;
    const { letters } = iterationTerms[0].factors[0];
    const of = (name, k) => ({ sign: 1, factors: [{ of: `${name}[${k}]`, letters }] });
    const all = [];
    for (let k = count; k >= 1; k -= 1) {
      all.push(of("from_z", k));
      if (k > 1) all.push(of("from_a", k - 1));
    }
    changed.add(tensor.name);
    return { ...tensor, recipe: { ...tensor.recipe, terms: all } };
  });
  return { ...step, outputs };
}
