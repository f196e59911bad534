// The terms of one cell in words and numbers, computed from its recipe.

import { six, unflat } from "./numbers.js";
import {
  ACROSS,
  adamStep,
  ALONG,
  axisOver,
  lengthOf,
  powerSlope,
  rowsOver,
  contributions,
  signedPower,
} from "./operators.js";
import { products } from "./sum_recipe.js";

/** Return the label of position k on an axis. */
export function label(trace, axis, k) {
  const title = trace.labels[axis]?.[k];
  if (title === undefined) return axis === "feature" ? `feature ${k + 1}` : String(k + 1);
  return String(title).trim() === "" ? "(no title)" : String(title);
}

/** Return a cell's name, such as w[2][Night Ferry, interest 4]. */
export function cellName(trace, name, cell) {
  if (cell.length === 0) return name;
  const tensor = trace.tensors.get(name);
  return `${name}[${cell.map((k, axis) => label(trace, tensor.axes[axis], k)).join(", ")}]`;
}

/** Return {rule, text, terms, below, total}.
 *
 * The rule is how the total follows from the terms: "sum"; "quotient", their sum over the sum of
 * `below`; "log", the logarithm of their sum; "value", explained by the text only.
 */
export function explain(trace, name, index) {
  const tensor = trace.tensors.get(name);
  const { op, of } = tensor.recipe;
  const read = Array.isArray(of) ? of.map((factor) => trace.tensors.get(factor.of)) : [];
  const nameCell = (x, position) => cellName(trace, x.name, unflat(x.shape, position));
  const cell = { trace, tensor, index, read, nameCell, recipe: tensor.recipe };
  const explanation = { terms: [], ...(EXPLAINERS[op] ?? byRule)(cell) };
  return { ...explanation, total: TOTALS[explanation.rule]?.(explanation) ?? tensor.data[index] };
}

const sumOfTerms = (terms) => terms.reduce((a, t) => a + t.value, 0);
const TOTALS = {
  sum: ({ terms }) => sumOfTerms(terms),
  quotient: ({ terms, below }) => sumOfTerms(terms) / sumOfTerms(below),
  log: ({ terms }) => Math.log(sumOfTerms(terms)),
};

const value = (text) => ({ rule: "value", text });
const added = (text, terms) => ({ rule: "sum", text, terms });
const copy = (text, label_, x) => added(text, [{ label: label_, value: x }]);
const byRule = ({ tensor }) => value(`By the function “${tensor.recipe.op}”.`);

function sumOf({ trace, tensor, index, recipe }) {
  const get = (of) => trace.tensors.get(of);
  const terms = products(recipe, get, unflat(tensor.shape, index)).map((product) => ({
    label: product.factors.map((f) => cellName(trace, f.of, f.cell)).join(" × "),
    numbers:
      product.factors.length > 1 ? product.factors.map((f) => six(f.value)).join(" × ") : undefined,
    sign: product.sign,
    value: product.value,
  }));
  const [one, many] = terms.every((term) => term.numbers)
    ? ["One product.", "products"]
    : ["Copied.", "terms"];
  return added(terms.length === 1 ? one : `${terms.length} ${many}, summed.`, terms);
}

function softmaxOf({ index, read: [logits, mask], nameCell, recipe }) {
  const row = rowsOver(logits, axisOver(recipe)).find((positions) => positions.includes(index));
  const open = row.filter((position) => mask.data[position]);
  if (!open.includes(index)) return value("Excluded by the mask: zero.");
  const top = open.reduce((most, position) => Math.max(most, logits.data[position]), -Infinity);
  const expTerm = (position) => ({
    label: `exp(${nameCell(logits, position)} − ${six(top)})`,
    numbers: `exp(${six(logits.data[position] - top)})`,
    value: Math.exp(logits.data[position] - top),
  });
  const text =
    "The exponential over the sum of all exponentials. The largest logit is subtracted first; this does not change the result.";
  return { rule: "quotient", text, terms: [expTerm(index)], below: open.map(expTerm) };
}

function unitOf({ index, read: [x], nameCell, recipe }) {
  if (recipe.kind === "none")
    return value("This model has no squash: no direction is needed, so 0.");
  const row = rowsOver(x, x.shape.length - 1).find((positions) => positions.includes(index));
  const n = lengthOf(x, row);
  if (n === 0) return value("A zero vector has no direction: zero.");
  return {
    rule: "quotient",
    text: "The component over the length of the vector.",
    terms: [{ label: nameCell(x, index), value: x.data[index] }],
    below: [{ label: "length of the vector", value: n }],
  };
}

const lengthRule =
  (table, formulas) =>
  ({ index, read: [x], recipe }) => {
    const row = rowsOver(x, x.shape.length - 1)[index];
    const n = lengthOf(x, row);
    return copy(
      `${formulas[recipe.kind]}, with n = ${six(n)}, the length of the vector in ${x.name}.`,
      formulas[recipe.kind],
      table[recipe.kind](n),
    );
  };

function gapOf({ index, read: [scores, active], nameCell, recipe }) {
  const best = [...scores.data.keys()]
    .filter((k) => active.data[k])
    .reduce((a, k) => (scores.data[k] > scores.data[a] ? k : a));
  const power = (k) => signedPower(scores.data[k], recipe.power);
  return added(
    `The signed power ${recipe.power} of the score, minus the signed power of the largest score.`,
    [
      { label: `sign(s) |s|^${recipe.power} at ${nameCell(scores, index)}`, value: power(index) },
      { label: `minus the same at ${nameCell(scores, best)}`, value: -power(best) },
    ],
  );
}

function lossOf({ read: [target, others], nameCell }) {
  const terms = [...others.data.keys()].map((k) => ({
    label: `exp(${nameCell(others, k)} − ${target.name})`,
    value: Math.exp(others.data[k] - target.data[0]),
  }));
  terms.push({ label: "1, for the target itself", value: 1 });
  return {
    rule: "log",
    text: "The logarithm of the sum: minus the log probability of the target.",
    terms,
  };
}

function tailOf({ index, read: [target, others], nameCell }) {
  const top = others.data.reduce((a, b) => Math.max(a, b), target.data[0]);
  const term = (name, l) => ({ label: `exp(${name} − ${six(top)})`, value: Math.exp(l - top) });
  const below = [...others.data].map((l, k) => term(nameCell(others, k), l));
  below.push(term(target.name, target.data[0]));
  return {
    rule: "quotient",
    text: "The exponential over the sum for all negatives and the target.",
    terms: [term(nameCell(others, index), others.data[index])],
    below,
  };
}

function scatterOf({ tensor, index, read: [rows, ...uses], nameCell, recipe }) {
  const width = tensor.shape.at(-1);
  const [row, k] = [Math.floor(index / width), index % width];
  const rowUses = contributions(recipe, rows, uses).filter((x) => x.row === row);
  const terms = rowUses.map(({ d, from, weight }) => ({
    label: nameCell(d, from + k),
    numbers: weight === 1 ? undefined : `${six(weight)} × ${six(d.data[from + k])}`,
    value: weight * d.data[from + k],
  }));
  return added("The sum of the gradients of all uses of this row.", terms);
}

function backOf({ index, read: [x], nameCell, recipe }) {
  const [rows, all] = x.shape;
  const terms = Array.from({ length: rows }, (_, j) => j * all + recipe.width + index).map(
    (position) => ({ label: nameCell(x, position), value: x.data[position] }),
  );
  return added("The profile enters every interest, so this is the sum over the interests.", terms);
}

function concatOf({ tensor, index, read: [capsules, profile], nameCell }) {
  const [width, all] = [capsules.shape[1], tensor.shape[1]];
  const [j, k] = [Math.floor(index / all), index % all];
  if (k < width)
    return copy(
      "Copied from the capsule.",
      nameCell(capsules, j * width + k),
      capsules.data[j * width + k],
    );
  return copy("Copied from the profile.", nameCell(profile, k - width), profile.data[k - width]);
}

function maxOf({ tensor, index, read: [score, active], nameCell }) {
  const k = score.shape[1];
  const positions = Array.from({ length: k }, (_, j) => index * k + j).filter(
    (_, j) => active.data[j],
  );
  const scoreTexts = positions
    .map((position) => `${nameCell(score, position)} = ${six(score.data[position])}`)
    .join("; ");
  return value(
    `${tensor.recipe.op === "max" ? "The largest" : "The interest with the largest"} of: ${scoreTexts}.`,
  );
}

const EXPLAINERS = {
  input: () => ({ rule: "input", text: "An input, not computed." }),
  sum: sumOf,
  softmax: softmaxOf,
  unit: unitOf,
  across: lengthRule(ACROSS, { squash: "n / (1 + n²)", unit: "1 / n", none: "1" }),
  along: lengthRule(ALONG, { squash: "2n / (1 + n²)²", unit: "0", none: "1" }),
  size: ({ read: [mask], nameCell }) =>
    added(
      "1 for each behaviour, 0 for padding.",
      [...mask.data].map((x, k) => ({ label: nameCell(mask, k), value: x })),
    ),
  count: ({ read: [mask], recipe }) =>
    value(
      `${mask.data.reduce((a, b) => a + b, 0)} behaviours, at most ${recipe.interests} interests: ${recipe.rule === "log2" ? "max(1, min(K, ⌊log₂ n⌋))" : "all of them"} are active.`,
    ),
  gaps: gapOf,
  through_power: ({ index, read: [d, scores], nameCell, recipe }) =>
    copy(
      "The gradient times the derivative of the power.",
      `${nameCell(d, index)} × p |s|^(p − 1)`,
      d.data[index] * powerSlope(scores.data[index], recipe.power),
    ),
  one_hot: ({ index, tensor }) =>
    value(
      tensor.data[index]
        ? "Its score is the largest, so 1."
        : "Its score is not the largest, so 0.",
    ),
  concat: concatOf,
  front: ({ index, read: [x], nameCell, recipe }) => {
    const position = Math.floor(index / recipe.width) * x.shape[1] + (index % recipe.width);
    return copy("The part with respect to the capsule.", nameCell(x, position), x.data[position]);
  },
  back: backOf,
  relu: ({ index, read: [y], nameCell }) =>
    copy(
      y.data[index] > 0 ? "Positive: unchanged." : "Not positive: 0.",
      `max(0, ${nameCell(y, index)})`,
      Math.max(0, y.data[index]),
    ),
  passed_through: ({ index, read: [d, y], nameCell }) =>
    copy(
      y.data[index] > 0
        ? "The input of the ReLU is positive: the gradient passes."
        : "The input of the ReLU is not positive: no gradient.",
      nameCell(d, index),
      y.data[index] > 0 ? d.data[index] : 0,
    ),
  hits: ({ tensor, index }) =>
    value(
      tensor.data[index] ? "This negative is the target itself." : "This negative is another item.",
    ),
  without_hits: ({ index, read: [logits, hits], nameCell }) =>
    hits.data[index]
      ? value("An accidental hit is masked: minus infinity.")
      : copy("No accidental hit: copied.", nameCell(logits, index), logits.data[index]),
  loss: lossOf,
  tail: tailOf,
  scatter: scatterOf,
  adam: ({ index, read: [x, first, second], nameCell, recipe }) =>
    added(
      "The value minus Adam's step: rate × first moment / √(second moment), both moments bias-corrected.",
      [
        { label: nameCell(x, index), value: x.data[index] },
        {
          label: "minus Adam's step",
          value: -adamStep(recipe, first.data[index], second.data[index]),
        },
      ],
    ),
  max: maxOf,
  winner: maxOf,
  order: ({ tensor, index, read: [best], nameCell }) =>
    value(
      `Rank ${index + 1} by score: ${nameCell(best, tensor.data[index])} = ${six(best.data[tensor.data[index]])}.`,
    ),
};
