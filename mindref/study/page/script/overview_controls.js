// The controls, notes and links of the overview.

import { sources } from "./data.js";
import { announce, button, byId, h, put } from "./dom.js";
import { minus } from "./numbers.js";
import { recordedSettings } from "./picture_routing.js";
import { amount, furtherIterations, separationSentence, singleVector, whatToDo } from "./picture_text.js";
import { change, state } from "./state.js";
import { TABS } from "./tabs.js";

/** Return the controls: elements `main` and `sliders`, `showPosition`, `showPlay`.
 *
 * `settings` is changed by the sliders; the actions draw.
 */
export function makeControls(users, settings, top, actions) {
  const { recorded } = settings;
  const playButton = button("▶ Play", actions.play, { class: "main", id: "picture-play" });
  const position = slider("iteration", 0, top, 1, settings.position, (value) => {
    actions.stop();
    actions.place(value);
  });
  position.input.id = "picture-position";
  position.input.addEventListener("change", actions.tell);
  const showPosition = (value) => {
    position.input.value = value;
    const text = positionText(value, recorded.iterations, top);
    position.output.textContent = text;
    position.input.setAttribute("aria-valuetext", text);
  };
  const showPlay = (playing) => {
    playButton.textContent = playing ? "❚❚ Pause" : "▶ Play";
  };
  const main = h(
    "div.controls",
    { role: "group", "aria-label": "iteration" },
    userMenu(users, settings.user, actions.stop),
    playButton,
    h("span.position-slider", position.label),
    position.output,
  );
  return { main, sliders: settingSliders(settings, actions), showPosition, showPlay };
}

function positionText(position, stop, top) {
  if (position === 0) return `before iteration 1 of ${top}`;
  const past = position > stop ? ": past the model" : "";
  return `iteration ${position} of ${top}${position === stop ? ": the model stops here" : past}`;
}

/** Return a slider that acts while it moves: {label, input, output}. */
function slider(name, min, max, step, value, act) {
  const input = h("input", { type: "range", min, max, step });
  input.value = String(value); // after min, max and step
  const output = h("output");
  input.addEventListener("input", () => act(Number(input.value)));
  return { label: h("label", h("span", name), " ", input), input, output };
}

function userMenu(users, current, stop) {
  const options = users.map(({ menu }, k) => h("option", { value: String(k) }, menu));
  const select = h("select", { id: "picture-user" }, options);
  select.value = String(current);
  select.addEventListener("change", () => {
    stop();
    const { trace } = users[select.value];
    const other = Number.isInteger(trace) && trace !== state.user;
    const traced = other && { user: trace, edits: [], cell: null, symbol: null };
    change({ picture: `${select.value}/0`, ...traced });
    byId("picture-user").focus();
    announce(`User ${users[select.value].menu}`);
  });
  return h("label.user-menu", "User ", select);
}

/** Return the sliders of K, sigma and the scale of S. */
function settingSliders(settings, actions) {
  const { recorded } = settings;
  const all = [
    ["interests", "K: number of interests", 1, recorded.mostInterests, 1, (x) => String(x)],
    ["sigma", "sigma: spread of the random initial logits", 0, 4 * recorded.sigma, recorded.sigma / 20, twoDigits],
    ["scale", "scale of S: multiplies all votes", 0.2, 3, 0.1, (x) => `× ${twoDigits(x)}`],
  ];
  const sliders = all.map(([field, name, low, high, step, print]) => {
    const one = slider(name, low, high, step || 1, settings[field], (value) => {
      actions.stop();
      settings[field] = value;
      one.output.textContent = print(value);
      actions.reroute();
    });
    one.input.id = `picture-${field}`;
    one.input.disabled = high <= low;
    one.input.addEventListener("change", actions.tell);
    one.output.textContent = print(settings[field]);
    return { ...one, field, print };
  });
  const restore = () => {
    for (const { field, input, output, print } of sliders) {
      settings[field] = field === "scale" ? 1 : recorded[field];
      input.value = String(settings[field]);
      output.textContent = print(settings[field]);
    }
    actions.reroute();
    actions.tell();
  };
  return h(
    "div.settings",
    { role: "group", "aria-label": "settings of routing" },
    sliders.map(({ label, output }) => h("div.setting", label, output)),
    button("Reset to the model's settings", restore, { id: "picture-restore" }),
  );
}

// without zeros at the end: a setting, not a result
const twoDigits = (x) => minus(String(Number(x.toFixed(2))));

/** Return what the numbers of a position show: the element and `show(routing, position)`.
 *
 * `base` is routing with the recorded settings.
 */
export function makeNotes(user, base) {
  const element = h("div.notes");
  const stop = recordedSettings(user).iterations;
  let texts = [];
  const show = (routing, position) => {
    const next = noteTexts(user, base, routing, position, stop);
    if (next.join() === texts.join()) return;
    texts = next;
    const [id, text, equal] = next;
    put(element, h("p.callout", { id }, text), equal && h("p", equal));
  };
  return { element, show };
}

/** Return [id, text] of the note of a position, and a sentence if all interests are equal. */
function noteTexts(user, base, routing, position, stop) {
  const note =
    routing.interests === 1 && base.interests > 1
      ? ["picture-single", singleVector(routing, base, stop)]
      : position < stop
        ? ["picture-start", whatToDo(user, routing, stop)]
        : ["picture-further", furtherIterations(user, routing, stop)];
  return [...note, separationSentence(routing)];
}

/** Return how to read the picture, and the limits of the settings. */
export function legend(user, { share, reduction }) {
  const { mostInterests, sigma } = recordedSettings(user);
  const films = user.titles.length;
  const config = user.template.metadata.config;
  const texts = [
    `Each shape is a film at its vote S e: ${user.groups.length ? "the shape is the genre, " : ""}the colour is the mixture of the coupling weights w.`,
    "Each arrow is the capsule u of an interest; thin lines show earlier iterations.",
    `The dotted circle is the length 1 of an arrow; films are drawn at ${scaleText(reduction)} their length.`,
    `The plane shows ${(100 * share).toFixed(0)} % of the variance of the votes. An arrow that points out of the plane looks shorter than it is: point at its number to read its length.`,
    "Films at the same point are moved apart.",
    config.interest_count === "log2" &&
      mostInterests === Math.floor(Math.log2(films)) &&
      `A history of ${films} films has at most ${amount(mostInterests, "interests")}: ⌊log₂ ${films}⌋.`,
    config.routing === "uniform"
      ? "The routing of this model is uniform: all logits are 0, and sigma has no effect."
      : sigma === 0 && "The initial logits of this model are 0: sigma has no effect.",
    config.routing_axis === "behaviours" &&
      "The softmax of this model runs over films. A bar shows the parts of its sum.",
  ];
  return h("p.note", texts.filter(Boolean).join(" "));
}

/** Return the scale of films beside arrows: "1/3.6 of", or "2.0 times" if films are drawn larger. */
const scaleText = (reduction) =>
  reduction >= 1 ? `1/${reduction.toFixed(1)} of` : `${(1 / reduction).toFixed(1)} times`;

/** Return the links to the other views, and which user they show. */
export function links(users, current, goTo) {
  const other = users[current].trace !== state.user;
  const { menu } = users.find(({ trace }) => trace === state.user) ?? {
    menu: sources.traces[state.user].metadata.user,
  };
  return h(
    "section.links",
    { "aria-label": "further views" },
    other &&
      h("p", { id: "traced" }, `All other tabs show the numbers of ${menu}, not of this user.`),
    h(
      "p.choices",
      "pictures" in TABS &&
        button("Routing in eight pictures", () => change({ view: "pictures" })),
      button("See the numbers of iteration 1", () => goTo("routing[1].weights"), { class: "main" }),
    ),
  );
}
