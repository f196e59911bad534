// The coupling weights of each film as a stacked bar.

import { h, scroller, titled, unseen } from "./dom.js";
import { interestColour, textOn } from "./interest_colours.js";
import { range, two } from "./numbers.js";
import { weightText } from "./picture.js";
import { filmOrder } from "./picture_routing.js";
import { icon } from "./shapes.js";

const NUMBERED = 0.18; // smallest weight with the number of its interest in the bar

/** Return the bars of a user's films: the element and `show(weights)`.
 *
 * `shapes` has the number of the shape of each genre.
 * `mark` marks a film in the picture, -1 for none.
 */
export function weightBars(user, shapes, interests, mark) {
  const order = filmOrder(user);
  const rows = order.map((i) => row(user, i, shapes.get(user.groups[i]) ?? 0, interests, mark));
  const names = ["film", "coupling weights w", "largest"];
  const head = h("thead", h("tr", names.map((name) => h("th", { scope: "col" }, name))));
  const { routing_axis: axis } = user.template.metadata.config;
  const text =
    axis === "behaviours"
      ? "How the weights of each film are divided among the interests"
      : "How each film divides a weight of 1 among the interests";
  const caption = h("caption", text);
  const body = h("tbody", rows.map(({ element }) => element));
  const table = h("table.bars", caption, head, body);
  const show = (weights) => rows.forEach(({ fill }, k) => fill(weights[order[k]]));
  return { element: scroller("coupling weights of each film", table), show };
}

function row(user, i, number, interests, mark) {
  const parts = range(interests).map((k) => {
    const part = h("span.part", String(k + 1));
    part.style.background = interestColour(k);
    part.style.color = textOn(k);
    return part;
  });
  const text = unseen("");
  const most = h("td.figure");
  const group = user.groups[i] ? unseen(`, ${user.groups[i]}`) : null;
  const element = h(
    "tr",
    {
      "data-film": i,
      on: { pointerenter: () => mark(i), pointerleave: () => mark(-1), click: () => mark(i) },
    },
    h("th", { scope: "row" }, icon(number), titled(user.titles[i]), group),
    h("td", h("span.bar", { "aria-hidden": "true" }, parts), text),
    most,
  );
  const fill = (weights) => {
    const total = weights.reduce((a, w) => a + w, 0) || 1;
    parts.forEach((part, k) => {
      part.style.width = `${(100 * weights[k]) / total}%`;
      part.classList.toggle("small", weights[k] / total < NUMBERED);
    });
    text.textContent = weightText(weights);
    most.textContent = two(Math.max(...weights));
    element.dataset.weights = weights.join(" ");
  };
  return { element, fill };
}
