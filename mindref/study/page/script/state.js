// The state of the page; it is kept in the address, so that a link restores it.

import { sources } from "./data.js";

export const state = {
  user: 0, // which trace
  step: "", // id of the step
  view: "overview", // which tab
  picture: "", // user, position and settings of the overview
  cell: null, // {name, index} in the inspector
  symbol: null, // the marked symbol
  variant: "", // the variant of the view "variants"
  edits: [], // in order
  seen: new Set(), // steps whose question was answered or skipped
  ask: true, // questions before results
};

// the edits that the editor writes; other texts in an address are ignored
const NUMBER = "-?(\\d+\\.?\\d*|\\.\\d+)(e[+-]?\\d+)?";
const EDIT = new RegExp(`^(set:[^:]+:\\d+:${NUMBER}|drop:\\d+|S:${NUMBER}|[rK]:([1-9]|1[0-2]))$`);

const listeners = [];

/** Add a listener that is called after every change. */
export function onChange(listener) {
  listeners.push(listener);
}

/** Change the state; listeners get the names of the changed fields. */
export function change(changes) {
  const names = Object.keys(changes).filter((name) => state[name] !== changes[name]);
  Object.assign(state, changes);
  if (names.length === 0) return;
  write();
  for (const listener of listeners) listener(new Set(names));
}

/** Return the key of the current step in `seen`. */
export const seenKey = () => `${state.user}/${state.step}`;

/** Write the state to the address without a new entry in the browser history. */
function write() {
  const parts = new URLSearchParams();
  if (state.user) parts.set("user", state.user);
  parts.set("step", state.step);
  if (state.view !== "steps") parts.set("view", state.view);
  if (state.cell) parts.set("cell", `${state.cell.name}@${state.cell.index}`);
  if (state.picture) parts.set("picture", state.picture);
  if (state.variant) parts.set("variant", state.variant);
  if (state.edits.length) parts.set("edits", state.edits.join(";"));
  if (state.seen.has(seenKey())) parts.set("seen", "1");
  if (!state.ask) parts.set("ask", "0");
  const hash = `#${parts}`;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

/** Return the state of the address; unknown values become the defaults. */
export function read() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const user = Number(parts.get("user") ?? 0);
  const trace = sources.traces[user] ?? sources.traces[0];
  const edits = (parts.get("edits") ?? "").split(";").filter((edit) => EDIT.test(edit));
  const step =
    trace.steps.some((s) => s.id === parts.get("step")) || edits.length ? parts.get("step") : null;
  const [name, index] = (parts.get("cell") ?? "").split("@");
  const toStep = parts.has("step") || parts.has("cell") || edits.length > 0;
  const out = {
    user: sources.traces[user] ? user : 0,
    step: step ?? trace.steps[0].id,
    view: parts.get("view") ?? (toStep ? "steps" : "overview"),
    picture: parts.get("picture") ?? "",
    variant: parts.get("variant") ?? "",
    cell:
      (trace.tensors.has(name) || edits.length) && /^\d+$/.test(index)
        ? { name, index: +index }
        : null,
    edits,
    ask: parts.get("ask") !== "0",
  };
  if (parts.get("seen")) out.seen = new Set([...state.seen, `${out.user}/${out.step}`]);
  return out;
}
