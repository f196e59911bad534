// Colours of the interests, and the mixture of a film from its coupling weights.

import { dark, luminance } from "./quantities.js";

// light and dark form; colour-blind readers can distinguish the first four (tested)
const COLOURS = [
  ["#315ead", "#597ccd"],
  ["#a94627", "#cd7e0e"],
  ["#3aa557", "#2fc391"],
  ["#bb72ad", "#f9a6e1"],
  ["#6a4fb3", "#b7a4f2"],
  ["#8a7400", "#e8d94a"],
  ["#5f646b", "#c9cdd3"],
  ["#7a3b1e", "#d1a084"],
];

/** Number of colours; the interests beyond it repeat them. */
export const COLOUR_COUNT = COLOURS.length;

/** Return the colour of interest k, from 0, as #rrggbb. */
export const interestColour = (k) => COLOURS[k % COLOURS.length][dark() ? 1 : 0];

const toLinear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
const fromLinear = (c) => (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055);

const times = (matrix, x) => matrix.map((row) => row.reduce((a, m, k) => a + m * x[k], 0));

// OKLab (Ottosson 2020): linear sRGB to cone responses, and their cube roots to lightness, a, b
const TO_CONES = [
  [0.4122214708, 0.5363325363, 0.0514459929],
  [0.2119034982, 0.6806995451, 0.1073969566],
  [0.0883024619, 0.2817188376, 0.6299787005],
];
const FROM_CONES = [
  [4.0767416621, -3.3077115913, 0.2309699292],
  [-1.2684380046, 2.6097574011, -0.3413193965],
  [-0.0041960863, -0.7034186147, 1.707614701],
];

const rootsOf = (hex) =>
  times(
    TO_CONES,
    [1, 3, 5].map((at) => toLinear(parseInt(hex.slice(at, at + 2), 16) / 255)),
  ).map(Math.cbrt);

/** Return the mixture of the interest colours in OKLab, weighted; as [r, g, b], 0 to 255.
 *
 * OKLab is a linear map of the cube roots, so that a mean of the roots is the mean in OKLab.
 */
export function mixture(weights) {
  const total = weights.reduce((a, w) => a + w, 0);
  if (!(total > 0)) return dark() ? [154, 160, 168] : [95, 100, 107];
  const roots = [0, 0, 0];
  weights.forEach((w, k) => {
    rootsOf(interestColour(k)).forEach((x, at) => {
      roots[at] += (w / total) * x;
    });
  });
  const linear = times(
    FROM_CONES,
    roots.map((x) => x ** 3),
  );
  return linear.map((c) => Math.round(255 * fromLinear(Math.min(1, Math.max(0, c)))));
}

export const cssColour = (rgb) => `rgb(${rgb.join(", ")})`;

/** Return the colour of text on an interest's colour: black or white, by contrast. */
export const textOn = (k) => textOnColour(interestColour(k));

function textOnColour(hex) {
  const light = luminance([1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
  return (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff";
}

/** Define the colours of the interests, and of text on them, for the style sheets. */
export function defineColours() {
  const { style } = document.documentElement;
  COLOURS.forEach((forms, k) => {
    style.setProperty(`--interest-${k}`, `light-dark(${forms.join(", ")})`);
    style.setProperty(`--on-interest-${k}`, `light-dark(${forms.map(textOnColour).join(", ")})`);
  });
}
