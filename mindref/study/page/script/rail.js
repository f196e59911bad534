// The list of steps and the ways to walk it.

import { byId, h, put } from "./dom.js";
import { state } from "./state.js";
import { PHASES } from "./step.js";

/** Show the list of steps, grouped by phase and by round. */
export function showRail(trace, goTo) {
  const groups = [];
  trace.steps.forEach((step, at) => {
    const name =
      step.turn && step.kind.startsWith("routing.")
        ? `${PHASES[step.phase]}: round ${step.turn}`
        : PHASES[step.phase];
    if (groups.at(-1)?.name !== name) groups.push({ name, steps: [] });
    groups.at(-1).steps.push({ step, at });
  });
  put(
    byId("rail"),
    groups.map(({ name, steps }) => [
      h("h3", {}, name),
      h(
        "ol",
        { start: steps[0].at + 1 },
        steps.map(({ step, at }) => h("li", {}, entry(trace, step, at, goTo))),
      ),
    ]),
  );
}

function entry(trace, step, at, goTo) {
  const edited = step.outputs.some((tensor) => trace.touched?.has(tensor.name));
  return h(
    "button",
    {
      type: "button",
      "data-step": step.id,
      "aria-current": step.id === state.step ? "step" : undefined,
      on: { click: () => goTo(step.id) },
    },
    h("span", { class: "number" }, String(at + 1)),
    h("span", { class: "short" }, step.title),
    edited && h("span", { class: "mark" }, "edited"),
  );
}

/** Move the mark of the list, the slider and the text beside it. */
export function showPlace(trace, at) {
  for (const button of byId("rail").querySelectorAll("button[data-step]")) {
    const here = button.dataset.step === trace.steps[at].id;
    if (here) button.setAttribute("aria-current", "step");
    else button.removeAttribute("aria-current");
    if (here && button.offsetParent) keepInSight(button);
  }
  const slider = byId("slider");
  slider.max = trace.steps.length;
  slider.value = at + 1;
  slider.setAttribute("aria-valuetext", `step ${at + 1}: ${trace.steps[at].title}`);
  byId("count").textContent = `${at + 1} / ${trace.steps.length}`;
  byId("previous").disabled = at === 0;
  byId("next").disabled = at === trace.steps.length - 1;
}

/** Scroll the list, and nothing else, so that the button can be seen. */
function keepInSight(button) {
  const rail = byId("rail");
  const [box, own] = [rail.getBoundingClientRect(), button.getBoundingClientRect()];
  if (own.top < box.top || own.bottom > box.bottom)
    rail.scrollTop += own.top - box.top - box.height / 3;
}
