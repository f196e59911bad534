// What must hold of a step, looked at again with the numbers at hand: the same kinds as in Python.

import { rowsOver, lengthOf } from "./operators.js";

/** Return name and letters of a place such as w[2]:ij. */
function split(place) {
  const at = place.lastIndexOf(":");
  return at < 0 ? [place, ""] : [place.slice(0, at), place.slice(at + 1)];
}

const largest = (numbers) =>
  [...numbers].reduce((a, b) => (Number.isNaN(b) ? Infinity : Math.max(a, b)), 0);

function sums(check, get) {
  const [name, letters] = split(check.of);
  const x = get(name);
  const rows = rowsOver(x, letters.indexOf(check.over));
  const where = check.where ? get(split(check.where)[0]).data : null;
  const off = rows.map((row) => Math.abs(row.reduce((a, at) => a + x.data[at], 0) - check.equals));
  return largest(off.filter((_, k) => !where || where[k]));
}

function zero(check, get) {
  const [[name, letters], [mask, at]] = [split(check.of), split(check.where)];
  const [x, keep] = [get(name), get(mask)];
  const strides = keep.shape.map((_, axis) =>
    keep.shape.slice(axis + 1).reduce((a, b) => a * b, 1),
  );
  return largest(
    x.data.map((value, place) => {
      let rest = place;
      const cell = [...x.shape]
        .reverse()
        .map((n) => {
          const k = rest % n;
          rest = Math.floor(rest / n);
          return k;
        })
        .reverse();
      const where = [...at].reduce(
        (n, letter, axis) => n + cell[letters.indexOf(letter)] * strides[axis],
        0,
      );
      return keep.data[where] ? 0 : Math.abs(value);
    }),
  );
}

function between(check, get) {
  const [low, high] = [endless(check.low), endless(check.high)];
  return largest(
    get(split(check.of)[0]).data.map((x) =>
      Number.isNaN(x) ? Infinity : x < low ? low - x : x > high ? x - high : 0,
    ),
  );
}

/** Return a limit as a number: infinity travels as a word. */
function endless(limit) {
  if (limit === "inf") return Infinity;
  return limit === "-inf" ? -Infinity : Number(limit);
}

function shorter(check, get) {
  const x = get(split(check.of)[0]);
  const limit = endless(check.limit);
  return largest(rowsOver(x, x.shape.length - 1).map((row) => lengthOf(x, row) - limit));
}

function most(check, get) {
  const [best, among, active] = [check.of, check.among, check.where].map((place) =>
    get(split(place)[0]),
  );
  return largest(
    among.data.map((x, at) =>
      active.data[at % among.shape[1]] ? x - best.data[Math.floor(at / among.shape[1])] : 0,
    ),
  );
}

function ordered(check, get) {
  const [order, by] = [get(split(check.of)[0]).data, get(split(check.by)[0]).data];
  const listed = new Set(order);
  const inside = [...order].slice(1).map((place, k) => by[place] - by[order[k]]);
  const left = [...by].filter((_, place) => !listed.has(place)).map((x) => x - by[order.at(-1)]);
  return largest([...inside, ...left]);
}

const CHECKS = {
  sums,
  zero,
  between,
  finite: (check, get) => get(split(check.of)[0]).data.filter((x) => !Number.isFinite(x)).length,
  any: (check, get) => (get(split(check.of)[0]).data.some((x) => x) ? 0 : 1),
  shorter,
  near: (check, get) =>
    largest(
      get(check.of).data.map((x, k) => Math.abs(x - get(check.to).data[k]) - endless(check.limit)),
    ),
  most,
  ordered,
};

/** Return the residual of an invariant for a trace; undefined where the page cannot look. */
export function residual(trace, invariant) {
  const { check } = invariant;
  const names = ["of", "where", "to", "by", "among"]
    .map((key) => check?.[key])
    .filter((place) => typeof place === "string" && place);
  const known = names.every(
    (place) => trace.tensors.has(place) || trace.tensors.has(split(place)[0]),
  );
  return known ? CHECKS[check?.kind]?.(check, (name) => trace.tensors.get(name)) : undefined;
}
