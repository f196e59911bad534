// Map of interests: votes and capsules in the plane of the two main directions of the votes.
// The origin is not moved. All capsules are drawn longer by one factor.

import { chart, disc, h, square, stroke, svg, words } from "./dom.js";
import { label } from "./explain.js";
import { brief, cosine, dot, norm, range } from "./numbers.js";
import { hue } from "./quantities.js";
import { strongestInterests } from "./replay.js";
import { TABS } from "./tabs.js";
import { iterationsOf } from "./unroll.js";
import { plainTable, rowsOf } from "./views.js";

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

TABS.map = ({ trace }) => {
  const mask = trace.tensors.get("mask");
  const votes = rowsOf(trace.tensors.get("Se"));
  const used = [...votes.keys()].filter((i) => !mask || mask.data[i]);
  if (used.length === 0) return [h("h2", "Interests map"), h("p", "This user has no behaviours.")];
  const { project, share } = plane(used.map((i) => votes[i]));
  const iterations = iterationsOf(trace);
  const strongest = strongestInterests(trace.tensors.get(`w[${iterations}]`));
  const dots = used.map((i, k) => ({
    number: k + 1,
    name: label(trace, "behaviour", i),
    point: project(votes[i]),
    strongest: strongest[i],
  }));
  const { paths, factor } = capsules(trace, iterations, project, dots);
  const varianceText = `The plane shows ${(100 * share).toFixed(0)} % of the variance of the votes. Points that are close in the plane may be far apart in the other dimensions.`;
  const rows = [
    ...dots.map((d) => [
      `${d.number}. ${d.name}`,
      figureCell(d.point[0]),
      figureCell(d.point[1]),
      d.strongest < 0 ? "none" : `interest ${d.strongest + 1}`,
    ]),
    ...paths.flatMap(({ j, points }) =>
      points.map((p, r) => [
        `interest ${j + 1} after iteration ${r + 1}${factor === 1 ? "" : `, × ${factor}`}`,
        figureCell(p[0]),
        figureCell(p[1]),
        "",
      ]),
    ),
  ];
  return [
    h("h2", "Interests map"),
    h(
      "p.why",
      "Dots are votes S e, numbered as in the table. Each interest is a line from 0 through its capsules u, one square for each iteration. A capsule points towards votes that are long and have a large coupling weight.",
    ),
    h("p", scaleText(factor)),
    h("p", `${varianceText}${cosineText(rowsOf(trace.tensors.get(`u[${iterations}]`)))}`),
    h(
      "div.map",
      drawing(dots, paths, varianceText),
      plainTable("The same as a table", ["", "x", "y", "largest weight"], rows),
    ),
  ];
};

/** Return the capsules of each interest as points, scaled by one factor, and the factor. */
function capsules(trace, iterations, project, dots) {
  const capsulesByIteration = range(iterations).map((r) =>
    rowsOf(trace.tensors.get(`u[${r + 1}]`)),
  );
  const paths = Array.from(capsulesByIteration[0], (_, j) => ({
    j,
    points: capsulesByIteration
      .map((rows) => rows[j])
      .filter((v) => norm(v) > 0)
      .map(project),
  })).filter(({ points }) => points.length);
  const longest = (points) => Math.max(0, ...points.map(norm));
  const longestCapsule = longest(paths.flatMap(({ points }) => points));
  const exact = longestCapsule > 0 ? longest(dots.map((dot) => dot.point)) / longestCapsule : 1;
  const factor = exact > 1 ? Number(exact.toPrecision(2)) : 1;
  const drawn = (points) => points.map((p) => p.map((x) => factor * x));
  return { paths: paths.map(({ j, points }) => ({ j, points: drawn(points) })), factor };
}

const figureCell = (x) => h("span.figure", brief(x));

/** Return the range of cosines between capsules, in all dimensions. */
function cosineText(capsules) {
  const active = capsules.filter((v) => norm(v) > 0);
  const cosines = active.flatMap((x, k) => active.slice(k + 1).map((y) => cosine(x, y)));
  if (cosines.length === 0) return "";
  const [low, high] = [Math.min(...cosines), Math.max(...cosines)].map(brief);
  return ` In all dimensions, the cosine between two capsules of the last iteration is between ${low} and ${high}. A cosine of 1 means the same direction.`;
}

const scaleText = (factor) =>
  factor === 1
    ? "Votes and capsules have the same scale."
    : `Capsules are shorter than votes. All capsules are drawn ${factor} times as long. Compare their directions with the votes, and their lengths only with each other.`;

const SIZE = 560;
const EDGE = 34;

function drawing(dots, paths, varianceText) {
  const all = [[0, 0], ...dots.map((d) => d.point), ...paths.flatMap(({ points }) => points)];
  const low = [0, 1].map((k) => Math.min(...all.map((p) => p[k])));
  const high = [0, 1].map((k) => Math.max(...all.map((p) => p[k])));
  const span = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const scale = (SIZE - 2 * EDGE) / span;
  const spot = (p) => [EDGE + (p[0] - low[0]) * scale, SIZE - EDGE - (p[1] - low[1]) * scale];
  const marks = dots.map(({ point }) => disc(...spot(point), 5, "vote"));
  const zero = spot([0, 0]);
  const lines = paths.map(({ points }) => {
    const spots = points.map(spot);
    return svg(
      "g",
      svg("polyline", { points: [zero, spots.at(-1)].join(" "), class: "spoke" }),
      svg("polyline", { points: spots.join(" "), class: "path" }),
      spots.map(([x, y]) => square(x, y, "capsule")),
    );
  });
  const points = [...dots.map((d) => d.point), ...paths.flatMap((path) => path.points)];
  const names = placeNames(points.map(spot), [
    ...paths.map(({ j, points }) => ({
      text: `interest ${j + 1}`,
      kind: "capsule-name",
      wide: 72,
      tip: spot(points.at(-1)),
    })),
    ...dots.map(({ point, number }) => ({
      text: String(number),
      kind: "vote-number",
      wide: 18,
      tip: spot(point),
    })),
  ]).map(drawName);
  const box = chart(
    SIZE,
    SIZE,
    `Map of votes and interests. ${varianceText} The table has the same numbers.`,
    stroke(zero[0] - 7, zero[1], zero[0] + 7, zero[1], "zero"),
    stroke(zero[0], zero[1] - 7, zero[0], zero[1] + 7, "zero"),
    words(zero[0] - 9, zero[1] + 16, "0", "tick end"),
    lines,
    marks,
    names,
  );
  box.style.setProperty("--vote", hue("Se"));
  box.style.setProperty("--capsule", hue("u"));
  return box;
}

const HIGH = 15; // of a name

/** Place each name near its point without overlapping another name or point. */
function placeNames(spots, names) {
  const occupied = spots.map(([x, y]) => ({ x: x - 6, y: y + 4, wide: 12 }));
  for (const name of names) {
    const [tipX, tipY] = name.tip;
    const x = tipX + 8 + name.wide < SIZE ? tipX + 8 : tipX - 8 - name.wide;
    const over = (y) =>
      occupied.some(
        (one) => x < one.x + one.wide && one.x < x + name.wide && Math.abs(one.y - y) < HIGH,
      );
    let [y, shift] = [tipY + 4, 0];
    while (over(y) && shift < 40) {
      shift += 1;
      y = tipY + 4 + (shift % 2 ? -1 : 1) * Math.ceil(shift / 2) * 5;
      if (y < HIGH || y > SIZE - 4) y = tipY + 4;
    }
    occupied.push({ ...name, x, y, shift });
  }
  return occupied.slice(spots.length);
}

/** Return a name, with a line to its point if the point is not beside it. */
const drawName = ({ text, kind, wide, tip, x, y, shift }) =>
  svg(
    "g",
    shift > 2 && stroke(...tip, x > tip[0] ? x - 1 : x + wide, y - 4, "lead"),
    words(x, y, text, kind),
  );
