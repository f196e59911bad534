// The controls, notes and links of the overview.

import { announce, button, byId, h } from "./dom.js";
import { minus } from "./numbers.js";
import { recordedSettings, route } from "./picture_routing.js";
import { allEqual, furtherIterations, singleVector } from "./picture_text.js";
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
    ["interests", "interests K", 1, recorded.mostInterests, 1, (x) => String(x)],
    ["sigma", "sigma (initial logits)", 0, 4 * recorded.sigma, recorded.sigma / 20, twoDigits],
    ["scale", "scale of S", 0.2, 3, 0.1, (x) => `× ${twoDigits(x)}`],
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
    button("Settings of the model", restore, { id: "picture-restore" }),
  );
}

const twoDigits = (x) => minus(String(Number(x.toFixed(2))));

/** Return what the numbers show; `base` is routing with the recorded settings. */
export function notes(user, base, routing) {
  return [
    routing.interests === 1 && base.interests > 1
      ? h("p.callout", { id: "picture-single" }, singleVector(user, routing, base))
      : h(
          "p.callout",
          { id: "picture-further" },
          furtherIterations(user, routing, recordedSettings(user).iterations),
        ),
    allEqual(routing) &&
      h("p", "All interests are equal: with equal initial logits, routing cannot separate them."),
  ];
}

/** Return how to read the picture, and the limits of the settings. */
export function legend(user, share) {
  const { mostInterests, sigma } = recordedSettings(user);
  const films = user.titles.length;
  const config = user.template.metadata.config;
  const texts = [
    "Each shape is a film at its vote S e. The shape is the genre; the colour is the mixture of the coupling weights w.",
    "Each arrow is the capsule u of an interest, with a trail of the earlier iterations. The dotted circle has the length 1.",
    `The plane shows ${(100 * share).toFixed(0)} % of the variance of the votes. Films at the same point are moved apart.`,
    config.interest_count === "log2" &&
      `${films} films have at most ${mostInterests} interests: ⌊log₂ ${films}⌋.`,
    sigma === 0 && "The initial logits of this model are 0: sigma has no effect.",
    config.routing_axis === "behaviours" &&
      "The softmax of this model runs over films. A bar shows the parts of its sum.",
  ];
  return h("p.note", texts.filter(Boolean).join(" "));
}

/** Return the links to the other views, and which user they show. */
export function links(users, current, goTo) {
  const traced = users.find(({ trace }) => Number.isInteger(trace));
  const other = !Number.isInteger(users[current].trace) && traced;
  return h(
    "section.links",
    { "aria-label": "further views" },
    other &&
      h("p", { id: "traced" }, `All other tabs show the numbers of ${traced.menu}, not of this user.`),
    h(
      "p.choices",
      "pictures" in TABS &&
        button("Routing in eight pictures", () => change({ view: "pictures" })),
      button("See the numbers of iteration 1", () => goTo("routing[1].weights"), { class: "main" }),
    ),
  );
}
