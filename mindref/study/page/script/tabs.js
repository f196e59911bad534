// The other views. Each is drawn from the extras when it is opened.

import { byId, h, put } from "./dom.js";
import { sources } from "./data.js";
import { state } from "./state.js";

export const TABS = Object.create(null); // no name of the address finds anything else

const LIVE = new Set(["replay", "map", "exercises"]); // drawn from the numbers at hand
const GRADIENTS = new Set(["ledger", "curve"]); // recorded: hidden beside edited numbers

/** Say that a view shows what the file holds, and no edits. */
const unedited = () =>
  h(
    "p",
    { class: "badge" },
    "This view is of the recorded numbers: your edits do not reach it. Press r to take them back.",
  );

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
  else {
    const live = LIVE.has(state.view);
    const extras = sources.extras[state.user] ?? {};
    const shown = { trace: live ? trace : recorded, goTo, extras };
    const stale = !live && trace !== recorded;
    const hidden = stale && GRADIENTS.has(state.view);
    put(byId("tab"), stale && unedited(), hidden ? null : TABS[state.view](shown));
  }
}
