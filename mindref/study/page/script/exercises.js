// Exercises: statement, signature, starter and commands of each; those of the current step first.

import { announce, button, h, prose } from "./dom.js";
import { state } from "./state.js";
import { TABS } from "./tabs.js";

const STATUS = { passed: "✓ passed", started: "started", open: "" };

TABS.exercises = ({ trace, derived, goTo }) => {
  const exercises = (derived.exercises ?? namedBySteps(trace)).map((one, k) => ({
    ...one,
    number: k + 1,
  }));
  const step = trace.steps.find(({ id }) => id === state.step) ?? trace.steps[0];
  const here = exercises.filter((one) => belongs(one, step));
  const others = exercises.filter((one) => !belongs(one, step));
  const fold = (open) => (one) => exerciseFold(one, trace, goTo, open);
  return [
    h("h2", "Exercises"),
    h("p.why", "Write the steps yourself. The check names the wrong number and often the mistake."),
    here.length > 0 && [h("h3", `This step: ${step.title}`), here.map(fold(true))],
    others.length > 0 && [h("h3", here.length ? "Other steps" : "All steps"), others.map(fold(false))],
    !exercises.length && h("p", "To list the exercises: ", h("code", "mindref study --exercises")),
  ];
};

/** Return whether an exercise computes a part of a step. */
const belongs = (one, step) =>
  (one.steps ?? []).includes(step.kind) || (step.exercises ?? []).includes(one.name);

/** Return the exercises that the steps name; used if the file has no list. */
function namedBySteps(trace) {
  const names = [...new Set(trace.steps.flatMap((step) => step.exercises ?? []))];
  return names.map((name) => ({ name }));
}

/** Return one exercise: its title, and below it the texts and commands. */
function exerciseFold(one, trace, goTo, open) {
  const step = trace.steps.find((s) => belongs(one, s));
  const command = `mindref study --exercise ${one.name}`;
  const status = STATUS[one.status] ?? "";
  const body = h(
    "div.exercise-body",
    (one.statement ?? "").split("\n\n").filter(Boolean).map(block),
    one.call && [h("h4", "Write"), code(one.call, "call of the function")],
    definitions("Arguments", one.arguments),
    definitions("Returns", one.returns),
    definitions("Symbols", one.symbols),
    h("h4", "Commands"),
    copyLine("start", command),
    copyLine("check", `${command} --check`),
    one.starter && [
      h("h4", "Starter"),
      code(one.starter, `starter of ${one.name}`),
      copyButton("Copy the starter", one.starter),
    ],
    step && h("p", button(`Go to the step: ${step.title}`, () => goTo(step.id), { class: "quiet" })),
  );
  return h(
    "details.exercise",
    { "data-exercise": one.name, open },
    h("summary", `${one.number}. ${one.title ?? one.name}`, status && h("span.note", ` ${status}`)),
    body,
  );
}

/** Return code in a box that scrolls sideways, also by keyboard. */
const code = (text, label) =>
  h("pre.framed", { tabindex: 0, role: "group", "aria-label": label }, text);

/** Return a paragraph, or an indented block as code. */
const block = (text) =>
  text.startsWith(" ")
    ? code(text.replace(/^ {4}/gm, ""), "formula")
    : h("p", prose(text.replace(/\s+/g, " ")));

/** Return a list of names with their meanings. */
function definitions(title, rows = []) {
  if (!rows.length) return null;
  return [h("h4", title), h("dl.meanings", rows.map(([name, text]) => [h("dt", h("code", name)), h("dd", prose(text))]))];
}

/** Return a command and a button that copies it. */
const copyLine = (what, command) =>
  h("p.command-line", h("code.command", command), " ", copyButton("Copy", command, `Copy the command: ${what}`));

/** Return a button that copies a text, and says so. */
function copyButton(label, text, name = label) {
  const copy = async () => {
    const done = await writeClipboard(text);
    one.textContent = done ? "Copied" : "Not copied: select the text";
    announce(one.textContent);
    setTimeout(() => (one.textContent = label), 2000);
  };
  const one = button(label, copy, { class: "copy", "aria-label": name, "data-copy": text });
  return one;
}

/** Write a text to the clipboard; return whether it worked. Old browsers need a text area. */
async function writeClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h("textarea", { value: text, "aria-hidden": "true" });
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}
