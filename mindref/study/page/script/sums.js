// The recipe "sum": signed products of cells, one letter per axis; a letter not in `out` is summed.

/** Return how long each letter is, from the tensors of all factors. */
function sizesOf(terms) {
  const sizes = {};
  for (const { factors } of terms) {
    for (const { tensor, at } of factors) {
      [...at].forEach((letter, axis) => {
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

/** Return a term ready to be walked: what it sums over, and the step of each factor per letter. */
function plan(term, out, sizes) {
  const inner = [...new Set(term.factors.flatMap(({ at }) => [...at]))].filter(
    (x) => !out.includes(x),
  );
  const steps = term.factors.map(({ tensor, at }) => {
    const own = strides(tensor.shape);
    return Object.fromEntries([...at].map((letter, axis) => [letter, own[axis]]));
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
    factors: factors.map(({ of, at }) => ({ of, at, tensor: get(of) })),
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
  for (let at = 0; at < data.length; at += 1) {
    data[at] += term.sign * inside(term, start, 0);
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      cell[axis] += 1;
      for (let f = 0; f < start.length; f += 1) start[f] += term.outer[f][axis];
      if (cell[axis] < shape[axis]) break;
      for (let f = 0; f < start.length; f += 1) start[f] -= term.outer[f][axis] * shape[axis];
      cell[axis] = 0;
    }
  }
}

/** Add up the products over the inner letters from `depth` on. */
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

/** Return every product that one cell adds up: {sign, factors: [{of, cell, value}], value}. */
export function products(recipe, get, at) {
  const terms = resolved(recipe, get);
  const sizes = sizesOf(terms);
  const fixed = Object.fromEntries([...recipe.out].map((letter, axis) => [letter, at[axis]]));
  return terms.flatMap((term) => {
    const inner = [...new Set(term.factors.flatMap((f) => [...f.at]))].filter((x) => !(x in fixed));
    return places(inner, sizes).map((place) => {
      const where = { ...fixed, ...place };
      const factors = term.factors.map(({ of, at: letters, tensor }) => {
        const cell = [...letters].map((letter) => where[letter]);
        const own = strides(tensor.shape);
        return { of, cell, value: tensor.data[cell.reduce((n, k, axis) => n + k * own[axis], 0)] };
      });
      const value = term.sign * factors.reduce((product, f) => product * f.value, 1);
      return { sign: term.sign, factors, value };
    });
  });
}

/** Return every choice of the inner letters, the last one fastest. */
function places(letters, sizes) {
  let out = [{}];
  for (const letter of letters) {
    out = out.flatMap((place) =>
      Array.from({ length: sizes[letter] }, (_, k) => ({ ...place, [letter]: k })),
    );
  }
  return out;
}
