// Drawings of the eight pictures with arrows, curves and the logits of one film.

import { arrowHead, chart, disc, stroke, svg, words } from "./dom.js";
import { box, colourOf, shorten, wide } from "./eight_rows.js";
import { plane } from "./plane.js";
import { brief, norm, range, two } from "./numbers.js";
import { CURVES } from "./squash_lengths.js";

const HIGH = 330;

/** Return a projection of vectors into the picture, with 0 inside. */
function canvas(vectors, project) {
  const points = [[0, 0], ...vectors.map(project)];
  const low = [0, 1].map((k) => Math.min(...points.map((p) => p[k])));
  const high = [0, 1].map((k) => Math.max(...points.map((p) => p[k])));
  const edge = 36;
  const scale = Math.min(
    (wide() - 2 * edge) / (high[0] - low[0] || 1),
    (HIGH - 2 * edge) / (high[1] - low[1] || 1),
  );
  const shift = [0, 1].map((k) => ([wide(), HIGH][k] - scale * (high[k] - low[k])) / 2);
  return (x) => {
    const p = project(x);
    return [shift[0] + scale * (p[0] - low[0]), HIGH - shift[1] - scale * (p[1] - low[1])];
  };
}

/** Return a chart whose texts have a margin, because they lie on lines. */
function plotted(text, ...parts) {
  const out = chart(wide(), HIGH, text, ...parts);
  out.classList.add("plot");
  return out;
}

const zeroMark = ([x, y]) => [
  stroke(x - 6, y, x + 6, y, "zero"),
  stroke(x, y - 6, x, y + 6, "zero"),
  words(x + 7, y + 14, "0", "soft"),
];

/** Draw the votes as arrows from 0; the marked films are named. */
export function drawVectors({ votes, titles }, text, marked) {
  const { project } = plane(votes);
  const at = canvas(votes, project);
  const zero = at(votes[0].map(() => 0));
  const arrows = votes.map((vote, i) => arrow(zero, at(vote), marked.includes(i) ? "bold" : "thin"));
  const names = apart(
    marked.map((i) => ({ text: shorten(titles[i]), spot: at(votes[i]) })),
    zero,
  );
  return plotted(text, zeroMark(zero), arrows, names);
}

/** Return names at their points, on the side away from 0, one beside the other if they overlap. */
function apart(names, zero) {
  const below = names[0].spot[1] > zero[1];
  const sorted = [...names].sort((a, b) => (below ? 1 : -1) * (a.spot[1] - b.spot[1]));
  let last;
  return sorted.map(({ text, spot: [x, y] }) => {
    const free = below ? y + 20 : y - 9;
    if (last === undefined) last = free;
    else last = below ? Math.max(free, last + 17) : Math.min(free, last - 17);
    const room = 4.6 * text.length;
    return words(Math.min(Math.max(x, room), wide() - room), last, text, "middle hero");
  });
}

/** Return an arrow; its head is a filled triangle. */
function arrow([x, y], [toX, toY], kind) {
  const length = Math.hypot(toX - x, toY - y) || 1;
  const head = arrowHead([toX, toY], [(toX - x) / length, (toY - y) / length], [8, 4]);
  return svg("g", { class: `arrow ${kind}` }, stroke(x, y, toX, toY, ""), head);
}

/** Draw the weighted votes for one interest head to tail, the followed film first, and their sum. */
export function drawSum({ votes, weights, interest, titles, hero, sums, names }, text) {
  const { project } = plane(votes);
  const order = [hero, ...[...votes.keys()].filter((i) => i !== hero)];
  const ends = [votes[0].map(() => 0)];
  for (const i of order)
    ends.push(ends.at(-1).map((x, d) => x + weights[0][i][interest] * votes[i][d]));
  const at = canvas([...ends, sums[interest]], project);
  const zero = at(ends[0]);
  const links = order.map((i, n) => arrow(at(ends[n]), at(ends[n + 1]), n === 0 ? "bold" : "thin"));
  const end = at(sums[interest]);
  return plotted(
    text,
    zeroMark(zero),
    links,
    svg("g", { class: colourOf(interest) }, arrow(zero, end, "total")),
    apart([{ text: shorten(titles[order[0]]), spot: at(ends[1]) }], zero),
    apart([{ text: `z of ${names[interest]}`, spot: end }], zero),
  );
}

/** Draw the length after squash by the length before, with a point for each interest. */
export function drawSquash({ sums, capsules, names, config }, text) {
  const lengths = sums.map(norm);
  const after = capsules.map(norm);
  const most = 1.15 * Math.max(4, ...lengths);
  const top = 1.1 * Math.max(1, ...after);
  const [left, base, width, height] = [44, HIGH - 44, wide() - 70, HIGH - 80];
  const spot = (n, y) => [left + (n / most) * width, base - (y / top) * height];
  const rule = CURVES[config.squash].of;
  const curve = range(101).map((k) => spot((k * most) / 100, Math.min(top, rule((k * most) / 100))));
  return plotted(
    text,
    stroke(left, base, left + width, base, "axis"),
    stroke(left, base, left, base - height, "axis"),
    stroke(...spot(0, 1), ...spot(most, 1), "grid"),
    words(left - 8, spot(0, 1)[1] + 4, "1", "end soft"),
    words(left - 8, base + 4, "0", "end soft"),
    words(left + width, base + 34, "length of the sum, |z|", "end soft"),
    words(left - 30, 20, "length of the capsule, |u|", "soft"),
    range(Math.floor(most / 5) + 1).map((k) =>
      words(spot(5 * k, 0)[0], base + 17, String(5 * k), "middle soft"),
    ),
    svg("polyline", { points: curve.map((p) => p.join(",")).join(" "), class: "curve" }),
    names.map((name, k) => {
      const [x, y] = spot(lengths[k], after[k]);
      return [stroke(x, base, x, y, `drop ${colourOf(k)}`), disc(x, y, 5.5, colourOf(k))];
    }),
    pointNames(names, lengths, after, (n) => spot(n, 0)[0], base),
  );
}

/** Return the lengths of each interest: beside the dotted lines, or over them if no side has room. */
function pointNames(names, lengths, after, x, base) {
  const [low, high] = [x(Math.min(...lengths)) - 12, x(Math.max(...lengths)) + 12];
  const room = wide() - 200;
  const from = low > 236 ? low - 180 : high < room ? high : Math.min(room + 20, low);
  return names.map((name, k) => {
    const y = base - 26 - (names.length - 1 - k) * 19;
    const text = pointText(name, lengths[k], after[k]);
    return [disc(from, y - 4, 5, colourOf(k)), words(from + 11, y, text, "")];
  });
}

const pointText = (name, n, length) => `${name}: ${two(n)} → ${brief(length)}`;

/** Draw the logits of one film before and after the agreement is added. */
export function drawAgreement({ agreement, logits, hero, names, titles }, text) {
  if (!agreement) return chart(wide(), 40, text, words(8, 24, "one iteration only", "soft"));
  const rows = names.map((_, k) => [
    logits[hero][k],
    agreement[hero][k],
    logits[hero][k] + agreement[hero][k],
  ]);
  const low = Math.min(0, ...rows.flat());
  const high = Math.max(0, ...rows.flat());
  const [left, width] = [118, wide() - 118 - 56];
  const x = (value) => left + ((value - low) / (high - low || 1)) * width;
  const kinds = ["logit b", "+ agreement a", "= next logit b"];
  return chart(
    wide(),
    34 + names.length * 78,
    text,
    words(8, 18, shorten(titles[hero], 40), "hero"),
    stroke(x(0), 26, x(0), 30 + names.length * 78, "axis"),
    rows.map((row, k) => [
      words(8, 46 + k * 78, names[k], "hero"),
      row.map((value, n) => {
        const [from, to] = n === 1 ? [row[0], row[2]] : [0, value];
        const y = 52 + k * 78 + n * 18;
        return [
          words(left - 8, y + 11, kinds[n], "end soft"),
          box(Math.min(x(from), x(to)), y, Math.max(1.5, Math.abs(x(to) - x(from))), 13, `${colourOf(k)}${n === 1 ? " added" : ""}`),
          words(Math.max(x(from), x(to)) + 6, y + 11, two(value), "value"),
        ];
      }),
    ]),
  );
}
