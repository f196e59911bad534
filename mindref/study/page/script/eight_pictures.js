// Routing in eight pictures: one card each, drawn from the recorded numbers of the user.

import { button, byId, h, sentence } from "./dom.js";
import { range } from "./numbers.js";
import { state } from "./state.js";
import { colourNote } from "./picture_text.js";
import { PICTURES } from "./eight_texts.js";
import { routingOf } from "./eight_numbers.js";
import { MOVES, TABS } from "./tabs.js";
import { plainTable } from "./views.js";

let current = 0;

TABS.pictures = ({ trace, goTo }) => {
  current = 0;
  const routing = routingOf(trace, state.user);
  const title = h("h2", "Routing in eight pictures");
  if (!routing) return [title, h("p", "This user has no films, so there is nothing to route.")];
  watcher.disconnect();
  const cards = PICTURES.map((picture, k) => card(trace, routing, picture, k, goTo));
  for (const each of cards) watcher.observe(each);
  return [
    title,
    h("p.why", `The numbers are those of ${trace.metadata.user}. Numbers are rounded. Press → for the next picture.`),
    colourNote(routing.names.length),
    controls(),
    h("div.pictures", cards),
    h("p", button(`All ${trace.steps.length} steps`, () => goTo(trace.steps[0].id), { class: "main" })),
  ];
};

/** Return one picture: its text, the number to look at, the drawing and its table. */
function card(trace, routing, { name, text, number, drawing, table }, k, goTo) {
  const [value, meaning] = number(routing);
  const step = stepOf(trace, name);
  return h(
    "section.picture",
    { id: `picture-${k + 1}`, tabindex: -1, "aria-labelledby": `picture-title-${k + 1}` },
    h(
      "div",
      h("h3", { id: `picture-title-${k + 1}` }, `${k + 1}. ${sentence(name).slice(0, -1)}`),
      text(routing).map((line) => h("p", h("bdi", line))),
      h("p.look", h("b.figure", value), " ", h("bdi", meaning)),
      step && h("p.note", button(`the numbers: step ${trace.steps.indexOf(step) + 1}`, () => goTo(step.id), { class: "link" })),
    ),
    h(
      "div.drawing",
      drawing(routing, `Picture ${k + 1}, ${name}. ${value}: ${meaning}`),
      h("details.fold", h("summary", "The picture as a table"), plainTable(...table(routing))),
    ),
  );
}

const STEPS = {
  films: /^ids$/,
  vectors: /^routing\.votes$/,
  "first guess": /^routing\.logits$/,
  weights: /^routing\[1\]\.weights$/,
  sum: /^routing\[1\]\.sums$/,
  squash: /^routing\[1\]\.capsules$/,
  agreement: /^routing\[1\]\.agreement$/,
  again: /^routing\[2\]\.weights$/,
};

const stepOf = (trace, name) => trace.steps.find(({ id }) => STEPS[name].test(id));

/** Return the buttons: previous, one for each picture, next. */
function controls() {
  const entries = PICTURES.map(({ name }, k) =>
    h("li", button(`${k + 1} ${name}`, () => show(k), { "data-picture": String(k), "aria-current": k === 0 && "step" })),
  );
  return h(
    "nav.picture-list",
    { "aria-label": "pictures" },
    button("‹", () => show(current - 1), { "aria-label": "previous picture" }),
    h("ol", entries),
    button("›", () => show(current + 1), { "aria-label": "next picture" }),
  );
}

/** Go to a picture, and focus it, so that a screen reader reads it. */
function show(k) {
  if (!range(PICTURES.length).includes(k)) return;
  mark(k);
  const section = byId(`picture-${k + 1}`);
  const smooth = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  section.focus({ preventScroll: true });
  section.scrollIntoView({ block: "start", behavior: smooth ? "smooth" : "instant" });
}

/** Mark a picture as the current one in the row of buttons. */
function mark(k) {
  current = k;
  for (const entry of document.querySelectorAll(".picture-list [data-picture]"))
    entry.ariaCurrent = Number(entry.dataset.picture) === k ? "step" : null;
}

/** Mark the picture that a reader scrolled to. */
const watcher = new IntersectionObserver(
  (entries) => {
    const seen = entries.find(({ isIntersecting }) => isIntersecting);
    if (seen) mark(Number(seen.target.id.match(/\d+/)[0]) - 1);
  },
  { rootMargin: "-25% 0px -70% 0px" },
);

MOVES.pictures = (by) => {
  if (byId("picture-1")) show(Math.min(PICTURES.length - 1, Math.max(0, current + by)));
};
