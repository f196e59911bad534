// Entry point: loads the data, checks it, draws the page, adds the listeners.

import { check, showCheck } from "./self_check.js";
import { load, sources } from "./data.js";
import { announce, byId, h, put } from "./dom.js";
import { edited } from "./edits.js";
import { showEditor } from "./editor.js";
import { highlight, showMarks } from "./equation.js";
import { showInspector } from "./inspector.js";
import { defineColours } from "./interest_colours.js";
import { pictureChanged, pictureOf } from "./overview.js";
import { numbersHidden } from "./prediction.js";
import { markFlow, showFlow } from "./flow.js";
import { showPosition, showStepList } from "./step_list.js";
import { change, onChange, read, state } from "./state.js";
import { showStep } from "./step.js";
import { MOVES, showTab, TABS } from "./tabs.js";
import { listen } from "./keys.js";

let cached = { user: -1, edits: null, trace: null };

const recorded = () => sources.traces[state.user];

/** Return the trace with the current edits, computed once per change. */
function current() {
  if (cached.user !== state.user || cached.edits !== state.edits) {
    cached = { user: state.user, edits: state.edits, trace: edited(recorded(), state.edits) };
  }
  return cached.trace;
}

/** Return the current step; if an edit removed its iteration, the step of the last iteration. */
function currentStep() {
  const trace = current();
  const bare = (id) => id.replace(/\[\d+\]/, "");
  return (
    trace.steps.find((step) => step.id === state.step) ??
    trace.steps.findLast((step) => bare(step.id) === bare(state.step)) ??
    trace.steps[0]
  );
}

/** Go to a step by its id; the selected cell moves to the same tensor of that iteration. */
export function goTo(id) {
  const trace = current();
  const step = trace.steps.find((s) => s.id === id);
  if (!step) return;
  change({ step: id, view: "steps", symbol: null, cell: sameCell(trace, step) });
  announce(`Step ${trace.steps.indexOf(step) + 1} of ${trace.steps.length}: ${step.title}`);
}

function sameCell(trace, step) {
  if (!state.cell) return null;
  const bare = (name) => name.replace(/\[\d+\]$/, "");
  const size = trace.tensors.get(state.cell.name)?.data.length;
  const next = step.outputs.find(
    (tensor) => bare(tensor.name) === bare(state.cell.name) && tensor.data.length === size,
  );
  return next ? { name: next.name, index: state.cell.index } : null;
}

export function move(by) {
  if (MOVES[state.view]) {
    MOVES[state.view](by);
    return;
  }
  const steps = current().steps;
  const index = steps.indexOf(currentStep()) + by;
  const next = Number.isFinite(by) ? steps[index] : steps.at(by < 0 ? 0 : -1);
  if (next) goTo(next.id);
}

const all = new Set(["user", "edits", "step", "view", "cell", "symbol", "seen", "ask"]);

/** Redraw the parts that changed. */
function draw(changed) {
  const trace = current();
  const step = currentStep();
  const any = (...names) => names.some((name) => changed.has(name));
  const pictureMoved = any("picture") && state.view === "overview" && pictureChanged();
  if (any("view", "user", "edits") || pictureMoved) showTab(trace, recorded(), goTo);
  if (any("user", "edits")) {
    showStepList(trace, goTo);
    showFlow(trace, goTo);
  }
  if (any("user", "edits", "step", "seen", "ask")) {
    showStep(trace, recorded(), step);
    showPosition(trace, trace.steps.indexOf(step));
    markFlow(trace, step);
  } else if (any("cell")) {
    markCell();
  }
  if (any("user", "edits", "cell")) showEditor(trace, recorded());
  if (any("user", "edits", "cell", "step", "seen", "ask")) {
    const hidden =
      numbersHidden(step) && step.outputs.some((tensor) => tensor.name === state.cell?.name);
    const note = h("p.note", "Answer or skip the question first.");
    if (hidden) put(byId("inspector"), h("h2", "Selected number"), note);
    else showInspector(trace, recorded(), step, goTo);
  }
  if (any("symbol", "cell", "step")) showMarks();
  if (any("user", "edits")) showCheck(check(recorded()), trace !== recorded());
  document.body.dataset.edited = String(state.edits.length > 0);
  document.body.dataset.selected = String(state.cell !== null);
  byId("user").value = String(state.user);
  byId("ask").checked = state.ask;
}

const narrow = matchMedia("(max-width: 899.98px)");

/** Mark the selected cell; on a narrow screen, scroll it above the sheet with its terms. */
function markCell() {
  const { name, index } = state.cell ?? {};
  for (const cell of document.querySelectorAll("#step td[data-index]")) {
    const same = cell.closest("figure").dataset.tensor === name;
    const selected = same && Number(cell.dataset.index) === index;
    cell.ariaSelected = String(selected);
    if (selected && narrow.matches) setTimeout(() => cell.scrollIntoView({ block: "nearest" }));
  }
}

function header() {
  const options = sources.traces.map(({ metadata: { user, variant } }, k) => {
    const name = sources.derived[k]?.menu ?? user;
    return h("option", { value: String(k) }, [name, variant].filter(Boolean).join(", "));
  });
  put(byId("user"), options);
  byId("user-pick").hidden = options.length === 1;
  byId("user").addEventListener("change", (event) => {
    const user = Number(event.target.value);
    const same = sources.traces[user].steps.some((step) => step.id === state.step);
    const step = same ? state.step : sources.traces[user].steps[0].id;
    change({ user, edits: [], cell: null, symbol: null, step, picture: pictureOf(user) });
    announce(`User ${sources.traces[user].metadata.user}`);
  });
  byId("slider").addEventListener("input", (event) =>
    goTo(current().steps[event.target.value - 1].id),
  );
  byId("side-close").addEventListener("click", closeSide);
  byId("badge").addEventListener("click", () => {
    byId("selfcheck").querySelector("details").open = true;
    byId("selfcheck").scrollIntoView({ block: "end" });
  });
  byId("ask").addEventListener("change", (event) => change({ ask: event.target.checked }));
  for (const button of document.querySelectorAll("#views button")) {
    button.addEventListener("click", () => {
      change({ view: button.dataset.view });
      announce(button.textContent);
    });
  }
}

/** Close the sheet with the selected number; the focus returns to the cell. */
function closeSide() {
  const cell = document.querySelector("#step td[aria-selected=true]");
  change({ cell: null });
  cell?.focus();
}

/** Show the model, the user and the target, and how the user was chosen. */
function showAbout() {
  const { model, user, chosen, target } = recorded().metadata;
  const parts = [`Model: ${model}.`, `User ${user}, ${chosen}.`, `Target: ${target}.`];
  put(byId("about"), ...parts.flatMap((part) => [h("bdi", part), " "]));
}

/** Move the focus to the view; following the link would reset the address. */
function skip(event) {
  event.preventDefault();
  byId(byId("tab").hidden ? "step" : "tab").focus();
}

async function start() {
  // hidden without scripts
  for (const part of ["header", "footer"]) document.querySelector(part).hidden = false;
  defineColours();
  await load(byId("arrays").textContent, byId("content").textContent);
  header();
  onChange((changed) => {
    draw(changed);
    if (changed.has("user")) showAbout();
  });
  document.querySelector(".skip").addEventListener("click", skip);
  listen({ move, redraw: () => draw(all) });
  byId("columns").addEventListener("pointerover", highlight);
  Object.assign(state, read());
  byId("step-list-fold").open = !narrow.matches;
  showAbout();
  draw(all);
  document.body.dataset.ready = "true";
}

window.addEventListener("hashchange", () => {
  const target = read();
  if (!(target.view in TABS)) target.view = "steps";
  change(target);
});

start().catch((error) => {
  console.error(error);
  document.documentElement.dataset.selfcheck = "fail";
  byId("selfcheck").className = "fails";
  byId("alarm").append(byId("selfcheck"));
  put(byId("selfcheck"), `This file is damaged: ${error.message}`);
});
