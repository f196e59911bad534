// How numbers are printed; the whole number always stands in `data-value`.

/** Return the printer of a tensor: enough decimals for three digits of its largest number. */
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
  return (x) => special(x) ?? (x === 0 ? "0" : minus(x.toFixed(decimals))); // 0: nothing at all
}

function special(x) {
  if (Number.isNaN(x)) return "NaN";
  if (x === Infinity) return "∞";
  if (x === -Infinity) return "−∞";
  return undefined;
}

/** A true minus sign, as wide as the plus. */
export const minus = (text) => text.replace("-", "−").replace("e-", "e−").replace("e+", "e");

/** Print one number by itself: six digits. */
export function six(x) {
  if (x === undefined) return "";
  if (special(x)) return special(x);
  if (x === 0) return "0";
  const size = Math.abs(x);
  if (Number.isInteger(x) && size < 1e6) return minus(String(x));
  if (size >= 1e5 || size < 1e-3) return minus(x.toExponential(4));
  return minus(x.toPrecision(6));
}

/** Print one number of a list that is read at a glance. */
export const brief = (x) => (Number.isFinite(x) ? minus(x.toFixed(3)) : six(x ?? undefined));

/** Print how large a difference is. */
export function tiny(x) {
  if (x === 0 || !Number.isFinite(x)) return special(x) ?? "0";
  const size = Math.abs(x);
  return minus(size >= 0.01 && size < 1000 ? String(Number(x.toPrecision(3))) : x.toExponential(1));
}

/** Return a number in full, to be read back to the same bits. */
export const whole = (x) => (Object.is(x, -0) ? "-0" : String(x));

/** Return the flat position of a cell. */
export function flat(shape, cell) {
  return cell.reduce((at, k, axis) => at * shape[axis] + k, 0);
}

/** Return the cell at a flat position. */
export function unflat(shape, at) {
  const cell = [];
  let rest = at;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    cell.unshift(rest % shape[axis]);
    rest = Math.floor(rest / shape[axis]);
  }
  return cell;
}
