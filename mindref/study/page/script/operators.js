// The recipe functions other than sums; each takes a recipe and its tensors.

import { sum } from "./sum_recipe.js";

const like = (tensor, data) => ({ shape: tensor.shape, data });
const mapped = (tensor, change) => like(tensor, Float64Array.from(tensor.data, change));

/** Return the flat indices along one axis, one list for each row. */
export function rowsOver(tensor, axis) {
  const length = tensor.shape[axis];
  const after = tensor.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const before = tensor.shape.slice(0, axis).reduce((a, b) => a * b, 1);
  const rows = [];
  for (let x = 0; x < before; x += 1) {
    for (let y = 0; y < after; y += 1) {
      rows.push(Array.from({ length }, (_, k) => (x * length + k) * after + y));
    }
  }
  return rows;
}

/** Return the axis that a softmax runs over. */
export const axisOver = (recipe) => recipe.of[0].letters.indexOf(recipe.over);

function softmax(recipe, logits, mask) {
  const data = new Float64Array(logits.data.length);
  for (const row of rowsOver(logits, axisOver(recipe))) {
    const open = row.filter((index) => mask.data[index]);
    const top = open.reduce((most, index) => Math.max(most, logits.data[index]), -Infinity);
    const raised = open.map((index) => Math.exp(logits.data[index] - top));
    const total = raised.reduce((a, b) => a + b, 0);
    open.forEach((index, k) => {
      data[index] = raised[k] / total;
    });
  }
  return like(logits, data);
}

const lastRows = (x) => rowsOver(x, x.shape.length - 1);

/** Return the Euclidean norm of some cells of a tensor. */
export const lengthOf = (x, indices) =>
  Math.sqrt(indices.reduce((a, index) => a + x.data[index] * x.data[index], 0));

// length after squash over length before, and derivative of the length after, by kind
export const ACROSS = {
  squash: (n) => n / (1 + n * n),
  unit: (n) => (n === 0 ? 0 : 1 / n),
  none: () => 1,
};
export const ALONG = {
  squash: (n) => (2 * n) / (1 + n * n) ** 2,
  unit: () => 0,
  none: () => 1,
};

const perLength = (table) => (recipe, x) => ({
  shape: x.shape.slice(0, -1),
  data: Float64Array.from(lastRows(x), (row) => table[recipe.kind](lengthOf(x, row))),
});

function unit(recipe, x) {
  const data = new Float64Array(x.data.length);
  if (recipe.kind !== "none") {
    for (const row of lastRows(x)) {
      const n = lengthOf(x, row) || 1;
      for (const index of row) data[index] = x.data[index] / n;
    }
  }
  return like(x, data);
}

const scalar = (value) => ({ shape: [], data: Float64Array.of(value) });
const total = (x) => x.data.reduce((a, b) => a + b, 0);

/** Return which interests are active: the first K' = max(1, min(K, floor(log2 n))). */
function count(recipe, mask) {
  const n = total(mask);
  const most = recipe.interests;
  const limit = recipe.rule === "log2" ? Math.min(most, 31 - Math.clz32(n)) : most;
  const active = Math.max(1, n ? limit : 1);
  return {
    shape: [most],
    data: Float64Array.from({ length: most }, (_, k) => (k < active ? 1 : 0)),
  };
}

/** Return sign(s) |s|^p, and 0 for p = 0. */
export const signedPower = (s, p) =>
  Number(p) === 0 ? 0 : Math.sign(s) * Math.abs(s) ** Number(p);

const most = (score, active) =>
  score.data.reduce((top, s, k) => (active.data[k] ? Math.max(top, s) : top), -Infinity);

function gaps(recipe, scores, active) {
  const top = signedPower(most(scores, active), recipe.power);
  return mapped(scores, (s) => signedPower(s, recipe.power) - top);
}

/** Return the derivative of the signed power, 0 where it is infinite. */
export function powerSlope(s, power) {
  const p = Number(power);
  const slope = p * Math.abs(s) ** (p - 1);
  return Number.isFinite(slope) ? slope : 0;
}

function oneHot(_, scores, active) {
  const best = scores.data.findIndex((s, k) => active.data[k] && s === most(scores, active));
  return mapped(scores, (_, k) => (k === best ? 1 : 0));
}

function concat(_, capsules, profile) {
  const [rows, width] = capsules.shape;
  const tail = profile ? profile.data : new Float64Array(0);
  const data = new Float64Array(rows * (width + tail.length));
  for (let j = 0; j < rows; j += 1) {
    data.set(capsules.data.subarray(j * width, (j + 1) * width), j * (width + tail.length));
    data.set(tail, j * (width + tail.length) + width);
  }
  return { shape: [rows, width + tail.length], data };
}

function front(recipe, x) {
  const [rows, all] = x.shape;
  const data = new Float64Array(rows * recipe.width);
  for (let j = 0; j < rows; j += 1)
    data.set(x.data.subarray(j * all, j * all + recipe.width), j * recipe.width);
  return { shape: [rows, recipe.width], data };
}

function back(recipe, x) {
  const [rows, all] = x.shape;
  const data = new Float64Array(all - recipe.width);
  for (let j = 0; j < rows; j += 1) {
    for (let k = recipe.width; k < all; k += 1) data[k - recipe.width] += x.data[j * all + k];
  }
  return { shape: [recipe.features, data.length / recipe.features], data };
}

/** Return the logarithm of 1 + sum exp(l - o_t): minus the log softmax of the target. */
function loss(_, target, others) {
  const off = [...others.data].map((l) => l - target.data[0]);
  const top = off.reduce((a, b) => Math.max(a, b), 0);
  const sumOfExp = off.reduce((a, l) => a + Math.exp(l - top), Math.exp(-top));
  return scalar(top + Math.log(sumOfExp));
}

function tail(_, target, others) {
  const top = others.data.reduce((a, b) => Math.max(a, b), target.data[0]);
  const raised = others.data.map((l) => Math.exp(l - top));
  const sumOfAll = raised.reduce((a, b) => a + b, 0) + Math.exp(target.data[0] - top);
  return like(
    others,
    raised.map((x) => x / sumOfAll),
  );
}

/** Return the contribution of each use to a row of the table: {row, weight, from, d, of}. */
export function contributions(recipe, rows, uses) {
  const rowIndex = new Map([...rows.data].map((row, k) => [row, k]));
  const out = [];
  for (let k = 0; k < uses.length; k += 3) {
    const [d, ids, weights] = uses.slice(k, k + 3);
    const width = d.shape.at(-1);
    const fields = ids.shape.at(-1);
    ids.data.forEach((id, n) => {
      if (weights.data[n] === 0 && !rowIndex.has(id)) return;
      const from = Math.floor(n / fields) * width;
      out.push({
        row: rowIndex.get(id),
        weight: weights.data[n],
        from,
        d,
        of: recipe.of[1 + k].of,
      });
    });
  }
  return out;
}

function scatter(recipe, rows, ...uses) {
  const width = uses[0].shape.at(-1);
  const data = new Float64Array(rows.data.length * width);
  for (const { row, weight, from, d } of contributions(recipe, rows, uses)) {
    if (row === undefined) continue;
    for (let k = 0; k < width; k += 1) data[row * width + k] += weight * d.data[from + k];
  }
  return { shape: [rows.data.length, width], data };
}

/** Return Adam's step for one number. */
export function adamStep(recipe, first, second) {
  const root = Math.sqrt(1 - recipe.beta2 ** recipe.step);
  const rate = (recipe.rate * root) / (1 - recipe.beta1 ** recipe.step);
  return (rate * first) / (Math.sqrt(second) + recipe.epsilon * root);
}

function adam(recipe, value, first, second) {
  return mapped(value, (x, k) => x - adamStep(recipe, first.data[k], second.data[k]));
}

const perItem = (choose) => (_, score, active) => ({
  shape: score.shape.slice(0, 1),
  data: Float64Array.from(lastRows(score), (row) => {
    const open = row.map((index, k) => ({ k, s: active.data[k] ? score.data[index] : -Infinity }));
    return choose(open.reduce((best, x) => (x.s > best.s ? x : best)));
  }),
});

function order(recipe, best) {
  const indices = [...best.data.keys()].sort((a, b) => best.data[b] - best.data[a] || a - b);
  const data = Float64Array.from(indices.slice(0, recipe.n));
  return { shape: [data.length], data };
}

const OPERATORS = {
  softmax,
  unit,
  across: perLength(ACROSS),
  along: perLength(ALONG),
  size: (_, mask) => scalar(total(mask)),
  count,
  gaps,
  through_power: (recipe, d, scores) =>
    mapped(d, (x, k) => x * powerSlope(scores.data[k], recipe.power)),
  one_hot: oneHot,
  concat,
  front,
  back,
  relu: (_, y) => mapped(y, (x) => Math.max(x, 0)),
  passed_through: (_, d, y) => mapped(d, (x, k) => (y.data[k] > 0 ? x : 0)),
  hits: (_, ids, target) => mapped(ids, (id) => (id === target.data[0] ? 1 : 0)),
  without_hits: (_, logits, hits) => mapped(logits, (x, k) => (hits.data[k] ? -Infinity : x)),
  loss,
  tail,
  scatter,
  adam,
  max: perItem((x) => x.s),
  winner: perItem((x) => x.k),
  order,
};

/** Evaluate any recipe into {shape, data}; undefined for an input. */
export function evaluate(recipe, get) {
  if (recipe.op === "input") return undefined;
  if (recipe.op === "sum") return sum(recipe, get);
  const operator = OPERATORS[recipe.op];
  if (!operator) throw new Error(`unknown recipe "${recipe.op}"`);
  return operator(recipe, ...recipe.of.map(({ of }) => get(of)));
}
