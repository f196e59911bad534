// Put it all together: load, check, show, listen.

import { check, showCheck } from "./check.js";
import { load, sources } from "./data.js";
import { announce, byId, h, put } from "./dom.js";
import { edited } from "./edits.js";
import { showEditor } from "./editor.js";
import { lightUp, showMarks } from "./equation.js";
import { showInspector } from "./inspector.js";
import { heldBack } from "./predict.js";
import { showPlace, showRail } from "./rail.js";
import { change, onChange, read, state } from "./state.js";
import { showStep } from "./step.js";
import { showTab, TABS } from "./tabs.js";
import { listen } from "./keys.js";

let known = { user: -1, edits: null, trace: null };

const recorded = () => sources.traces[state.user];

/** Return the trace under the edits of the moment, made once per change. */
function current() {
  if (known.user !== state.user || known.edits !== state.edits) {
    known = { user: state.user, edits: state.edits, trace: edited(recorded(), state.edits) };
  }
  return known.trace;
}

/** Return the step at hand; of a round that an edit took away, that of the last. */
function stepAtHand() {
  const trace = current();
  const bare = (id) => id.replace(/\[\d+\]/, "");
  return (
    trace.steps.find((step) => step.id === state.step) ??
    trace.steps.findLast((step) => bare(step.id) === bare(state.step)) ??
    trace.steps[0]
  );
}

/** Go to a step by its id; the chosen number follows into the next round. */
export function goTo(id) {
  const trace = current();
  const step = trace.steps.find((s) => s.id === id);
  if (!step) return;
  change({ step: id, view: "steps", symbol: null, cell: followed(trace, step) });
  announce(`Step ${trace.steps.indexOf(step) + 1} of ${trace.steps.length}: ${step.title}`);
}

function followed(trace, step) {
  if (!state.cell) return null;
  const bare = (name) => name.replace(/\[\d+\]$/, "");
  const size = trace.tensors.get(state.cell.name)?.data.length;
  const next = step.outputs.find(
    (tensor) => bare(tensor.name) === bare(state.cell.name) && tensor.data.length === size,
  );
  return next ? { name: next.name, at: state.cell.at } : null;
}

export function move(by) {
  const steps = current().steps;
  const next = steps[steps.indexOf(stepAtHand()) + by];
  if (next) goTo(next.id);
}

const all = new Set(["user", "edits", "step", "view", "cell", "symbol", "seen", "ask"]);

/** Draw what changed, and no more. */
function draw(changed) {
  const trace = current();
  const step = stepAtHand();
  const any = (...names) => names.some((name) => changed.has(name));
  if (any("view", "user", "edits")) showTab(trace, recorded(), goTo);
  if (any("user", "edits")) showRail(trace, goTo);
  if (any("user", "edits", "step", "seen", "ask")) {
    showStep(trace, recorded(), step);
    showPlace(trace, trace.steps.indexOf(step));
  } else if (any("cell")) {
    markCell();
  }
  if (any("user", "edits", "cell")) showEditor(trace, recorded());
  if (any("user", "edits", "cell", "step", "seen", "ask")) {
    const hidden =
      heldBack(step) && step.outputs.some((tensor) => tensor.name === state.cell?.name);
    if (hidden)
      put(
        byId("inspector"),
        h("h2", {}, "This number"),
        h("p", { class: "note" }, "Answer or skip the question first."),
      );
    else showInspector(trace, recorded(), step, goTo);
  }
  if (any("symbol", "cell", "step")) showMarks();
  if (any("user", "edits")) showCheck(check(recorded()), trace !== recorded());
  document.body.dataset.edited = String(state.edits.length > 0);
  byId("user").value = String(state.user);
  byId("ask").checked = state.ask;
}

function markCell() {
  for (const cell of document.querySelectorAll("#step td[data-at]")) {
    const name = cell.closest("figure").dataset.tensor;
    cell.setAttribute(
      "aria-selected",
      String(
        Boolean(
          state.cell && name === state.cell.name && Number(cell.dataset.at) === state.cell.at,
        ),
      ),
    );
  }
}

function header() {
  const options = sources.traces.map((trace, k) =>
    h(
      "option",
      { value: String(k) },
      `${trace.about.user}${trace.about.variant ? `, ${trace.about.variant}` : ""}`,
    ),
  );
  put(byId("user"), options);
  byId("user").addEventListener("change", (event) => {
    const user = Number(event.target.value);
    const same = sources.traces[user].steps.some((step) => step.id === state.step);
    change({
      user,
      edits: [],
      cell: null,
      symbol: null,
      step: same ? state.step : sources.traces[user].steps[0].id,
    });
    announce(`User ${sources.traces[user].about.user}`);
  });
  byId("slider").addEventListener("input", (event) =>
    goTo(current().steps[event.target.value - 1].id),
  );
  byId("ask").addEventListener("change", (event) => change({ ask: event.target.checked }));
  for (const button of document.querySelectorAll("#views button")) {
    button.addEventListener("click", () => {
      change({ view: button.dataset.view });
      announce(button.textContent);
    });
  }
}

/** Say whose numbers these are and how the user was chosen. */
function showAbout() {
  const { about } = recorded();
  const parts = [
    `Model: ${about.model}.`,
    `User ${about.user}, ${about.chosen}.`,
    `Target: ${about.target}.`,
  ];
  put(
    byId("about"),
    parts.map((part) => [h("bdi", {}, part), " "]),
  );
}

/** Go to the text of the view; as an address, the link would lead to the first step. */
function skip(event) {
  event.preventDefault();
  byId(byId("tab").hidden ? "step" : "tab").focus();
}

async function start() {
  document.querySelector("header").hidden = false; // without scripts it is of no use
  await load(byId("arrays").textContent, byId("content").textContent);
  header();
  onChange((changed) => {
    draw(changed);
    if (changed.has("user")) showAbout();
  });
  document.querySelector(".skip").addEventListener("click", skip);
  listen({ move, goTo, steps: () => current().steps, redraw: () => draw(all) });
  byId("columns").addEventListener("pointerover", lightUp);
  Object.assign(state, read());
  byId("rail-fold").open = !matchMedia("(max-width: 899.98px)").matches;
  showAbout();
  draw(all);
  document.body.dataset.ready = "true";
}

window.addEventListener("hashchange", () => {
  const wanted = read();
  if (!(wanted.view in TABS)) wanted.view = "steps";
  change(wanted);
});

start().catch((error) => {
  console.error(error);
  document.documentElement.dataset.selfcheck = "fail";
  byId("selfcheck").className = "fails";
  put(byId("selfcheck"), `This file is damaged and cannot be shown: ${error.message}`);
});
