// A question before the result: the numbers of the step appear after an answer or a skip.

import { announce, button, h } from "./dom.js";
import { change, seenKey, state } from "./state.js";

/** Return whether the numbers of a step are hidden until its question is answered. */
export function numbersHidden(step) {
  return Boolean(
    state.ask && step.question && state.edits.length === 0 && !state.seen.has(seenKey()),
  );
}

const replies = new Map();

/** Return the question of a step with its choices, or with the answer after a choice. */
export function predictBox(step) {
  if (!step.question || state.edits.length) return null;
  const { text, choices, answer, because } = step.question;
  const key = seenKey();
  if (!numbersHidden(step)) {
    const reply = replies.get(key);
    if (reply === undefined) return null;
    const right = reply === answer;
    return h(
      "section",
      { class: right ? "predict right" : "predict wrong", "aria-label": "your prediction" },
      h("p", h("b", right ? "Right. " : "Wrong. "), text),
      h("p", right ? `Your answer: ${choices[reply]}.` : `Your answer: ${choices[reply]}. Correct answer: ${choices[answer]}.`),
      h("p.because", "Because: ", h("bdi", because)),
    );
  }
  const name = "prediction";
  const options = choices.map((choice, k) =>
    h(
      "label",
      h("input", { type: "radio", name, value: String(k), required: true }),
      h("bdi", choice),
    ),
  );
  const form = h(
    "form.predict",
    { on: { submit: (event) => answered(event, key, answer) } },
    h("fieldset", h("legend", "Predict the result: ", text), options),
    h(
      "p.choices",
      h("button", { type: "submit", class: "main" }, "Answer"),
      button("Skip and show the numbers", () => reveal(key)),
      button("Turn questions off", () => change({ ask: false }), { class: "quiet" }),
    ),
  );
  return form;
}

function answered(event, key, answer) {
  event.preventDefault();
  const reply = Number(new FormData(event.target).get("prediction"));
  replies.set(key, reply);
  reveal(key);
  announce(reply === answer ? "Right. The numbers are shown." : "Wrong. The numbers are shown.");
}

function reveal(key) {
  change({ seen: new Set([...state.seen, key]) });
}
