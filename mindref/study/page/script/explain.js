// The terms of one cell in words and numbers, computed from its recipe.

import { five, unflat } from "./numbers.js";
import { explainFunction, totalOf } from "./operators.js";
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
 * `below`; "log", the logarithm of their sum; "value", explained by the text only; "input".
 */
export function explain(trace, name, index) {
  const tensor = trace.tensors.get(name);
  const explanation = { terms: [], ...explainCell(trace, tensor, index) };
  return { ...explanation, total: totalOf(explanation) ?? tensor.data[index] };
}

function explainCell(trace, { recipe, shape }, index) {
  if (recipe.op === "input") return { rule: "input", text: "An input, not computed." };
  if (recipe.op === "sum") return explainSum(trace, recipe, unflat(shape, index));
  const read = recipe.of.map(({ of }) => trace.tensors.get(of));
  const nameCell = (x, position) => cellName(trace, x.name, unflat(x.shape, position));
  return explainFunction(recipe, { read, shape, index, nameCell });
}

function explainSum(trace, recipe, cell) {
  const terms = products(recipe, (of) => trace.tensors.get(of), cell).map((product) => ({
    label: product.factors.map((f) => cellName(trace, f.of, f.cell)).join(" × "),
    numbers:
      product.factors.length > 1 ? product.factors.map((f) => five(f.value)).join(" × ") : undefined,
    sign: product.sign,
    value: product.value,
  }));
  const [one, many] = terms.every((term) => term.numbers)
    ? ["One product.", "products"]
    : ["Copied.", "terms"];
  const text = terms.length === 1 ? one : `${terms.length} ${many}, summed.`;
  return { rule: "sum", text, terms };
}
