// The views beside the steps; each is drawn when it is opened.

import { byId, h, put } from "./dom.js";
import { sources } from "./data.js";
import { state } from "./state.js";

export const TABS = Object.create(null); // an address can name no inherited property

/** By view: what the keys for the next (1) and the previous (-1) step do in this view. */
export const MOVES = Object.create(null);

const LIVE = new Set(["replay", "exercises"]); // drawn from the edited numbers

/** Return a note that a view shows recorded numbers. */
const unedited = () =>
  h(
    "p.badge",
    "This view shows the recorded numbers, without your edits. Press r to remove the edits.",
  );

/** Scroll a row of buttons, not the page, to one button. */
function scrollIntoRow(row, button) {
  const [box, target] = [row.getBoundingClientRect(), button.getBoundingClientRect()];
  if (target.left < box.left || target.right > box.right)
    row.scrollLeft += target.left - box.left - 24;
}

/** Show the current view: the steps, or another tab. */
export function showTab(trace, recorded, goTo) {
  const steps = state.view === "steps" || !(state.view in TABS);
  byId("columns").hidden = !steps;
  byId("walk").hidden = !steps;
  byId("tab").hidden = steps;
  for (const button of document.querySelectorAll("#views button")) {
    const current = button.dataset.view === (steps ? "steps" : state.view);
    button.ariaCurrent = current ? "page" : null;
    if (current) scrollIntoRow(byId("views"), button);
  }
  if (steps) put(byId("tab"));
  else {
    const live = LIVE.has(state.view);
    const derived = sources.derived[state.user] ?? {};
    const view = { trace: live ? trace : recorded, goTo, derived };
    const stale = !live && trace !== recorded;
    put(byId("tab"), stale && unedited(), TABS[state.view](view));
  }
}
