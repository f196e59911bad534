// A question before the result: the numbers are not in the page until it is answered or skipped.

import { announce, h } from "./dom.js";
import { change, seenKey, state } from "./state.js";

/** Return whether the numbers of a step are still to be held back. */
export function heldBack(step) {
  return Boolean(
    state.ask && step.question && state.edits.length === 0 && !state.seen.has(seenKey()),
  );
}

const verdicts = new Map();

/** Return the box of a step's question: with choices, or with the answer once it was given. */
export function predictBox(step) {
  if (!step.question || state.edits.length) return null;
  const { text, choices, answer } = step.question;
  const key = seenKey();
  if (!heldBack(step)) {
    const said = verdicts.get(key);
    if (said === undefined) return null;
    const right = said === answer;
    return h(
      "section",
      { class: right ? "predict right" : "predict wrong", "aria-label": "your prediction" },
      h("p", {}, h("b", {}, right ? "Right. " : "Not this time. "), text),
      h("p", {}, `You said: ${choices[said]}. The numbers say: ${choices[answer]}.`),
    );
  }
  const name = "prediction";
  const options = choices.map((choice, k) =>
    h(
      "label",
      {},
      h("input", { type: "radio", name, value: String(k), required: true }),
      h("bdi", {}, choice),
    ),
  );
  const form = h(
    "form",
    { class: "predict", on: { submit: (event) => answered(event, key, answer) } },
    h("fieldset", {}, h("legend", {}, "Before you look: ", text), options),
    h(
      "p",
      { class: "choices" },
      h("button", { type: "submit", class: "main" }, "Answer"),
      h("button", { type: "button", on: { click: () => reveal(key) } }, "Skip, show the numbers"),
      h(
        "button",
        { type: "button", class: "quiet", on: { click: () => change({ ask: false }) } },
        "No more questions",
      ),
    ),
  );
  return form;
}

function answered(event, key, answer) {
  event.preventDefault();
  const said = Number(new FormData(event.target).get("prediction"));
  verdicts.set(key, said);
  reveal(key);
  announce(
    said === answer ? "Right. The numbers are shown." : "Not this time. The numbers are shown.",
  );
}

function reveal(key) {
  change({ seen: new Set([...state.seen, key]) });
}
