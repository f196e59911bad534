// Routing of the overview: the recorded steps of routing with other inputs and more iterations.

import { sources, unpacked } from "./data.js";
import { resized } from "./edits.js";
import { label } from "./explain.js";
import { range } from "./numbers.js";
import { recompute } from "./recompute.js";
import { iterationsOf, unroll } from "./unroll.js";
import { rowsOf } from "./views.js";

const LAST = 8; // the iteration slider goes at least this far
const USED = /^(e|mask|n|active|allowed|S|Se|(b|w|z|across|u|a)\[\d+\])$/;

let users;

/** Return the users of the overview; a file without this data: the traced users. */
export function pictureUsers() {
  users ??= listed() ?? sources.traces.map(fromTrace);
  return users;
}

function listed() {
  const all = sources.derived.flatMap(({ overview }) => overview ?? []);
  if (all.length === 0) return null;
  return all.map((user) => ({
    ...user,
    e: unpacked(user.e),
    b: unpacked(user.b),
    template: sources.traces[user.trace ?? 0],
  }));
}

function fromTrace(trace, index) {
  const mask = trace.tensors.get("mask").data;
  const used = [...mask.keys()].filter((i) => mask[i]);
  const films = (name) => {
    const { shape, data } = trace.tensors.get(name);
    const rows = used.map((i) => [...data.subarray(i * shape[1], (i + 1) * shape[1])]);
    return { shape: [used.length, shape[1]], data: Float64Array.from(rows.flat()) };
  };
  return {
    menu: trace.metadata.user,
    titles: used.map((i) => label(trace, "behaviour", i)),
    groups: [],
    e: films("e"),
    b: films("b[1]"),
    trace: index,
    template: trace,
  };
}

/** Return the settings of the model for a user, and the largest number of interests. */
export function recordedSettings({ titles, b, template }) {
  const { interests, interest_count: rule, sigma, routing } = template.metadata.config;
  const limit = rule === "log2" ? Math.max(1, 31 - Math.clz32(titles.length)) : b.shape[1];
  return {
    iterations: iterationsOf(template),
    interests: Math.min(interests, limit),
    sigma: routing === "uniform" ? 0 : sigma, // the logits of uniform routing are 0
    mostInterests: Math.min(limit, b.shape[1]),
  };
}

/** Return the order in which films are listed: the films of a genre together, else the oldest first. */
export function filmOrder({ titles, groups }) {
  const genreOf = (i) => groups.indexOf(groups[i]);
  return [...titles.keys()].sort((a, b) => genreOf(a) - genreOf(b) || a - b);
}

const templates = new WeakMap();

/** Return the forward steps of routing for at least eight iterations, without other tensors. */
function routingSteps(trace) {
  if (!templates.has(trace)) {
    const steps = trace.steps
      .filter(({ phase }) => phase === "forward")
      .map((step) => ({ ...step, outputs: step.outputs.filter(({ name }) => USED.test(name)) }))
      .filter(({ outputs }) => outputs.length);
    templates.set(trace, unroll({ ...trace, steps }, Math.max(LAST, iterationsOf(trace))));
  }
  return templates.get(trace);
}

/** Route a user's films: K interests, initial logits scaled to sigma, S scaled.
 *
 * Returns votes (n rows), and for each iteration the weights (n rows) and the capsules (K rows);
 * K, sigma, the axis of the softmax, and whether routing is uniform.
 */
export function route(user, { interests, sigma, scale }) {
  const template = resized(routingSteps(user.template), interests);
  const films = user.titles.length;
  const recorded = recordedSettings(user);
  const factor = recorded.sigma > 0 ? sigma / recorded.sigma : 1;
  const replaced = new Map([
    ["mask", { shape: [films], data: new Float64Array(films).fill(1) }],
    ["e", user.e],
    ["b[1]", firstColumns(user.b, interests, factor)],
  ]);
  const S = template.tensors.get("S");
  if (S && scale !== 1)
    replaced.set("S", { shape: S.shape, data: S.data.map((x) => x * scale) });
  const { tensors } = recompute(template, replaced, template.changed);
  const iterations = range(iterationsOf(template)).map((k) => k + 1);
  const { routing_axis: axis, routing } = user.template.metadata.config;
  return {
    ...{ interests, axis, uniform: routing === "uniform", sigma: recorded.sigma > 0 ? sigma : 0 },
    iterations: iterations.length,
    votes: rowsOf(tensors.get("Se")),
    weights: iterations.map((k) => rowsOf(tensors.get(`w[${k}]`))),
    capsules: iterations.map((k) => rowsOf(tensors.get(`u[${k}]`))),
  };
}

/** Return the first `count` columns of a matrix, times a factor. */
function firstColumns({ shape: [rows, width], data }, count, factor) {
  const out = new Float64Array(rows * count);
  for (let i = 0; i < rows; i += 1)
    for (let k = 0; k < count; k += 1) out[i * count + k] = factor * data[i * width + k];
  return { shape: [rows, count], data: out };
}

/** Return the weights that a position shows: position 0 those of the initial logits. */
export const weightsAt = ({ weights }, position) => weights[Math.max(0, position - 1)];
