// The list of steps, and the position in it.

import { button, byId, h, put } from "./dom.js";
import { state } from "./state.js";
import { PHASES } from "./step.js";

/** Show the list of steps, grouped by phase and iteration. */
export function showStepList(trace, goTo) {
  const groups = [];
  trace.steps.forEach((step, index) => {
    const name =
      step.number && step.kind.startsWith("routing.")
        ? `${PHASES[step.phase]}: iteration ${step.number}`
        : PHASES[step.phase];
    if (groups.at(-1)?.name !== name) groups.push({ name, steps: [] });
    groups.at(-1).steps.push({ step, index });
  });
  put(
    byId("step-list"),
    groups.map(({ name, steps }) => [
      h("h3", name),
      h(
        "ol",
        { start: steps[0].index + 1 },
        steps.map(({ step, index }) => h("li", entry(trace, step, index, goTo))),
      ),
    ]),
  );
}

function entry(trace, step, index, goTo) {
  const edited = step.outputs.some((tensor) => trace.touched?.has(tensor.name));
  return button(
    [
      h("span.number", String(index + 1)),
      h("span.short", step.title),
      edited && h("span.mark", "edited"),
    ],
    () => goTo(step.id),
    { "data-step": step.id, "aria-current": step.id === state.step ? "step" : undefined },
  );
}

/** Show the position in the list, the slider and the counter. */
export function showPosition(trace, index) {
  for (const button of byId("step-list").querySelectorAll("button[data-step]")) {
    const current = button.dataset.step === trace.steps[index].id;
    button.ariaCurrent = current ? "step" : null;
    if (current && button.offsetParent) scrollIntoList(button);
  }
  const slider = byId("slider");
  slider.max = trace.steps.length;
  slider.value = index + 1;
  slider.setAttribute("aria-valuetext", `step ${index + 1}: ${trace.steps[index].title}`);
  byId("count").textContent = `${index + 1} / ${trace.steps.length}`;
  byId("previous").disabled = index === 0;
  byId("next").disabled = index === trace.steps.length - 1;
}

/** Scroll the list, not the page, to the button. */
function scrollIntoList(button) {
  const list = byId("step-list");
  const [box, target] = [list.getBoundingClientRect(), button.getBoundingClientRect()];
  if (target.top < box.top || target.bottom > box.bottom)
    list.scrollTop += target.top - box.top - box.height / 3;
}
