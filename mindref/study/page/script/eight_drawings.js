// The drawings of the eight pictures: bars, arrows and curves in SVG.

import { chart, disc, stroke, svg, words } from "./dom.js";
import { plane } from "./plane.js";
import { minus, norm, ownerOf, range } from "./numbers.js";

const PHONE = matchMedia("(max-width: 600px)");
const LINE = 19; // height of a film's line
const FIRST = 26; // height of the line of names above the films
const wide = () => (PHONE.matches ? 335 : 520); // a narrow drawing keeps its letters readable
const nameWidth = () => (PHONE.matches ? 136 : 208);

const shorten = (title, most = PHONE.matches ? 16 : 28) =>
  title.length > most ? `${title.slice(0, most - 1).trimEnd()}…` : title;

/** Return the title of a film's line; the bold title of the hero has fewer letters. */
function nameOf(title, i, hero) {
  const bold = i === hero;
  const text = shorten(title, PHONE.matches ? (bold ? 14 : 16) : bold ? 25 : 28);
  return words(nameWidth() - 8, FIRST + i * LINE + 13, text, bold ? "end hero" : "end");
}

const box = (x, y, width, height, kind) => svg("rect", { x, y, width, height, class: kind });

const tall = (count) => FIRST + count * LINE + 8;

/** Draw the titles, each with its position in the history. */
export function drawFilms({ titles, positions }, text) {
  const columns = titles.length > 12 && !PHONE.matches ? 2 : 1;
  const rows = Math.ceil(titles.length / columns);
  const step = wide() / columns;
  return chart(
    wide(),
    rows * LINE + 16,
    text,
    titles.map((title, i) => {
      const [x, y] = [Math.floor(i / rows) * step, (i % rows) * LINE + 8];
      return [
        words(x + 22, y + 13, String(positions[i]), "end soft"),
        box(x + 28, y + 1, step - 36, LINE - 3, "film"),
        words(x + 34, y + 13, shorten(title, 36), ""),
      ];
    }),
  );
}

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

/** Draw the votes as arrows from 0; the two most similar films are named. */
export function drawVectors({ votes, titles, hero }, text, [first, second]) {
  const { project } = plane(votes);
  const at = canvas(votes, project);
  const zero = at(votes[0].map(() => 0));
  const marked = titles.length > 1 ? [first, second] : [hero];
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
  const [dx, dy] = [(toX - x) / length, (toY - y) / length];
  const wing = (side) => [toX - 8 * dx + 4 * side * dy, toY - 8 * dy - 4 * side * dx];
  const tip = [[toX, toY], wing(1), wing(-1)].map((p) => p.join(",")).join(" ");
  return svg("g", { class: `arrow ${kind}` }, stroke(x, y, toX, toY, ""), svg("polygon", { points: tip }));
}

/** Draw each logit as a circle: its area is the size; a negative logit is an outline. */
export function drawLogits({ titles, names, logits, hero }, text) {
  const top = Math.max(...logits.flat().map(Math.abs)) || 1;
  const step = (wide() - nameWidth()) / names.length;
  return chart(
    wide(),
    tall(titles.length),
    text,
    legend(names, nameWidth()),
    titles.map((title, i) => [
      nameOf(title, i, hero),
      logits[i].map((x, k) => {
        const spot = [nameWidth() + (k + 0.5) * step - 18, FIRST + i * LINE + 9];
        const radius = Math.max(1, 8 * Math.sqrt(Math.abs(x) / top));
        return [
          disc(...spot, radius, x < 0 ? `k${k} negative` : `k${k}`),
          step > 50 && words(spot[0] + 11, spot[1] + 4, minus(x.toFixed(2)), "value"),
        ];
      }),
    ]),
  );
}

/** Return one bar: the weights of a film, one colour an interest. */
function stackedBar(row, x, y, width, figures) {
  let from = x;
  return row.map((w, k) => {
    const part = box(from, y, Math.max(0, w * width - 1), LINE - 4, `k${k}`);
    const middle = from + (w * width) / 2;
    from += w * width;
    const fits = figures && w * width > 30;
    return [part, fits && words(middle, y + 12, w.toFixed(2), `middle inside k${k}`)];
  });
}

/** Return the colours of the interests; their numbers are the names. */
const legend = (names, x) => [
  words(x, 16, "interest", "soft"),
  names.map((name, k) => [
    box(x + 62 + 34 * k, 6, 11, 11, `k${k}`),
    words(x + 77 + 34 * k, 16, numberOf(name), "soft"),
  ]),
];

const numberOf = (name) => name.replace(/^interest /, "");

/** Draw the coupling weights of iteration 1 as one bar a film. */
export function drawWeights({ titles, names, weights, hero }, text) {
  return chart(
    wide(),
    tall(titles.length),
    text,
    legend(names, nameWidth()),
    titles.map((title, i) => [
      nameOf(title, i, hero),
      stackedBar(weights[0][i], nameWidth(), FIRST + i * LINE, wide() - nameWidth() - 4, true),
    ]),
  );
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
    svg("g", { class: `k${interest}` }, arrow(zero, end, "total")),
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
  const rule = { squash: (n) => (n * n) / (1 + n * n), unit: () => 1, none: (n) => n }[config.squash];
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
      return [stroke(x, base, x, y, `drop k${k}`), disc(x, y, 5.5, `k${k}`)];
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
    return [disc(from, y - 4, 5, `k${k}`), words(from + 11, y, text, "")];
  });
}

const pointText = (name, n, length) => `${name}: ${n.toFixed(2)} → ${length.toFixed(3)}`;

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
          box(Math.min(x(from), x(to)), y, Math.max(1.5, Math.abs(x(to) - x(from))), 13, n === 1 ? `k${k} added` : `k${k}`),
          words(Math.max(x(from), x(to)) + 6, y + 11, minus(value.toFixed(2)), "value"),
        ];
      }),
    ]),
  );
}

/** Draw the weights of every iteration; a triangle marks a film that changed its interest. */
export function drawAgain({ titles, names, weights, hero }, text) {
  const shown = weights.slice(0, 4);
  const step = (wide() - nameWidth()) / shown.length;
  return chart(
    wide(),
    tall(titles.length) + 22,
    text,
    legend(names, nameWidth()),
    svg(
      "g",
      { transform: "translate(0 20)" },
      shown.map((_, t) => words(nameWidth() + (t + 0.5) * step, 15, `iteration ${t + 1}`, "middle soft")),
      titles.map((title, i) => [
        nameOf(title, i, hero),
        shown.map((w, t) => [
          stackedBar(w[i], nameWidth() + t * step + 12, FIRST + i * LINE, step - 14, false),
          t > 0 && ownerOf(w[i]) !== ownerOf(shown[t - 1][i]) &&
            words(nameWidth() + t * step + 10, FIRST + i * LINE + 12, "▸", "end moved-mark"),
        ]),
      ]),
    ),
  );
}
