// The plane of the overview: the two main directions of the votes. The origin is not moved.

import { dot, norm, range } from "./numbers.js";

/** Return the first two principal directions of the rows and their share of the variance. */
export function plane(rows) {
  const width = rows[0].length;
  const centre = range(width).map((k) => rows.reduce((a, row) => a + row[k], 0) / rows.length);
  let residual = rows.map((row) => Array.from(row, (x, k) => x - centre[k]));
  const all = residual.reduce((a, row) => a + norm(row) ** 2, 0);
  const axes = [0, 1].map((number) => {
    const axis = direction(residual, number);
    residual = residual.map((row) => minusAlong(row, axis));
    return axis;
  });
  const unexplained = residual.reduce((a, row) => a + norm(row) ** 2, 0);
  const project = (row) => axes.map((axis) => dot(axis, row));
  return { project, share: all > 0 ? 1 - unexplained / all : 1 };
}

/** Power iteration from a fixed start, so that the picture is reproducible. */
function direction(rows, number) {
  let axis = range(rows[0].length).map((k) => Math.cos(1 + k * (number + 1)));
  for (let i = 0; i < 200; i += 1) {
    const next = new Array(axis.length).fill(0);
    for (const row of rows) {
      const along = dot(row, axis);
      row.forEach((x, k) => {
        next[k] += along * x;
      });
    }
    const length = norm(next);
    if (length === 0) return axis.map((x) => x / (norm(axis) || 1));
    axis = next.map((x) => x / length);
  }
  return axis;
}

function minusAlong(row, axis) {
  const along = dot(row, axis);
  return row.map((x, k) => x - along * axis[k]);
}
