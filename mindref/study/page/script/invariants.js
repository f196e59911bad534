// The invariants of a step, evaluated for edited numbers; the same kinds as in Python.

import { flat, lengthOf, rowsOver, unflat } from "./numbers.js";

/** Return name and axis letters of a reference such as w[2]:ik. */
function splitReference(reference) {
  const colon = reference.lastIndexOf(":");
  return colon < 0 ? [reference, ""] : [reference.slice(0, colon), reference.slice(colon + 1)];
}

const largest = (numbers) =>
  [...numbers].reduce((a, b) => (Number.isNaN(b) ? Infinity : Math.max(a, b)), 0);

function sums(check, get) {
  const [name, letters] = splitReference(check.of);
  const x = get(name);
  const rows = rowsOver(x, letters.indexOf(check.over));
  const maskData = check.where ? get(splitReference(check.where)[0]).data : null;
  const off = rows.map((row) =>
    Math.abs(row.reduce((a, index) => a + x.data[index], 0) - check.equals),
  );
  return largest(off.filter((_, k) => !maskData || maskData[k]));
}

function zero(check, get) {
  const [[name, letters], [mask, maskLetters]] = [check.of, check.where].map(splitReference);
  const [x, keep] = [get(name), get(mask)];
  return largest(
    x.data.map((value, index) => {
      const cell = unflat(x.shape, index);
      const masked = [...maskLetters].map((letter) => cell[letters.indexOf(letter)]);
      return keep.data[flat(keep.shape, masked)] ? 0 : Math.abs(value);
    }),
  );
}

function between(check, get) {
  const [low, high] = [parseLimit(check.low), parseLimit(check.high)];
  return largest(
    get(splitReference(check.of)[0]).data.map((x) =>
      Number.isNaN(x) ? Infinity : x < low ? low - x : x > high ? x - high : 0,
    ),
  );
}

/** Return a limit as a number; infinity is written as a word. */
function parseLimit(limit) {
  if (limit === "inf") return Infinity;
  return limit === "-inf" ? -Infinity : Number(limit);
}

function shorter(check, get) {
  const x = get(splitReference(check.of)[0]);
  const limit = parseLimit(check.limit);
  return largest(rowsOver(x, x.shape.length - 1).map((row) => lengthOf(x, row) - limit));
}

function most(check, get) {
  const [best, among, active] = [check.of, check.among, check.where].map((reference) =>
    get(splitReference(reference)[0]),
  );
  return largest(
    among.data.map((x, index) =>
      active.data[index % among.shape[1]] ? x - best.data[Math.floor(index / among.shape[1])] : 0,
    ),
  );
}

function ordered(check, get) {
  const [order, by] = [
    get(splitReference(check.of)[0]).data,
    get(splitReference(check.by)[0]).data,
  ];
  const listed = new Set(order);
  const inside = [...order].slice(1).map((item, k) => by[item] - by[order[k]]);
  const unlisted = [...by].filter((_, item) => !listed.has(item)).map((x) => x - by[order.at(-1)]);
  return largest([...inside, ...unlisted]);
}

const CHECKS = {
  sums,
  zero,
  between,
  finite: (check, get) =>
    get(splitReference(check.of)[0]).data.filter((x) => !Number.isFinite(x)).length,
  any: (check, get) => (get(splitReference(check.of)[0]).data.some((x) => x) ? 0 : 1),
  shorter,
  near: (check, get) =>
    largest(
      get(check.of).data.map(
        (x, k) => Math.abs(x - get(check.to).data[k]) - parseLimit(check.limit),
      ),
    ),
  most,
  ordered,
};

/** Return the residual of an invariant for a trace; undefined if a tensor is missing. */
export function residual(trace, invariant) {
  const { check } = invariant;
  const names = ["of", "where", "to", "by", "among"]
    .map((key) => check?.[key])
    .filter((reference) => typeof reference === "string" && reference);
  const complete = names.every(
    (reference) => trace.tensors.has(reference) || trace.tensors.has(splitReference(reference)[0]),
  );
  return complete ? CHECKS[check?.kind]?.(check, (name) => trace.tensors.get(name)) : undefined;
}
