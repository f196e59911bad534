// Drawings of the eight pictures with one line for each film: films, logits, weights.

import { chart, disc, svg, words } from "./dom.js";
import { COLOUR_COUNT } from "./interest_colours.js";
import { ownerOf, range, two } from "./numbers.js";

const PHONE = matchMedia("(max-width: 600px)");
const LINE = 19; // height of a film's line
const FIRST = 26; // height of a line of names above the films
const NAMED = 34; // width of an interest in the legend
export const wide = () => (PHONE.matches ? 335 : 520); // a narrow drawing keeps its letters readable
const nameWidth = () => (PHONE.matches ? 136 : 208);

export const shorten = (title, most = PHONE.matches ? 16 : 28) =>
  title.length > most ? `${title.slice(0, most - 1).trimEnd()}…` : title;

/** Return the class with the colour of interest k; the colours repeat. */
export const colourOf = (k) => `k${k % COLOUR_COUNT}`;

/** Return the title of a film's line; the bold title of the hero has fewer letters. */
function nameOf(title, i, hero, first) {
  const bold = i === hero;
  const text = shorten(title, PHONE.matches ? (bold ? 14 : 16) : bold ? 25 : 28);
  return words(nameWidth() - 8, first + i * LINE + 13, text, bold ? "end hero" : "end");
}

export const box = (x, y, width, height, kind) => svg("rect", { x, y, width, height, class: kind });

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

/** Draw each logit as a circle: its area is the size; a negative logit is an outline. */
export function drawLogits(numbers, text) {
  const { names, logits } = numbers;
  const top = Math.max(...logits.flat().map(Math.abs)) || 1;
  const step = (wide() - nameWidth()) / names.length;
  const largest = Math.min(8, step / 2);
  return filmChart(numbers, text, (i, y) =>
    logits[i].map((x, k) => {
      const spot = [nameWidth() + (k + 0.5) * step - (step > 50 ? 18 : 0), y + 9];
      const radius = Math.max(1, largest * Math.sqrt(Math.abs(x) / top));
      return [
        disc(...spot, radius, `${colourOf(k)}${x < 0 ? " negative" : ""}`),
        step > 50 && words(spot[0] + 11, spot[1] + 4, two(x), "value"),
      ];
    }),
  );
}

/** Draw a legend and a line for each film; `drawLine(i, y)` draws the numbers of film i. */
function filmChart(numbers, text, drawLine) {
  const first = firstLine(numbers.names);
  const height = first + numbers.titles.length * LINE + 8;
  return chart(wide(), height, text, legend(numbers.names), filmLines(numbers, first, drawLine));
}

/** Return the title and the numbers of each film; the first line is at height `first`. */
const filmLines = ({ titles, hero }, first, drawLine) =>
  titles.map((title, i) => [nameOf(title, i, hero, first), drawLine(i, first + i * LINE)]);

/** Return one bar: the weights of a film, one colour an interest. */
function stackedBar(row, x, y, width, figures) {
  let from = x;
  return row.map((w, k) => {
    const part = box(from, y, Math.max(0, w * width - 1), LINE - 4, colourOf(k));
    const middle = from + (w * width) / 2;
    from += w * width;
    const fits = figures && w * width > 30;
    return [part, fits && words(middle, y + 12, two(w), `middle inside ${colourOf(k)}`)];
  });
}

/** Return how many interests a line of the legend has. */
const namedInLine = () => Math.floor((wide() - nameWidth() - 62) / NAMED);

/** Return the height above the first film: the lines of the legend. */
const firstLine = (names) => FIRST + LINE * (Math.ceil(names.length / namedInLine()) - 1);

/** Return the colours of the interests; their numbers are the names. */
const legend = (names) => [
  words(nameWidth(), 16, "interest", "soft"),
  names.map((name, k) => {
    const x = nameWidth() + 62 + NAMED * (k % namedInLine());
    const y = 6 + LINE * Math.floor(k / namedInLine());
    return [box(x, y, 11, 11, colourOf(k)), words(x + 15, y + 10, numberOf(name), "soft")];
  }),
];

const numberOf = (name) => name.replace(/^interest /, "");

/** Draw the coupling weights of iteration 1 as one bar a film. */
export function drawWeights(numbers, text) {
  const width = wide() - nameWidth() - 4;
  return filmChart(numbers, text, (i, y) =>
    stackedBar(numbers.weights[0][i], nameWidth(), y, width, true),
  );
}

const MOST_ITERATIONS = 4; // columns with room for their bars

/** Return the iterations that are drawn, from 0: of many iterations the first two and the last. */
export const shownIterations = ({ weights: { length } }) =>
  length > MOST_ITERATIONS ? [0, 1, length - 1] : range(length);

/** Draw the weights of the iterations; a triangle marks a film that changed its interest. */
export function drawAgain(numbers, text) {
  const { titles, names, weights } = numbers;
  const shown = shownIterations({ weights });
  const step = (wide() - nameWidth()) / shown.length;
  const first = firstLine(names);
  return chart(
    wide(),
    first + titles.length * LINE + 30,
    text,
    legend(names),
    svg(
      "g",
      { transform: "translate(0 20)" },
      shown.map((t, n) => words(nameWidth() + (n + 0.5) * step, first - 11, `iteration ${t + 1}`, "middle soft")),
      filmLines(numbers, first, (i, y) =>
        shown.map((t, n) => [
          stackedBar(weights[t][i], nameWidth() + n * step + 12, y, step - 14, false),
          n > 0 && ownerOf(weights[t][i]) !== ownerOf(weights[shown[n - 1]][i]) &&
            words(nameWidth() + n * step + 10, y + 12, "▸", "end moved-mark"),
        ]),
      ),
    ),
  );
}
