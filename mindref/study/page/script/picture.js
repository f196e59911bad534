// The picture: films, capsules as arrows with trails, and the name of a film on demand.

import { arrowHead, h, stroke, svg, words } from "./dom.js";
import { cssColour, interestColour, mixture, textOn } from "./interest_colours.js";
import { brief, norm, range, two } from "./numbers.js";
import { layout, placeLabels } from "./picture_layout.js";
import { shape } from "./shapes.js";

const HEAD = 11; // radius of the disc at the end of an arrow

/** Return the weights of a film as text. */
export const weightText = (row) =>
  row.map((w, k) => `interest ${k + 1}: ${two(w)}`).join(", ");

/** Draw the picture of a user; `size` is [width, height].
 *
 * `base` is routing with the recorded settings, `stop` the number of iterations of the model,
 * `shapes` has the number of the shape of each genre.
 *
 * Returns the element, `show(routing, frame)` and `mark(film)`. A frame has the position, and for
 * each film its weights, for each interest its capsules up to the position.
 */
export function picture(user, base, stop, size, shapes) {
  const place = { ...layout(base, ...size), size };
  const tips = [base.capsules[stop - 1], base.capsules.at(-1)].flat().map(place.tipOf);
  const discs = base.capsules.flat().map(place.tipOf);
  const filmsOf = (name) => [...user.groups.keys()].filter((i) => user.groups[i] === name);
  const groups = [...new Set(user.groups)].map((name) => [name, filmsOf(name)]);
  const labels = placeLabels(groups, { ...place, tips, discs }, ...size);
  const films = user.titles.map((title, i) => film(shapes.get(user.groups[i]) ?? 0, i, place.films[i]));
  const [arrows, knobs] = range(2).map(() => svg("g", { "aria-hidden": "true" }));
  const drawing = svg(
    "svg.picture",
    { viewBox: `0 0 ${size.join(" ")}`, role: "group", "aria-roledescription": "picture" },
    svg("circle", {
      class: "unit-circle",
      cx: place.origin[0],
      cy: place.origin[1],
      r: place.unit,
    }),
    stroke(place.origin[0] - 6, place.origin[1], place.origin[0] + 6, place.origin[1], "zero"),
    stroke(place.origin[0], place.origin[1] - 6, place.origin[0], place.origin[1] + 6, "zero"),
    arrows,
    svg("g", films),
    svg(
      "g",
      { "aria-hidden": "true" },
      labels.map(({ name, x, y }) => words(x, y + 5, name, "genre middle")),
    ),
    knobs,
  );
  const tip = h("div.tip", { "aria-hidden": "true", hidden: true });
  const box = h("div.picture-box", drawing, tip);
  const state = { frame: null, marked: -1 };
  const mark = (i) => {
    state.marked = i;
    showTip(tip, user, place, i, state.frame?.weights[i]);
    films.forEach((node, k) => node.classList.toggle("marked", k === i));
  };
  listen(box, films, mark);
  const show = (frame, text) => {
    state.frame = frame;
    drawing.setAttribute("aria-label", text);
    frame.weights.forEach((row, i) => colour(films[i], user, row, i));
    arrows.replaceChildren(...frame.paths.map((path, k) => arrow(k, path, place)));
    knobs.replaceChildren(...frame.paths.flatMap((path, k) => knob(k, path, place)));
    if (state.marked >= 0) mark(state.marked);
  };
  return { element: box, show, mark, share: place.share, reduction: place.reduction };
}

function film(number, i, [x, y]) {
  return svg(
    "g.film",
    {
      role: "img",
      tabindex: i ? -1 : 0,
      "data-film": i,
      transform: `translate(${x.toFixed(2)} ${y.toFixed(2)})`,
    },
    svg("circle.target", { r: 13 }),
    svg("path", { d: shape(number), class: "film-shape" }),
  );
}

function colour(node, user, row, i) {
  const group = user.groups[i] ? `, ${user.groups[i]}` : "";
  node.setAttribute("aria-label", `${nameOf(user.titles[i])}${group}. ${weightText(row)}`);
  node.lastChild.setAttribute("fill", cssColour(mixture(row)));
}

const nameOf = (title) => (String(title).trim() === "" ? "(no title)" : String(title));

/** Draw an arrow with its trail; `path` has the capsules of the iterations up to now. */
function arrow(k, path, { origin, tipOf }) {
  const spots = path.map(tipOf);
  const end = spots.at(-1);
  const group = { class: "arrow", "data-interest": k, "data-capsule": path.at(-1)?.join(" ") };
  if (!end) return svg("g", group);
  const [dx, dy] = [end[0] - origin[0], end[1] - origin[1]];
  const long = Math.hypot(dx, dy);
  const beforeDisc = [0, 1].map((axis) => end[axis] - ((HEAD - 1) * [dx, dy][axis]) / long);
  const ink = interestColour(k);
  return svg(
    "g",
    group,
    svg("polyline", { class: "trail", points: spots.join(" "), stroke: ink }),
    spots.slice(0, -1).map(([cx, cy]) => svg("circle", { cx, cy, r: 2.6, fill: ink })),
    stroke(...origin, ...end, "halo"),
    svg("polyline", { class: "shaft", points: [origin, end].join(" "), stroke: ink }),
    long > HEAD + 14 && arrowHead(beforeDisc, [dx / long, dy / long], [12, 7], { fill: ink }),
  );
}

/** Return the disc with the number of an interest, at the end of its arrow. */
function knob(k, path, { tipOf }) {
  if (path.length === 0) return [];
  const [cx, cy] = tipOf(path.at(-1));
  const title = `Interest ${k + 1}: the capsule u is ${brief(norm(path.at(-1)))} long`;
  return svg(
    "g",
    svg("title", title),
    svg("circle.knob", { cx, cy, r: HEAD, fill: interestColour(k) }),
    svg("text.middle.knob-number", { x: cx, y: cy + 5, fill: textOn(k) }, `${k + 1}`),
  );
}

/** Show the title and the weights of a film beside its shape; without a film, hide them. */
function showTip(tip, user, place, i, row) {
  tip.hidden = i < 0;
  if (i < 0) return;
  const [x, y] = place.films[i];
  tip.replaceChildren(h("b", h("bdi", nameOf(user.titles[i]))), h("span", weightText(row)));
  tip.style.left = `${(100 * x) / place.size[0]}%`;
  tip.style.top = `${(100 * y) / place.size[1]}%`;
  tip.classList.toggle("leftwards", x > place.size[0] / 2);
  tip.classList.toggle("upwards", y > place.size[1] / 2);
}

const KEYS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };

/** Mark a film under the pointer, with focus or after a tap; arrow keys move between films.
 *
 * The listeners are on the box: an SVG element with a listener for focus is a stop of Tab.
 */
function listen(box, films, mark) {
  const indexOf = (event) => films.indexOf(event.target.closest(".film"));
  const focus = (i) => {
    films.forEach((node, k) => node.setAttribute("tabindex", k === i ? 0 : -1));
    films[i].focus();
  };
  for (const event of ["pointerover", "focusin", "click"])
    box.addEventListener(event, (e) => mark(indexOf(e)));
  box.addEventListener("pointerleave", () => mark(films.indexOf(document.activeElement)));
  box.addEventListener("focusout", () => mark(-1));
  box.addEventListener("keydown", (event) => {
    const i = indexOf(event);
    const by = KEYS[event.key];
    const next = { Home: 0, End: films.length - 1 }[event.key] ?? (by && i + by);
    if (event.key === "Escape") mark(-1);
    if (i < 0 || next === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    focus((next + films.length) % films.length);
  });
}
