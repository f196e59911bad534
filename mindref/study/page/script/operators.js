// The recipe functions other than sums. Each explains one cell; an array is all its cells.

import { lengthOf, rowAt, five } from "./numbers.js";
import { sum } from "./sum_recipe.js";

/** Return the axis that a softmax runs over. */
export const axisOver = (recipe) => recipe.of[0].letters.indexOf(recipe.over);

const term = (label, value, numbers) => ({ label, value, numbers });
const stated = (text, value) => ({ rule: "value", text, value });
const added = (text, terms) => ({ rule: "sum", text, terms });
const copy = (text, label, value) => added(text, [term(label, value)]);
const copied = (text, x, position, nameCell) => copy(text, nameCell(x, position), x.data[position]);
const quotient = (text, terms, below) => ({ rule: "quotient", text, terms, below });

/** Return a number after a minus sign: a negative number is in brackets. */
const bracketed = (x) => (x < 0 ? `(${five(x)})` : five(x));

function softmax({ index, read: [logits, mask], nameCell, recipe }) {
  const open = rowAt(logits, axisOver(recipe), index).filter((position) => mask.data[position]);
  if (!open.includes(index)) return stated("Excluded by the mask: zero.", 0);
  const top = open.reduce((most, position) => Math.max(most, logits.data[position]), -Infinity);
  const expTerm = (position) => {
    const gap = logits.data[position] - top;
    const label = `exp(${nameCell(logits, position)} − ${bracketed(top)})`;
    return term(label, Math.exp(gap), `exp(${five(gap)})`);
  };
  const text =
    "The exponential over the sum of all exponentials. The largest logit is subtracted first; this does not change the result.";
  return quotient(text, [expTerm(index)], open.map(expTerm));
}

function unit({ index, read: [x], nameCell, recipe }) {
  if (recipe.kind === "none")
    return stated("This model has no squash: no direction is needed, so 0.", 0);
  const n = lengthOf(x, rowAt(x, x.shape.length - 1, index));
  if (n === 0) return stated("A zero vector has no direction: zero.", 0);
  const component = term(nameCell(x, index), x.data[index]);
  const text = "The component over the length of the vector.";
  return quotient(text, [component], [term("length of the vector", n)]);
}

// by kind: length after squash over length before, and derivative of the length after
const ACROSS = {
  squash: ["n / (1 + n²)", (n) => n / (1 + n * n)],
  unit: ["1 / n", (n) => (n === 0 ? 0 : 1 / n)],
  none: ["1", () => 1],
};
const ALONG = {
  squash: ["2n / (1 + n²)²", (n) => (2 * n) / (1 + n * n) ** 2],
  unit: ["0", () => 0],
  none: ["1", () => 1],
};

const ofLength =
  (kinds) =>
  ({ index, read: [x], recipe }) => {
    const [formula, compute] = kinds[recipe.kind];
    const n = lengthOf(x, rowAt(x, x.shape.length - 1, index * x.shape.at(-1)));
    const text = `${formula}, with n = ${five(n)}, the length of the vector in ${x.name}.`;
    return copy(text, formula, compute(n));
  };

/** Explain which interests are active: the first K' = max(1, min(K, floor(log2 n))). */
function count({ index, read: [mask], recipe }) {
  const n = mask.data.reduce((a, b) => a + b, 0);
  const byLength = recipe.rule === "log2";
  const limit = byLength ? Math.min(recipe.interests, 31 - Math.clz32(n)) : recipe.interests;
  const rule = byLength ? "max(1, min(K, ⌊log₂ n⌋))" : "all of them";
  return stated(
    `${n} films, at most ${recipe.interests} interests: ${rule} are active.`,
    Number(index < Math.max(1, n ? limit : 1)),
  );
}

/** Return sign(s) |s|^p, and 0 for p = 0. */
const signedPower = (s, p) => (Number(p) === 0 ? 0 : Math.sign(s) * Math.abs(s) ** Number(p));

/** Return the derivative of the signed power, 0 where it is infinite. */
function powerSlope(s, power) {
  const p = Number(power);
  const slope = p * Math.abs(s) ** (p - 1);
  return Number.isFinite(slope) ? slope : 0;
}

/** Return the position of the largest active score among `positions`; ties: the first. */
const bestOf = (scores, active, positions) =>
  positions
    .filter((_, k) => active.data[k])
    .reduce((a, position) => (scores.data[position] > scores.data[a] ? position : a));

function gaps({ index, read: [scores, active], nameCell, recipe }) {
  const best = bestOf(scores, active, [...scores.data.keys()]);
  const power = (k) => signedPower(scores.data[k], recipe.power);
  return added(
    `The signed power ${recipe.power} of the score, minus the signed power of the largest score.`,
    [
      term(`sign(s) |s|^${recipe.power} at ${nameCell(scores, index)}`, power(index)),
      term(`minus the same at ${nameCell(scores, best)}`, -power(best)),
    ],
  );
}

function oneHot({ index, read: [scores, active] }) {
  const best = index === bestOf(scores, active, [...scores.data.keys()]);
  return stated(
    best ? "Its score is the largest, so 1." : "Its score is not the largest, so 0.",
    Number(best),
  );
}

function concat({ index, shape, read: [capsules, profile], nameCell }) {
  const width = capsules.shape[1];
  const [j, k] = [Math.floor(index / shape[1]), index % shape[1]];
  return k < width
    ? copied("Copied from the capsule.", capsules, j * width + k, nameCell)
    : copied("Copied from the profile.", profile, k - width, nameCell);
}

function front({ index, read: [x], nameCell, recipe: { width } }) {
  const position = Math.floor(index / width) * x.shape[1] + (index % width);
  return copied("The part with respect to the capsule.", x, position, nameCell);
}

function back({ index, read: [x], nameCell, recipe }) {
  const [length, all] = x.shape;
  const positions = Array.from({ length }, (_, j) => j * all + recipe.width + index);
  return added(
    "The profile enters every interest, so this is the sum over the interests.",
    positions.map((position) => term(nameCell(x, position), x.data[position])),
  );
}

function passedThrough({ index, read: [d, y], nameCell }) {
  return y.data[index] > 0
    ? copied("The input of the ReLU is positive: the gradient passes.", d, index, nameCell)
    : copy("The input of the ReLU is not positive: no gradient.", nameCell(d, index), 0);
}

/** Explain the logarithm of 1 + sum exp(l - o_t): minus the log softmax of the target. */
function loss({ read: [target, others], nameCell }) {
  const off = Array.from(others.data, (l) => l - target.data[0]);
  const terms = off.map((gap, k) =>
    term(`exp(${nameCell(others, k)} − ${target.name})`, Math.exp(gap)),
  );
  terms.push(term("1, for the target itself", 1));
  const top = Math.max(0, ...off); // no overflow in the value
  const sumOfExp = off.reduce((a, gap) => a + Math.exp(gap - top), Math.exp(-top));
  const text = "The logarithm of the sum: minus the log probability of the target.";
  return { rule: "log", text, terms, value: top + Math.log(sumOfExp) };
}

function tail({ index, read: [target, others], nameCell }) {
  const top = Math.max(...others.data, target.data[0]);
  const expTerm = (name, l) => term(`exp(${name} − ${bracketed(top)})`, Math.exp(l - top));
  const below = Array.from(others.data, (l, k) => expTerm(nameCell(others, k), l));
  const text = "The exponential over the sum for all negatives and the target.";
  return quotient(text, [below[index]], [...below, expTerm(target.name, target.data[0])]);
}

/** Explain a row of the table: `uses` are triples of gradient, index and weight. */
function scatter({ index, shape, read: [rows, ...uses], nameCell }) {
  const [row, k] = [rows.data[Math.floor(index / shape[1])], index % shape[1]];
  const terms = [];
  for (let use = 0; use < uses.length; use += 3) {
    const [d, ids, weights] = uses.slice(use, use + 3);
    ids.data.forEach((id, n) => {
      if (id !== row) return;
      const position = Math.floor(n / ids.shape.at(-1)) * shape[1] + k;
      const [weight, x] = [weights.data[n], d.data[position]];
      const numbers = weight === 1 ? undefined : `${five(weight)} × ${five(x)}`;
      terms.push(term(nameCell(d, position), weight * x, numbers));
    });
  }
  return added("The sum of the gradients of all uses of this row.", terms);
}

function adam({ index, read: [x, first, second], nameCell, recipe }) {
  const root = Math.sqrt(1 - recipe.beta2 ** recipe.step);
  const rate = (recipe.rate * root) / (1 - recipe.beta1 ** recipe.step);
  const move = (rate * first.data[index]) / (Math.sqrt(second.data[index]) + recipe.epsilon * root);
  return added(
    "The value minus Adam's step: rate × first moment / √(second moment), both moments bias-corrected.",
    [term(nameCell(x, index), x.data[index]), term("minus Adam's step", -move)],
  );
}

const perItem =
  (text, choose) =>
  ({ index, read: [score, active], nameCell }) => {
    const positions = rowAt(score, 1, index * score.shape[1]);
    const listed = positions
      .filter((_, k) => active.data[k])
      .map((position) => `${nameCell(score, position)} = ${five(score.data[position])}`);
    const best = bestOf(score, active, positions);
    return stated(`${text} of: ${listed.join("; ")}.`, choose(score, best));
  };

function order({ index, read: [best], nameCell }) {
  const indices = [...best.data.keys()].sort((a, b) => best.data[b] - best.data[a] || a - b);
  const item = indices[index];
  const text = `Rank ${index + 1} by score: ${nameCell(best, item)} = ${five(best.data[item])}.`;
  return stated(text, item);
}

// by name: the explanation of a cell, and the shape of the result if it is not that of the first
// tensor; the names are those of recipe_arrays.FUNCTIONS in Python
const vectors = (_, x) => x.shape.slice(0, -1);
const scalar = () => [];
const FUNCTIONS = {
  softmax: [softmax],
  unit: [unit],
  across: [ofLength(ACROSS), vectors],
  along: [ofLength(ALONG), vectors],
  size: [
    ({ read: [mask], nameCell }) =>
      added(
        "1 for each film, 0 for padding.",
        Array.from(mask.data, (x, k) => term(nameCell(mask, k), x)),
      ),
    scalar,
  ],
  count: [count, (recipe) => [recipe.interests]],
  gaps: [gaps],
  through_power: [
    ({ index, read: [d, scores], nameCell, recipe }) =>
      copy(
        "The gradient times the derivative of the power.",
        `${nameCell(d, index)} × p |s|^(p − 1)`,
        d.data[index] * powerSlope(scores.data[index], recipe.power),
      ),
  ],
  one_hot: [oneHot],
  concat: [concat, (_, x, p) => [x.shape[0], x.shape[1] + (p?.data.length ?? 0)]],
  front: [front, (recipe, x) => [x.shape[0], recipe.width]],
  back: [back, ({ features, width }, x) => [features, (x.shape[1] - width) / features]],
  relu: [
    ({ index, read: [y], nameCell }) =>
      copy(
        y.data[index] > 0 ? "Positive: unchanged." : "Not positive: 0.",
        `max(0, ${nameCell(y, index)})`,
        Math.max(0, y.data[index]),
      ),
  ],
  passed_through: [passedThrough],
  hits: [
    ({ index, read: [ids, target] }) =>
      ids.data[index] === target.data[0]
        ? stated("This negative is the target itself.", 1)
        : stated("This negative is another item.", 0),
  ],
  without_hits: [
    ({ index, read: [logits, hits], nameCell }) =>
      hits.data[index]
        ? stated("An accidental hit is masked: minus infinity.", -Infinity)
        : copied("No accidental hit: copied.", logits, index, nameCell),
  ],
  loss: [loss, scalar],
  tail: [tail, (_, target, others) => others.shape],
  scatter: [scatter, (_, rows, d) => [rows.data.length, d.shape.at(-1)]],
  adam: [adam],
  max: [perItem("The largest", (score, best) => score.data[best]), vectors],
  winner: [
    perItem("The interest with the largest", (score, best) => best % score.shape[1]),
    vectors,
  ],
  order: [order, (recipe, best) => [Math.min(recipe.n, best.data.length)]],
};

const total = (terms) => terms.reduce((a, { value }) => a + value, 0);
const TOTALS = {
  sum: ({ terms }) => total(terms),
  quotient: ({ terms, below }) => total(terms) / total(below),
  log: ({ terms }) => Math.log(total(terms)),
};

/** Return what the terms of an explanation give; undefined for the rule "value". */
export const totalOf = (explanation) => TOTALS[explanation.rule]?.(explanation);

/** Explain the cell of a recipe function: {rule, text, terms, below, value}; see `explain`. */
export function explainFunction(recipe, cell) {
  return FUNCTIONS[recipe.op][0]({ ...cell, recipe });
}

/** Evaluate any recipe into {shape, data}; undefined for an input. */
export function evaluate(recipe, get) {
  if (recipe.op === "input") return undefined;
  if (recipe.op === "sum") return sum(recipe, get);
  if (!(recipe.op in FUNCTIONS)) throw new Error(`unknown recipe "${recipe.op}"`);
  const [explainCell, shapeOf = (_, x) => x.shape] = FUNCTIONS[recipe.op];
  const read = recipe.of.map(({ of }) => get(of));
  const shape = shapeOf(recipe, ...read);
  const length = shape.reduce((a, b) => a * b, 1);
  const data = Float64Array.from({ length }, (_, index) => {
    const explanation = explainCell({ recipe, read, shape, index, nameCell: () => "" });
    return explanation.value ?? totalOf(explanation);
  });
  return { shape, data };
}
