// Exercises: the list, their steps, and the command that checks each.

import { button, h } from "./dom.js";
import { TABS } from "./tabs.js";
import { plainTable } from "./views.js";

const STATUS = { passed: "✓ passed", started: "started", open: "open" };

TABS.exercises = ({ trace, derived, goTo }) => {
  const exercises = derived.exercises ?? namedBySteps(trace);
  const rows = exercises.map((one) => {
    const step = trace.steps.find(
      (s) => s.kind === one.step || (s.exercises ?? []).includes(one.name),
    );
    const link = step ? button(step.title, () => goTo(step.id), { class: "quiet titled" }) : "";
    return [
      one.title ?? one.name,
      link,
      h("code.command", `mindref study --exercise ${one.name}`),
      STATUS[one.status] ?? "open",
    ];
  });
  return [
    h("h2", "Exercises"),
    h(
      "p.why",
      "Implement the steps yourself. The checker names the wrong number and often the mistake.",
    ),
    rows.length
      ? plainTable("Exercises and their steps", ["exercise", "step", "command", "status"], rows)
      : h("p", "To list the exercises: ", h("code", "mindref study --exercises")),
  ];
};

/** Return the exercises that the steps name; used if the file has no list. */
function namedBySteps(trace) {
  const names = [...new Set(trace.steps.flatMap((step) => step.exercises ?? []))];
  return names.map((name) => ({ name }));
}
