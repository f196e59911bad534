// One cell in words and numbers: the terms it is made of, from its recipe alone.

import { six, unflat } from "./numbers.js";
import {
  ACROSS,
  adamStep,
  ALONG,
  axisOver,
  lengthOf,
  powerSlope,
  rowsOver,
  sendings,
  signedPower,
} from "./operators.js";
import { products } from "./sums.js";

/** Return the label of place k on an axis. */
export function label(trace, axis, k) {
  const known = trace.labels[axis]?.[k];
  if (known === undefined) return axis === "feature" ? `feature ${k + 1}` : String(k + 1);
  return String(known).trim() === "" ? "(no title)" : String(known);
}

/** Return a cell's name, such as w[2][Night Ferry, interest 4]. */
export function cellName(trace, name, cell) {
  if (cell.length === 0) return name;
  const tensor = trace.tensors.get(name);
  return `${name}[${cell.map((k, axis) => label(trace, tensor.axes[axis], k)).join(", ")}]`;
}

/** Return {rule, text, terms, below, total}.
 *
 * The rule says how the total comes of the terms: "sum"; "quotient", their sum over that of
 * `below`; "log", the logarithm of their sum; "value", it is said by the text alone.
 */
export function explain(trace, name, at) {
  const tensor = trace.tensors.get(name);
  const { op, of } = tensor.recipe;
  const read = Array.isArray(of) ? of.map((place) => trace.tensors.get(place.of)) : [];
  const named = (x, place) => cellName(trace, x.name, unflat(x.shape, place));
  const found = (EXPLAINERS[op] ?? byRule)({
    trace,
    tensor,
    at,
    read,
    named,
    recipe: tensor.recipe,
  });
  return { total: tensor.data[at], terms: [], ...found };
}

const value = (text) => ({ rule: "value", text });
const copy = (text, label_, x) => ({
  rule: "sum",
  text,
  terms: [{ label: label_, value: x }],
  total: x,
});
const added = (text, terms) => ({
  rule: "sum",
  text,
  terms,
  total: terms.reduce((a, t) => a + t.value, 0),
});
const byRule = ({ tensor }) => value(`By the rule “${tensor.recipe.op}”.`);

function sumOf({ trace, tensor, at, recipe }) {
  const get = (of) => trace.tensors.get(of);
  const terms = products(recipe, get, unflat(tensor.shape, at)).map((product) => ({
    label: product.factors.map((f) => cellName(trace, f.of, f.cell)).join(" × "),
    numbers:
      product.factors.length > 1 ? product.factors.map((f) => six(f.value)).join(" × ") : undefined,
    sign: product.sign,
    value: product.value,
  }));
  const [one, many] = terms.every((term) => term.numbers)
    ? ["One product.", "products"]
    : ["Taken over.", "terms"];
  return added(terms.length === 1 ? one : `${terms.length} ${many}, added up.`, terms);
}

function softmaxOf({ at, read: [logits, mask], named, recipe }) {
  const row = rowsOver(logits, axisOver(recipe)).find((places) => places.includes(at));
  const open = row.filter((place) => mask.data[place]);
  if (!open.includes(at)) return value("Left out by the mask: zero.");
  const top = open.reduce((most, place) => Math.max(most, logits.data[place]), -Infinity);
  const raised = (place) => ({
    label: `exp(${named(logits, place)} − ${six(top)})`,
    numbers: `exp(${six(logits.data[place] - top)})`,
    value: Math.exp(logits.data[place] - top),
  });
  const below = open.map(raised);
  const total = raised(at).value / below.reduce((a, t) => a + t.value, 0);
  const text =
    "Its exponential over the sum of all of them. The largest logit is taken off first, which changes nothing.";
  return { rule: "quotient", text, terms: [raised(at)], below, total };
}

function unitOf({ at, read: [x], named, recipe }) {
  if (recipe.kind === "none") return value("This model leaves lengths as they are.");
  const row = rowsOver(x, x.shape.length - 1).find((places) => places.includes(at));
  const n = lengthOf(x, row);
  if (n === 0) return value("Zero has no direction: zero.");
  const below = [{ label: "the length of its row", value: n }];
  return {
    rule: "quotient",
    text: "The number over the length of its row.",
    terms: [{ label: named(x, at), value: x.data[at] }],
    below,
    total: x.data[at] / n,
  };
}

const lengthRule =
  (table, formulas) =>
  ({ at, read: [x], recipe }) => {
    const row = rowsOver(x, x.shape.length - 1)[at];
    const n = lengthOf(x, row);
    return copy(
      `${formulas[recipe.kind]}, with n = ${six(n)}, the length of the row of ${x.name}.`,
      formulas[recipe.kind],
      table[recipe.kind](n),
    );
  };

function gapOf({ at, read: [scores, active], named, recipe }) {
  const best = [...scores.data.keys()]
    .filter((k) => active.data[k])
    .reduce((a, k) => (scores.data[k] > scores.data[a] ? k : a));
  const power = (k) => signedPower(scores.data[k], recipe.power);
  return added(`The power ${recipe.power} that keeps the sign, less that of the largest score.`, [
    { label: `sign(s) |s|^${recipe.power} at ${named(scores, at)}`, value: power(at) },
    { label: `less the same at ${named(scores, best)}`, value: -power(best) },
  ]);
}

function lossOf({ read: [target, others], named }) {
  const terms = [...others.data.keys()].map((k) => ({
    label: `exp(${named(others, k)} − ${target.name})`,
    value: Math.exp(others.data[k] - target.data[0]),
  }));
  terms.push({ label: "1, for the target itself", value: 1 });
  return {
    rule: "log",
    text: "The logarithm of the sum: how far the target is from taking all.",
    terms,
    total: Math.log(terms.reduce((a, t) => a + t.value, 0)),
  };
}

function tailOf({ at, read: [target, others], named }) {
  const top = others.data.reduce((a, b) => Math.max(a, b), target.data[0]);
  const term = (name, l) => ({ label: `exp(${name} − ${six(top)})`, value: Math.exp(l - top) });
  const below = [...others.data].map((l, k) => term(named(others, k), l));
  below.push(term(target.name, target.data[0]));
  const above = term(named(others, at), others.data[at]);
  return {
    rule: "quotient",
    text: "Its exponential over that of all negatives and the target.",
    terms: [above],
    below,
    total: above.value / below.reduce((a, t) => a + t.value, 0),
  };
}

function scatterOf({ tensor, at, read: [rows, ...uses], named, recipe }) {
  const width = tensor.shape.at(-1);
  const [row, k] = [Math.floor(at / width), at % width];
  const mine = sendings(recipe, rows, uses).filter((x) => x.row === row);
  const terms = mine.map(({ d, from, share }) => ({
    label: named(d, from + k),
    numbers: share === 1 ? undefined : `${six(share)} × ${six(d.data[from + k])}`,
    value: share * d.data[from + k],
  }));
  return added("What every use of this row sends back.", terms);
}

function backOf({ at, read: [x], named, recipe }) {
  const [rows, all] = x.shape;
  const terms = Array.from({ length: rows }, (_, j) => j * all + recipe.width + at).map(
    (place) => ({ label: named(x, place), value: x.data[place] }),
  );
  return added("The profile goes to every interest: the sum over them.", terms);
}

function concatOf({ tensor, at, read: [capsules, profile], named }) {
  const [width, all] = [capsules.shape[1], tensor.shape[1]];
  const [j, k] = [Math.floor(at / all), at % all];
  if (k < width)
    return copy(
      "Taken over from the capsule.",
      named(capsules, j * width + k),
      capsules.data[j * width + k],
    );
  return copy("Taken over from the profile.", named(profile, k - width), profile.data[k - width]);
}

function maxOf({ tensor, at, read: [score, active], named }) {
  const k = score.shape[1];
  const places = Array.from({ length: k }, (_, j) => at * k + j).filter((_, j) => active.data[j]);
  const said = places
    .map((place) => `${named(score, place)} = ${six(score.data[place])}`)
    .join("; ");
  return value(
    `${tensor.recipe.op === "max" ? "The largest" : "The interest with the largest"} of: ${said}.`,
  );
}

const EXPLAINERS = {
  given: () => ({ rule: "given", text: "An input: nothing is computed here." }),
  sum: sumOf,
  softmax: softmaxOf,
  unit: unitOf,
  across: lengthRule(ACROSS, { squash: "n / (1 + n²)", unit: "1 / n", none: "1" }),
  along: lengthRule(ALONG, { squash: "2n / (1 + n²)²", unit: "0", none: "1" }),
  size: ({ read: [mask], named }) =>
    added(
      "One for every behaviour.",
      [...mask.data].map((x, k) => ({ label: named(mask, k), value: x })),
    ),
  count: ({ read: [mask], recipe }) =>
    value(
      `${mask.data.reduce((a, b) => a + b, 0)} behaviours, at most ${recipe.interests} interests: ${recipe.rule === "log2" ? "max(1, min(K, ⌊log₂ n⌋))" : "all of them"} are active.`,
    ),
  gaps: gapOf,
  through_power: ({ at, read: [d, scores], named, recipe }) =>
    copy(
      "The gradient times the slope of the power.",
      `${named(d, at)} × p |s|^(p − 1)`,
      d.data[at] * powerSlope(scores.data[at], recipe.power),
    ),
  one_hot: ({ at, tensor }) =>
    value(
      tensor.data[at]
        ? "Its score is the largest: it takes all."
        : "Its score is not the largest: it takes nothing.",
    ),
  concat: concatOf,
  front: ({ at, read: [x], named, recipe }) => {
    const place = Math.floor(at / recipe.width) * x.shape[1] + (at % recipe.width);
    return copy("The part that belongs to the capsule.", named(x, place), x.data[place]);
  },
  back: backOf,
  relu: ({ at, read: [y], named }) =>
    copy(
      y.data[at] > 0 ? "Above zero: let through." : "Not above zero: cut to 0.",
      `max(0, ${named(y, at)})`,
      Math.max(0, y.data[at]),
    ),
  passed_through: ({ at, read: [d, y], named }) =>
    copy(
      y.data[at] > 0
        ? "The rectifier let this one through."
        : "The rectifier cut this one: no gradient.",
      named(d, at),
      y.data[at] > 0 ? d.data[at] : 0,
    ),
  hits: ({ tensor, at }) =>
    value(
      tensor.data[at] ? "This negative is the target itself." : "This negative is another item.",
    ),
  without_hits: ({ at, read: [logits, hits], named }) =>
    hits.data[at]
      ? value("A hit is left out: minus infinity.")
      : copy("No hit: taken over.", named(logits, at), logits.data[at]),
  loss: lossOf,
  tail: tailOf,
  scatter: scatterOf,
  adam: ({ at, read: [x, first, second], named, recipe }) =>
    added(
      "The value less Adam's step: rate × first moment over the root of the second, both corrected for the number of steps.",
      [
        { label: named(x, at), value: x.data[at] },
        {
          label: "less Adam's step",
          value: -adamStep(recipe, first.data[at], second.data[at]),
        },
      ],
    ),
  max: maxOf,
  winner: maxOf,
  order: ({ tensor, at, read: [best], named }) =>
    value(
      `Place ${at + 1} by score: ${named(best, tensor.data[at])} = ${six(best.data[tensor.data[at]])}.`,
    ),
};
