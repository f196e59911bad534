// The recipe "sum": signed products of cells, one letter per axis; letters not in `out` are summed.

import { flat, range } from "./numbers.js";

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

/** Return the letters of a term that the result does not have. */
const summedLetters = ({ factors }, out) =>
  [...new Set(factors.flatMap(({ letters }) => [...letters]))].filter((x) => !out.includes(x));

/** Return by how much the flat index in a factor increases with one letter. */
function strideOf({ tensor, letters }, letter) {
  const axis = letters.indexOf(letter);
  return axis < 0 ? 0 : tensor.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
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
  const data = new Float64Array(shape.reduce((a, b) => a * b, 1));
  for (const term of terms) accumulate(term, out, sizes, data);
  return { shape, data };
}

/** Add a term to every cell; a counter runs over the letters of the cell, then the summed letters. */
function accumulate(term, out, sizes, data) {
  const summed = summedLetters(term, out);
  const letters = [...out, ...summed];
  const lengths = letters.map((letter) => sizes[letter]);
  const strides = term.factors.map((factor) => letters.map((x) => strideOf(factor, x)));
  const arrays = term.factors.map(({ tensor }) => tensor.data);
  const [counter, at] = [letters.map(() => 0), arrays.map(() => 0)];
  const advance = () => {
    for (let k = letters.length - 1; k >= 0; k -= 1) {
      counter[k] += 1;
      const by = counter[k] < lengths[k] ? 1 : 1 - lengths[k];
      for (let f = 0; f < at.length; f += 1) at[f] += by * strides[f][k];
      if (by === 1) return;
      counter[k] = 0;
    }
  };
  const products = summed.reduce((a, letter) => a * sizes[letter], 1);
  for (let index = 0; index < data.length; index += 1) {
    let total = 0;
    for (let n = 0; n < products; n += 1) {
      let product = 1;
      for (let f = 0; f < at.length; f += 1) product *= arrays[f][at[f]];
      total += product;
      advance();
    }
    data[index] += term.sign * total;
  }
}

/** Return every product of one cell: {sign, factors: [{of, cell, value}], value}. */
export function products(recipe, get, outCell) {
  const terms = resolved(recipe, get);
  const sizes = sizesOf(terms);
  const fixed = Object.fromEntries([...recipe.out].map((letter, axis) => [letter, outCell[axis]]));
  return terms.flatMap((term) => {
    return choices(summedLetters(term, recipe.out), sizes).map((choice) => {
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
    out = out.flatMap((choice) => range(sizes[letter]).map((k) => ({ ...choice, [letter]: k })));
  }
  return out;
}
