// Number formats; `data-value` has all digits.

/** Return the format of a tensor: enough decimals for three digits of its largest number. */
export function printer(tensor) {
  if (tensor.dtype === "bool") return (x) => (x ? "yes" : "no");
  if (tensor.dtype === "int64") return (x) => String(x);
  let largest = 0;
  for (const x of tensor.data) {
    if (Number.isFinite(x) && Math.abs(x) > largest) largest = Math.abs(x);
  }
  if (largest === 0) return (x) => special(x) ?? "0";
  const places = 2 - Math.floor(Math.log10(largest));
  if (places > 6) return (x) => special(x) ?? (x === 0 ? "0" : minus(x.toExponential(2)));
  const decimals = Math.max(places, 1, largest < 10 ? 3 : largest < 100 ? 2 : 0);
  return (x) => special(x) ?? (x === 0 ? "0" : minus(x.toFixed(decimals))); // exactly zero
}

function special(x) {
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  return undefined;
}

/** Replace hyphens by minus signs. */
export const minus = (text) => text.replace("-", "−").replace("e-", "e−").replace("e+", "e");

/** Format one number with four significant digits, for sentences. */
export function four(x) {
  if (special(x)) return special(x);
  if (Number.isInteger(x) && Math.abs(x) < 1e6) return minus(String(x));
  const size = Math.abs(x);
  return minus(size >= 1e5 || size < 1e-3 ? x.toExponential(1) : x.toPrecision(4));
}

/** Format one number with five significant digits, for tables. */
export function five(x) {
  if (x === undefined) return "";
  if (special(x)) return special(x);
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return minus(String(x));
  if (size >= 1e5 || size < 1e-3) return minus(x.toExponential(4));
  return minus(x.toPrecision(5));
}

/** Format one number with two decimals. */
export const two = (x) => minus(x.toFixed(2));

/** Format one number with three decimals. */
export const brief = (x) => (Number.isFinite(x) ? minus(x.toFixed(3)) : five(x ?? undefined));

/** Format a difference with two or three digits. */
export function tiny(x) {
  if (x === 0 || !Number.isFinite(x)) return special(x) ?? "0";
  const size = Math.abs(x);
  return minus(size >= 0.01 && size < 1000 ? String(Number(x.toPrecision(3))) : x.toExponential(1));
}

/** Return all digits of a number, so that it can be read back exactly. */
export const allDigits = (x) => (Object.is(x, -0) ? "-0" : String(x));

/** Return the flat index of a cell. */
export function flat(shape, cell) {
  return cell.reduce((index, k, axis) => index * shape[axis] + k, 0);
}

/** Return the cell of a flat index. */
export function unflat(shape, index) {
  const cell = [];
  let remainder = index;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    cell.unshift(remainder % shape[axis]);
    remainder = Math.floor(remainder / shape[axis]);
  }
  return cell;
}

/** Return the flat indices of the cells along one axis through a cell. */
export function rowAt(tensor, axis, index) {
  const length = tensor.shape[axis];
  const stride = tensor.shape.slice(axis + 1).reduce((a, b) => a * b, 1);
  const first = index - (Math.floor(index / stride) % length) * stride;
  return Array.from({ length }, (_, k) => first + k * stride);
}

/** Return the flat indices along one axis, one list for each row. */
export function rowsOver(tensor, axis) {
  const rows = [...tensor.data.keys()].map((index) => rowAt(tensor, axis, index));
  return rows.filter((row, index) => row[0] === index);
}

/** Return the Euclidean norm of some cells of a tensor. */
export const lengthOf = (x, indices) =>
  Math.sqrt(indices.reduce((a, index) => a + x.data[index] * x.data[index], 0));

/** Return [0, 1, ..., n - 1]. */
export const range = (n) => Array.from({ length: n }, (_, k) => k);

/** Return the index of the largest number; the first of several. */
export const argmax = (row) => row.indexOf(Math.max(...row));

/** Return the interest with the largest coupling weight of a film; -1 for none, and for a tie. */
export function ownerOf(row) {
  const top = Math.max(...row);
  const tied = row.filter((w) => w >= top * (1 - 1e-9)).length;
  return top > 0 && tied === 1 ? argmax(row) : -1;
}

/** Return the inner product of two lists of numbers. */
export const dot = (x, y) => x.reduce((a, value, k) => a + value * y[k], 0);

export const norm = (x) => Math.sqrt(dot(x, x));

/** Return the cosine of two lists of numbers; 0 if a list is zero. */
export const cosine = (x, y) => dot(x, y) / (Math.sqrt(dot(x, x) * dot(y, y)) || 1);

const AXIS_NAMES = { behaviour: "film", place: "rank" };

/** Return the name of an axis for readers. */
export const axisName = (axis) => AXIS_NAMES[axis] ?? axis;

/** Return the axes and sizes of a tensor as text. */
export const shapeText = ({ axes, shape }) =>
  shape.length ? `${axes.map(axisName).join(" × ")}, ${shape.join(" × ")}` : "one number";
