// Geometry of the picture: positions of films, capsules and genre labels in pixels.

import { norm, range } from "./numbers.js";
import { plane } from "./plane.js";

const EDGE = [34, 46]; // beside, and above or below, where a label needs a line
const REACH = 0.72; // arrow of a capsule of length 1, in distances of the farthest film
const APART = 14; // films at the same point are moved apart, in pixels

/** Return the layout of a user: film positions, and functions for capsules in pixels.
 *
 * Positions follow from the recorded S: with S scaled, only the capsules move. The box contains the
 * films, the origin and all capsules of the recorded settings.
 */
export function layout({ votes, capsules }, width, height) {
  const { project, share } = plane(votes);
  const points = votes.map(project);
  const far = Math.max(...points.map(norm), 1e-12);
  const longest = Math.max(1, ...capsules.flat().map(norm));
  const tip = (u) => project(u).map((x) => (x * far * REACH) / longest);
  const all = [[0, 0], ...points, ...capsules.flat().map(tip)];
  const low = [0, 1].map((k) => Math.min(...all.map((p) => p[k])));
  const high = [0, 1].map((k) => Math.max(...all.map((p) => p[k])));
  const span = [0, 1].map((k) => high[k] - low[k] || 1);
  const scale = Math.min((width - 2 * EDGE[0]) / span[0], (height - 2 * EDGE[1]) / span[1]);
  const left = (width - span[0] * scale) / 2;
  const top = (height - span[1] * scale) / 2;
  const spot = ([x, y]) => [left + (x - low[0]) * scale, top + (high[1] - y) * scale];
  return {
    share,
    origin: spot([0, 0]),
    films: movedApart(points.map(spot)),
    tipOf: (u) => spot(tip(u)),
    reduction: (far * REACH) / longest, // scale of the arrows, in scales of the films
    unit: (far * REACH * scale) / longest, // pixels of a capsule of length 1
  };
}

/** Move points that are too close apart, by a few small steps. */
function movedApart(spots) {
  const out = spots.map((spot) => [...spot]);
  for (let pass = 0; pass < 30; pass += 1) {
    for (const [i, a] of out.entries()) {
      for (const [j, b] of out.slice(0, i).entries()) {
        const gap = [a[0] - b[0], a[1] - b[1]];
        const distance = norm(gap);
        if (distance >= APART) continue;
        const angle = distance > 0 ? Math.atan2(gap[1], gap[0]) : 2.4 * (i + j);
        const push = (APART - distance) / 4;
        a[0] += push * Math.cos(angle);
        a[1] += push * Math.sin(angle);
        b[0] -= push * Math.cos(angle);
        b[1] -= push * Math.sin(angle);
      }
    }
  }
  return out;
}

const LETTER = 8.4; // mean width of a letter of a label, in pixels
const LINE = 18;

/** Place the label of each group beside its films, where it covers the least.
 *
 * groups: [name, indices of films]; tips: ends of the arrows that no label should cover; discs: ends
 * of the arrows of all iterations. Returns {name, x, y} with x in the middle of the text.
 */
export function placeLabels(groups, { films, origin, tips, discs }, width, height) {
  const occupied = [
    ...films.map(([x, y]) => box(x, y, 22, 22, 3)),
    ...discs.map(([x, y]) => box(x, y, 28, 28, 3)),
    ...tips.flatMap((tip) => range(8).map((part) => between(origin, tip, (part + 1) / 9))),
  ];
  return groups.map(([name, members]) => {
    const long = name.length * LETTER;
    const spots = members.map((i) => films[i]);
    const choices = candidates(spots, long).map(([x, y]) => [
      Math.min(width - long / 2 - 3, Math.max(long / 2 + 3, x)),
      Math.min(height - LINE / 2 - 7, Math.max(LINE / 2 + 7, y)),
    ]);
    const cost = ([x, y]) =>
      occupied.reduce((a, other) => a + overlap(box(x, y, long, LINE, 1), other), 0);
    const [x, y] = choices.reduce((best, next) => (cost(next) < cost(best) - 1e-9 ? next : best));
    occupied.push(box(x, y, long, LINE, 6));
    return { name, x, y };
  });
}

const box = (x, y, wide, high, weight) => ({ x, y, wide, high, weight });

function between(a, b, part) {
  return box(...range(2).map((k) => a[k] + part * (b[k] - a[k])), 14, 14, 3);
}

function overlap(a, b) {
  const wide = (a.wide + b.wide) / 2 - Math.abs(a.x - b.x);
  const high = (a.high + b.high) / 2 - Math.abs(a.y - b.y);
  return wide > 0 && high > 0 ? b.weight * wide * high : 0;
}

/** Return places around some films: above and below, beside, then farther away. */
function candidates(spots, long) {
  const [xs, ys] = [0, 1].map((k) => spots.map((spot) => spot[k]));
  const middle = (all) => (Math.min(...all) + Math.max(...all)) / 2;
  const [x, y] = [middle(xs), middle(ys)];
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const [left, right] = [Math.min(...xs), Math.max(...xs)];
  return [22, 34, 48].flatMap((gap) => [
    ...[0, -long / 3, long / 3].flatMap((shift) => [
      [x + shift, low - gap],
      [x + shift, high + gap],
    ]),
    [left - long / 2 - gap + 6, y],
    [right + long / 2 + gap - 6, y],
  ]);
}
