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
  const x = get(check.of);
  const rows = rowsOver(x, splitReference(check.of)[1].indexOf(check.over));
  const mask = check.where ? get(check.where).data : null;
  const sumOf = (row) => row.reduce((a, index) => a + x.data[index], 0);
  const off = rows.map((row) => Math.abs(sumOf(row) - check.equals));
  return largest(off.filter((_, k) => !mask || mask[k]));
}

function zero(check, get) {
  const [x, keep] = [get(check.of), get(check.where)];
  const [letters, maskLetters] = [check.of, check.where].map((x) => splitReference(x)[1]);
  return largest(
    x.data.map((value, index) => {
      const cell = unflat(x.shape, index);
      const masked = [...maskLetters].map((letter) => cell[letters.indexOf(letter)]);
      return keep.data[flat(keep.shape, masked)] ? 0 : Math.abs(value);
    }),
  );
}

/** Return a limit as a number; infinity is written as a word. */
const parseLimit = (limit) => Number(String(limit).replace("inf", "Infinity"));

function between(check, get) {
  const [low, high] = [parseLimit(check.low), parseLimit(check.high)];
  return largest(get(check.of).data.map((x) => Math.max(low - x, x - high)));
}

function shorter(check, get) {
  const x = get(check.of);
  const limit = parseLimit(check.limit);
  return largest(rowsOver(x, x.shape.length - 1).map((row) => lengthOf(x, row) - limit));
}

function near(check, get) {
  const [x, to, limit] = [get(check.of).data, get(check.to).data, parseLimit(check.limit)];
  return largest(x.map((value, k) => Math.abs(value - to[k]) - limit));
}

function most(check, get) {
  const [best, among, active] = [check.of, check.among, check.where].map(get);
  const width = among.shape[1];
  return largest(
    among.data.map((x, index) =>
      active.data[index % width] ? x - best.data[Math.floor(index / width)] : 0,
    ),
  );
}

function ordered(check, get) {
  const [order, by] = [get(check.of).data, get(check.by).data];
  const listed = new Set(order);
  const inside = [...order].slice(1).map((item, k) => by[item] - by[order[k]]);
  const unlisted = [...by].filter((_, item) => !listed.has(item)).map((x) => x - by[order.at(-1)]);
  return largest([...inside, ...unlisted]);
}

const CHECKS = {
  sums,
  zero,
  between,
  finite: (check, get) => get(check.of).data.filter((x) => !Number.isFinite(x)).length,
  any: (check, get) => (get(check.of).data.some((x) => x) ? 0 : 1),
  shorter,
  near,
  most,
  ordered,
};

/** Return the residual of an invariant for a trace; undefined if a tensor is missing. */
export function residual(trace, { check }) {
  const get = (reference) =>
    trace.tensors.get(reference) ?? trace.tensors.get(splitReference(reference)[0]);
  const names = [check.of, check.where, check.to, check.by, check.among].filter(Boolean);
  return names.flat().every(get) ? CHECKS[check.kind]?.(check, get) : undefined;
}
