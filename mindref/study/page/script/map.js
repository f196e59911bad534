// Interests map: votes and capsules in the plane that shows most of the votes' variance.
// Zero stays where it is; capsules, shorter than 1, are all drawn longer by one factor.

import { h, svg } from "./dom.js";
import { label } from "./explain.js";
import { brief } from "./numbers.js";
import { hue } from "./quantities.js";
import { owners } from "./replay.js";
import { TABS } from "./tabs.js";
import { roundsOf } from "./unroll.js";
import { cosine, norm, plainTable, rowsOf } from "./views.js";

/** Return the two main directions of centred rows, and the share of variance that they show. */
export function plane(rows) {
  const width = rows[0].length;
  const centre = Array.from(
    { length: width },
    (_, k) => rows.reduce((a, row) => a + row[k], 0) / rows.length,
  );
  let rest = rows.map((row) => Array.from(row, (x, k) => x - centre[k]));
  const all = rest.reduce((a, row) => a + norm(row) ** 2, 0);
  const axes = [0, 1].map((turn) => {
    const axis = direction(rest, turn);
    rest = rest.map((row) => minusAlong(row, axis));
    return axis;
  });
  const left = rest.reduce((a, row) => a + norm(row) ** 2, 0);
  const project = (row) => axes.map((axis) => axis.reduce((a, x, k) => a + x * row[k], 0));
  return { project, share: all > 0 ? 1 - left / all : 1 };
}

/** Power iteration from a fixed start: the same picture every time. */
function direction(rows, turn) {
  let axis = Array.from({ length: rows[0].length }, (_, k) => Math.cos(1 + k * (turn + 1)));
  for (let i = 0; i < 200; i += 1) {
    const next = new Array(axis.length).fill(0);
    for (const row of rows) {
      const along = row.reduce((a, x, k) => a + x * axis[k], 0);
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
  const along = row.reduce((a, x, k) => a + x * axis[k], 0);
  return row.map((x, k) => x - along * axis[k]);
}

TABS.map = ({ trace }) => {
  const mask = trace.tensors.get("mask");
  const votes = rowsOf(trace.tensors.get("m"));
  const used = [...votes.keys()].filter((i) => !mask || mask.data[i]);
  if (used.length === 0) {
    const none = "This user has no behaviours: there is nothing to draw.";
    return [h("h2", {}, "Interests map"), h("p", {}, none)];
  }
  const { project, share } = plane(used.map((i) => votes[i]));
  const rounds = roundsOf(trace);
  const own = owners(trace.tensors.get(`w[${rounds}]`));
  const dots = used.map((i, k) => ({
    number: k + 1,
    name: label(trace, "behaviour", i),
    at: project(votes[i]),
    owner: own[i],
  }));
  const { paths, factor } = capsules(trace, rounds, project, dots);
  const said = `The plane shows ${(100 * share).toFixed(0)} % of the variance of the votes; what lies close together here may be far apart in the rest.`;
  const rows = [
    ...dots.map((d) => [
      `${d.number}. ${d.name}`,
      calm(d.at[0]),
      calm(d.at[1]),
      d.owner < 0 ? "none" : `interest ${d.owner + 1}`,
    ]),
    ...paths.flatMap(({ j, points }) =>
      points.map((p, r) => [
        `interest ${j + 1} after round ${r + 1}${factor === 1 ? "" : `, × ${factor}`}`,
        calm(p[0]),
        calm(p[1]),
        "",
      ]),
    ),
  ];
  return [
    h("h2", {}, "Interests map"),
    h(
      "p",
      { class: "why" },
      "Dots are mapped behaviours, numbered as in the table. Each interest is a line from 0 through its capsules, one square a round, the last one named: as a weighted sum of the behaviours, it points where long ones of much weight lie.",
    ),
    h("p", {}, lengthened(factor)),
    h("p", {}, `${said}${alike(rowsOf(trace.tensors.get(`v[${rounds}]`)))}`),
    h(
      "div",
      { class: "map" },
      drawing(dots, paths, said),
      plainTable("The same as a table", ["", "across", "up", "most goes to"], rows),
    ),
  ];
};

/** Return the capsules of each interest as points, drawn longer by one factor, and the factor. */
function capsules(trace, rounds, project, dots) {
  const turns = Array.from({ length: rounds }, (_, r) => rowsOf(trace.tensors.get(`v[${r + 1}]`)));
  const paths = Array.from(turns[0], (_, j) => ({
    j,
    points: turns
      .map((rows) => rows[j])
      .filter((v) => norm(v) > 0)
      .map(project),
  })).filter(({ points }) => points.length);
  const longest = (points) => Math.max(0, ...points.map(norm));
  const own = longest(paths.flatMap(({ points }) => points));
  const exact = own > 0 ? longest(dots.map((dot) => dot.at)) / own : 1;
  const factor = exact > 1 ? Number(exact.toPrecision(2)) : 1;
  const drawn = (points) => points.map((p) => p.map((x) => factor * x));
  return { paths: paths.map(({ j, points }) => ({ j, points: drawn(points) })), factor };
}

const calm = (x) => h("span", { class: "figure" }, brief(x));

/** Say how alike the capsules are in all dimensions, not in the plane alone. */
function alike(all) {
  const active = all.filter((v) => norm(v) > 0);
  const found = active.flatMap((x, k) => active.slice(k + 1).map((y) => cosine(x, y)));
  if (found.length === 0) return "";
  const [low, high] = [Math.min(...found), Math.max(...found)].map(brief);
  return ` In all dimensions, two capsules of the last round have a cosine between ${low} and ${high}; at 1 they point the same way.`;
}

const lengthened = (factor) =>
  factor === 1
    ? "All are drawn to one scale."
    : `Capsules are shorter than the behaviours and would lie close to 0: they are drawn ${factor} times as long as they are, all by the same factor, so compare their directions with the dots, and their lengths with each other.`;

const SIZE = 560;
const EDGE = 34;

function drawing(dots, paths, said) {
  const all = [[0, 0], ...dots.map((d) => d.at), ...paths.flatMap(({ points }) => points)];
  const low = [0, 1].map((k) => Math.min(...all.map((p) => p[k])));
  const high = [0, 1].map((k) => Math.max(...all.map((p) => p[k])));
  const span = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const scale = (SIZE - 2 * EDGE) / span;
  const spot = (p) => [EDGE + (p[0] - low[0]) * scale, SIZE - EDGE - (p[1] - low[1]) * scale];
  const marks = dots.map(({ at }) => {
    const [x, y] = spot(at);
    return svg("circle", { cx: x, cy: y, r: 5, class: "vote" });
  });
  const zero = spot([0, 0]);
  const lines = paths.map(({ points }) => {
    const spots = points.map(spot);
    return svg(
      "g",
      {},
      svg("polyline", { points: [zero, spots.at(-1)].join(" "), class: "spoke" }),
      svg("polyline", { points: spots.join(" "), class: "path" }),
      spots.map(([a, b]) =>
        svg("rect", { x: a - 3, y: b - 3, width: 6, height: 6, class: "capsule" }),
      ),
    );
  });
  const points = [...dots.map((d) => d.at), ...paths.flatMap((path) => path.points)];
  const names = apart(points.map(spot), [
    ...paths.map(({ j, points }) => ({
      text: `interest ${j + 1}`,
      kind: "capsule-name",
      wide: 72,
      tip: spot(points.at(-1)),
    })),
    ...dots.map(({ at, number }) => ({
      text: String(number),
      kind: "vote-number",
      wide: 18,
      tip: spot(at),
    })),
  ]).map(named);
  const box = svg(
    "svg",
    {
      viewBox: `0 0 ${SIZE} ${SIZE}`,
      role: "img",
      "aria-label": `Map of votes and interests. ${said} The table beside it holds the same.`,
      class: "chart",
    },
    svg("line", { x1: zero[0] - 7, x2: zero[0] + 7, y1: zero[1], y2: zero[1], class: "zero" }),
    svg("line", { x1: zero[0], x2: zero[0], y1: zero[1] - 7, y2: zero[1] + 7, class: "zero" }),
    svg("text", { x: zero[0] - 9, y: zero[1] + 16, class: "tick end" }, "0"),
    lines,
    marks,
    names,
  );
  box.style.setProperty("--vote", hue("m"));
  box.style.setProperty("--capsule", hue("v"));
  return box;
}

const HIGH = 15; // of a name

/** Give each name a place beside its tip where it lies over no name and no point, as near as can be. */
function apart(spots, names) {
  const taken = spots.map(([x, y]) => ({ x: x - 6, y: y + 4, wide: 12 }));
  for (const name of names) {
    const [tipX, tipY] = name.tip;
    const x = tipX + 8 + name.wide < SIZE ? tipX + 8 : tipX - 8 - name.wide;
    const over = (y) =>
      taken.some(
        (one) => x < one.x + one.wide && one.x < x + name.wide && Math.abs(one.y - y) < HIGH,
      );
    let [y, away] = [tipY + 4, 0];
    while (over(y) && away < 40) {
      away += 1;
      y = tipY + 4 + (away % 2 ? -1 : 1) * Math.ceil(away / 2) * 5;
      if (y < HIGH || y > SIZE - 4) y = tipY + 4;
    }
    taken.push({ ...name, x, y, away });
  }
  return taken.slice(spots.length);
}

/** Return a name, and a line to what it belongs to where that is not beside it. */
const named = ({ text, kind, wide, tip, x, y, away }) =>
  svg(
    "g",
    {},
    away > 2 &&
      svg("line", {
        x1: tip[0],
        y1: tip[1],
        x2: x > tip[0] ? x - 1 : x + wide,
        y2: y - 4,
        class: `lead ${kind}-lead`,
      }),
    svg("text", { x, y, class: kind }, text),
  );
