// The recipe "sum": signed products of cells, one letter per axis; letters not in `out` are summed.

import { flat } from "./numbers.js";

/** Return the size of each letter, from the tensors of all factors. */
function sizesOf(terms) {
  const sizes = {};
  for (const { factors } of terms) {
    for (const { tensor, letters } of factors) {
      [...letters].forEach((letter, axis) => {
        sizes[letter] = tensor.shape[axis];
      });
    }
  }
  return sizes;
}

function strides(shape) {
  const out = new Array(shape.length).fill(1);
  for (let axis = shape.length - 2; axis >= 0; axis -= 1)
    out[axis] = out[axis + 1] * shape[axis + 1];
  return out;
}

/** Return a term with its summed letters and the stride of each factor for each letter. */
function plan(term, out, sizes) {
  const inner = [...new Set(term.factors.flatMap(({ letters }) => [...letters]))].filter(
    (x) => !out.includes(x),
  );
  const steps = term.factors.map(({ tensor, letters }) => {
    const tensorStrides = strides(tensor.shape);
    return Object.fromEntries([...letters].map((letter, axis) => [letter, tensorStrides[axis]]));
  });
  return {
    sign: term.sign,
    data: term.factors.map(({ tensor }) => tensor.data),
    inner,
    lengths: inner.map((letter) => sizes[letter]),
    outer: steps.map((step) => [...out].map((letter) => step[letter] ?? 0)),
    deep: steps.map((step) => inner.map((letter) => step[letter] ?? 0)),
  };
}

/** Look up the tensors of a recipe's factors. */
function resolved(recipe, get) {
  return recipe.terms.map(({ sign, factors }) => ({
    sign,
    factors: factors.map(({ of, letters }) => ({ of, letters, tensor: get(of) })),
  }));
}

/** Evaluate a recipe "sum" into {shape, data}. */
export function sum(recipe, get) {
  const terms = resolved(recipe, get);
  const sizes = sizesOf(terms);
  const out = [...recipe.out];
  const shape = out.map((letter) => sizes[letter]);
  const count = shape.reduce((a, b) => a * b, 1);
  const data = new Float64Array(count);
  for (const term of terms) accumulate(plan(term, out, sizes), shape, data);
  return { shape, data };
}

function accumulate(term, shape, data) {
  const cell = new Array(shape.length).fill(0);
  const start = term.data.map(() => 0);
  for (let index = 0; index < data.length; index += 1) {
    data[index] += term.sign * inside(term, start, 0);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      cell[axis] += 1;
      for (let f = 0; f < start.length; f += 1) start[f] += term.outer[f][axis];
      if (cell[axis] < shape[axis]) break;
      for (let f = 0; f < start.length; f += 1) start[f] -= term.outer[f][axis] * shape[axis];
      cell[axis] = 0;
    }
  }
}

/** Return the sum of products over the inner letters from `depth` on. */
function inside(term, start, depth) {
  if (depth === term.inner.length) {
    let product = 1;
    for (let f = 0; f < start.length; f += 1) product *= term.data[f][start[f]];
    return product;
  }
  const length = term.lengths[depth];
  let total = 0;
  if (depth === term.inner.length - 1 && start.length === 2) {
    const [x, y] = term.data;
    const dx = term.deep[0][depth];
    const dy = term.deep[1][depth];
    let [i, j] = start;
    for (let k = 0; k < length; k += 1, i += dx, j += dy) total += x[i] * y[j];
    return total;
  }
  const moved = start.slice();
  for (let k = 0; k < length; k += 1) {
    total += inside(term, moved, depth + 1);
    for (let f = 0; f < moved.length; f += 1) moved[f] += term.deep[f][depth];
  }
  return total;
}

/** Return every product of one cell: {sign, factors: [{of, cell, value}], value}. */
export function products(recipe, get, outCell) {
  const terms = resolved(recipe, get);
  const sizes = sizesOf(terms);
  const fixed = Object.fromEntries([...recipe.out].map((letter, axis) => [letter, outCell[axis]]));
  return terms.flatMap((term) => {
    const inner = [...new Set(term.factors.flatMap((f) => [...f.letters]))].filter(
      (x) => !(x in fixed),
    );
    return choices(inner, sizes).map((choice) => {
      const bound = { ...fixed, ...choice };
      const factors = term.factors.map(({ of, letters, tensor }) => {
        const cell = [...letters].map((letter) => bound[letter]);
        return { of, cell, value: tensor.data[flat(tensor.shape, cell)] };
      });
      const value = term.sign * factors.reduce((product, f) => product * f.value, 1);
      return { sign: term.sign, factors, value };
    });
  });
}

/** Return every value of the inner letters, the last letter fastest. */
function choices(letters, sizes) {
  let out = [{}];
  for (const letter of letters) {
    out = out.flatMap((choice) =>
      Array.from({ length: sizes[letter] }, (_, k) => ({ ...choice, [letter]: k })),
    );
  }
  return out;
}
