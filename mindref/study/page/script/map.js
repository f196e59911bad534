// Interests map: votes and capsules in the plane that shows most of the votes' variance.

import { h, svg } from "./dom.js";
import { label } from "./explain.js";
import { six } from "./numbers.js";
import { hue } from "./quantities.js";
import { owners } from "./replay.js";
import { TABS } from "./tabs.js";
import { roundsOf } from "./unroll.js";
import { norm, plainTable, rowsOf } from "./views.js";

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
  const project = (row) =>
    axes.map((axis) => axis.reduce((a, x, k) => a + x * (row[k] - centre[k]), 0));
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
  const count = trace.tensors.get(`v[${rounds}]`).shape[0];
  const paths = Array.from({ length: count }, (_, j) => ({
    j,
    points: Array.from({ length: rounds }, (_, r) => rowsOf(trace.tensors.get(`v[${r + 1}]`))[j])
      .filter((v) => norm(v) > 0)
      .map(project),
  })).filter(({ points }) => points.length);
  const said = `The plane shows ${(100 * share).toFixed(0)} % of the variance of the votes; what lies close together here may be far apart in the rest.`;
  const rows = [
    ...dots.map((d) => [
      `${d.number}. ${d.name}`,
      six(d.at[0]),
      six(d.at[1]),
      d.owner < 0 ? "none" : `interest ${d.owner + 1}`,
    ]),
    ...paths.flatMap(({ j, points }) =>
      points.map((p, r) => [`interest ${j + 1} after round ${r + 1}`, six(p[0]), six(p[1]), ""]),
    ),
  ];
  return [
    h("h2", {}, "Interests map"),
    h(
      "p",
      { class: "why" },
      "Mapped behaviours (circles, numbered as in the table) and capsules (squares, one for each round, joined by a line). Capsules are shorter than 1, so they stay near the middle and show the direction they pull in.",
    ),
    h("p", {}, said),
    h(
      "div",
      { class: "map" },
      drawing(dots, paths, said),
      plainTable("The same as a table", ["", "across", "up", "most goes to"], rows),
    ),
  ];
};

const SIZE = 560;
const EDGE = 34;

function drawing(dots, paths, said) {
  const all = [...dots.map((d) => d.at), ...paths.flatMap(({ points }) => points)];
  const low = [0, 1].map((k) => Math.min(...all.map((p) => p[k])));
  const high = [0, 1].map((k) => Math.max(...all.map((p) => p[k])));
  const span = Math.max(high[0] - low[0], high[1] - low[1]) || 1;
  const scale = (SIZE - 2 * EDGE) / span;
  const spot = (p) => [EDGE + (p[0] - low[0]) * scale, SIZE - EDGE - (p[1] - low[1]) * scale];
  const marks = dots.map((d) => {
    const [x, y] = spot(d.at);
    return svg(
      "g",
      {},
      svg("circle", { cx: x, cy: y, r: 11, class: "vote" }),
      svg("text", { x, y: y + 4, class: "vote-number" }, String(d.number)),
    );
  });
  const lines = paths.map(({ j, points }) => {
    const spots = points.map(spot);
    const [x, y] = spots.at(-1);
    return svg(
      "g",
      {},
      svg("polyline", { points: spots.map((p) => p.join(",")).join(" "), class: "path" }),
      spots.map(([a, b]) =>
        svg("rect", { x: a - 3, y: b - 3, width: 6, height: 6, class: "capsule" }),
      ),
      svg("text", { x: x + 8, y: y - 6, class: "capsule-name" }, `interest ${j + 1}`),
    );
  });
  const box = svg(
    "svg",
    {
      viewBox: `0 0 ${SIZE} ${SIZE}`,
      role: "img",
      "aria-label": `Map of votes and interests. ${said} The table beside it holds the same.`,
      class: "chart",
    },
    marks,
    lines,
  );
  box.style.setProperty("--vote", hue("m"));
  box.style.setProperty("--capsule", hue("v"));
  return box;
}
