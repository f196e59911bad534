// One shape for each genre, the same for all users of the page.

import { svg } from "./dom.js";
import { range } from "./numbers.js";

const around = (count, radius, turn = 0, inner = radius) =>
  `M${Array.from({ length: 2 * count }, (_, k) => {
    const angle = turn - Math.PI / 2 + (k * Math.PI) / count;
    const r = k % 2 ? inner : radius;
    return `${(r * Math.cos(angle)).toFixed(2)} ${(r * Math.sin(angle)).toFixed(2)}`;
  }).join("L")}Z`;
const CROSS = "M-3 -8H3V-3H8V3H3V8H-3V3H-8V-3H-3Z";

const SHAPES = [
  "M-7.5 0A7.5 7.5 0 1 1 7.5 0A7.5 7.5 0 1 1 -7.5 0Z", // disc
  "M0 -8.5L8.5 6.5H-8.5Z", // triangle
  "M-6.8 -6.8H6.8V6.8H-6.8Z", // square
  "M0 -9.5L9.5 0L0 9.5L-9.5 0Z", // diamond
  CROSS,
  around(5, 10, 0, 4.4), // star
  around(3, 8.5), // hexagon
  "M0 8.5L8.5 -6.5H-8.5Z", // triangle, point down
];

/** Return the number of the shape of each genre.
 *
 * If the users have more genres than there are shapes, the genres of one user differ if possible.
 */
export function genreShapes(users) {
  const numbers = new Map();
  for (const genre of users.flatMap(({ groups }) => groups)) {
    if (numbers.has(genre)) continue;
    const beside = users.flatMap(({ groups }) => (groups.includes(genre) ? groups : []));
    const genres = numbers.size < SHAPES.length ? [...numbers.keys()] : beside;
    const used = genres.map((name) => numbers.get(name));
    const free = range(SHAPES.length).find((number) => !used.includes(number));
    numbers.set(genre, free ?? numbers.size);
  }
  return numbers;
}

/** Return the path of the shape of a genre, around 0, 0. */
export const shape = (number) => SHAPES[number % SHAPES.length];

/** Return a shape as a small picture beside a text. */
export const icon = (number) =>
  svg(
    "svg.icon",
    { viewBox: "-11 -11 22 22", width: 16, height: 16, "aria-hidden": "true" },
    svg("path", { d: shape(number), class: "film-shape" }),
  );
