// The other views. Each is drawn from the extras when it is opened.

import { byId, put } from "./dom.js";
import { sources } from "./data.js";
import { state } from "./state.js";

export const TABS = {};

/** Scroll a row of buttons sideways, and nothing else, so that one of them can be seen. */
function keepSeen(row, button) {
  const [box, own] = [row.getBoundingClientRect(), button.getBoundingClientRect()];
  if (own.left < box.left || own.right > box.right) row.scrollLeft += own.left - box.left - 24;
}

/** Show the view of the moment: the steps, or one of the tabs. */
export function showTab(trace, recorded, goTo) {
  const steps = state.view === "steps" || !(state.view in TABS);
  byId("columns").hidden = !steps;
  byId("tab").hidden = steps;
  for (const button of document.querySelectorAll("#views button")) {
    const here = button.dataset.view === (steps ? "steps" : state.view);
    if (here) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
    if (here) keepSeen(byId("views"), button);
  }
  if (steps) put(byId("tab"));
  else
    put(
      byId("tab"),
      TABS[state.view]({ trace, recorded, goTo, extras: sources.extras[state.user] ?? {} }),
    );
}
