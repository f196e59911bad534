// Exercises: what to write oneself, and the command that checks it.

import { h } from "./dom.js";
import { TABS } from "./tabs.js";
import { plainTable } from "./views.js";

const STATUS = { passed: "✓ passed", begun: "begun", open: "open" };

TABS.exercises = ({ trace, extras, goTo }) => {
  const told = extras.exercises ?? named(trace);
  const rows = told.map((one) => {
    const step = trace.steps.find(
      (s) => s.kind === one.step || (s.exercises ?? []).includes(one.name),
    );
    const link = step
      ? h(
          "button",
          { type: "button", class: "quiet titled", on: { click: () => goTo(step.id) } },
          step.title,
        )
      : "";
    return [
      one.title ?? one.name,
      link,
      h("code", { class: "command" }, `mindref study --exercise ${one.name}`),
      STATUS[one.status] ?? "open",
    ];
  });
  return [
    h("h2", {}, "Exercises"),
    h(
      "p",
      { class: "why" },
      "Write the steps yourself. The checker says which number is wrong, and often which slip it is.",
    ),
    rows.length
      ? plainTable(
          "Exercises and the steps they belong to",
          ["exercise", "step", "command", "status"],
          rows,
        )
      : h("p", {}, "List them with ", h("code", {}, "mindref study --exercises")),
  ];
};

/** Without a list in the file: the exercises that the steps name. */
function named(trace) {
  const names = [...new Set(trace.steps.flatMap((step) => step.exercises ?? []))];
  return names.map((name) => ({ name }));
}
