// The panel where things are changed; every change is recomputed at once.

import { announce, byId, h, put } from "./dom.js";
import { cellName, label } from "./explain.js";
import { six, unflat, whole } from "./numbers.js";
import { change, state } from "./state.js";
import { roundsOf } from "./unroll.js";

const add = (edit, kind) => {
  const kept = state.edits.filter((old) => !kind || !old.startsWith(`${kind}:`));
  change({ edits: [...kept, edit] });
  announce("Edited. All that follows was computed again.");
};

/** Show the panel for a trace; `recorded` is the same without edits. */
export function showEditor(trace, recorded) {
  const many = recorded.labels.interest?.length ?? 1;
  put(
    byId("editor"),
    h(
      "p",
      { class: "note" },
      "Nothing here can break: the recorded numbers come back with one press. The page computes everything that follows, forwards and backwards, anew.",
    ),
    h(
      "div",
      { class: "fields" },
      held(trace),
      dropped(recorded),
      number("rounds", "R", roundsOf(trace), 1, 12, roundsOf(recorded) < 2),
      number("interests at most", "K", many, 1, 12, !recorded.tensors.has("b[1]")),
      scaled(recorded),
    ),
    summary(trace, recorded),
  );
}

function field(title, ...inside) {
  return h("fieldset", {}, h("legend", {}, title), inside);
}

/** A form whose number becomes an edit when it is sent. */
function form(title, input, make, note) {
  const send = (event) => {
    event.preventDefault();
    if (input.value !== "" && Number.isFinite(Number(input.value))) make(input.value);
  };
  return h(
    "form",
    { on: { submit: send } },
    field(
      title,
      input,
      h("button", { type: "submit" }, "Apply"),
      note && h("p", { class: "note" }, note),
    ),
  );
}

function held(trace) {
  const tensor = state.cell && trace.tensors.get(state.cell.name);
  if (!tensor || tensor.dtype === "int64")
    return field("Hold a number", h("p", { class: "note" }, "Choose a cell first."));
  const name = cellName(trace, tensor.name, unflat(tensor.shape, state.cell.at));
  const input = h("input", {
    type: "number",
    step: "any",
    value: whole(tensor.data[state.cell.at]),
    "aria-label": `new value of ${name}`,
  });
  return form(
    "Hold a number",
    input,
    (value) => add(`set:${tensor.name}:${state.cell.at}:${value}`),
    h("bdi", {}, name),
  );
}

function dropped(trace) {
  const mask = trace.tensors.get("mask")?.data ?? [];
  const options = [...mask.keys()]
    .filter((k) => mask[k])
    .map((k) => h("option", { value: String(k) }, label(trace, "behaviour", k)));
  const input = h("select", { "aria-label": "behaviour to leave out" }, options);
  return form("Leave out a behaviour", input, (value) => add(`drop:${value}`));
}

function number(title, kind, value, low, high, off) {
  if (off) return null;
  const now = state.edits.find((edit) => edit.startsWith(`${kind}:`))?.split(":")[1] ?? value;
  const input = h("input", {
    type: "number",
    min: low,
    max: high,
    step: 1,
    value: String(now),
    "aria-label": title,
  });
  return form(`Number of ${title}, ${kind}`, input, (text) =>
    add(`${kind}:${Math.min(high, Math.max(low, Math.round(text)))}`, kind),
  );
}

function scaled(trace) {
  if (!trace.tensors.has("S")) return null;
  const now = state.edits.find((edit) => edit.startsWith("S:"))?.split(":")[1] ?? "1";
  const shown = h("output", {}, `× ${now}`);
  const input = h("input", {
    type: "range",
    min: 0.1,
    max: 4,
    step: 0.1,
    value: now,
    "aria-label": "scale of the bilinear map S",
  });
  input.addEventListener("input", () => {
    shown.textContent = `× ${input.value}`;
  });
  return form("Scale of S", input, (text) => add(`S:${text}`, "S"), shown);
}

/** List the edits and what they did to the results. */
function summary(trace, recorded) {
  if (state.edits.length === 0) return null;
  const items = state.edits.map((edit, k) =>
    h(
      "li",
      {},
      h("code", {}, edit),
      " ",
      h(
        "button",
        {
          type: "button",
          "aria-label": `undo ${edit}`,
          on: { click: () => undo(k) },
        },
        "undo",
      ),
    ),
  );
  const rows = [
    ["loss", first(recorded, "loss"), first(trace, "loss")],
    ["number of interests, K′", active(recorded), active(trace)],
    ["entropy of the last weights", entropy(recorded), entropy(trace)],
  ].filter(([, before, now]) => before !== undefined && now !== undefined);
  return h(
    "section",
    { class: "summary", "aria-label": "what the edits did" },
    h("ul", { class: "edits" }, items),
    h(
      "table",
      {},
      h("caption", {}, "What the edits did"),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("td", {}),
          h("th", { scope: "col" }, "recorded"),
          h("th", { scope: "col" }, "now"),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map(([name, before, now]) =>
          h(
            "tr",
            {},
            h("th", { scope: "row" }, name),
            h("td", {}, six(before)),
            h("td", {}, six(now)),
          ),
        ),
      ),
    ),
    h(
      "button",
      { type: "button", class: "main", id: "reset", on: { click: reset } },
      "Back to the recorded numbers",
    ),
  );
}

function undo(k) {
  change({ edits: state.edits.filter((_, at) => at !== k) });
  announce("Undone. All that follows was computed again.");
}

/** Take all edits back. */
export function reset() {
  change({ edits: [] });
  announce("The recorded numbers are back.");
}

const first = (trace, name) => trace.tensors.get(name)?.data[0];
const active = (trace) => trace.tensors.get("active")?.data.filter(Boolean).length;

/** Return the mean entropy over behaviours of the weights of the last round, in nats. */
function entropy(trace) {
  const w = trace.tensors.get(`w[${roundsOf(trace)}]`);
  if (!w || w.shape.length !== 2) return undefined;
  const [rows, width] = w.shape;
  let total = 0;
  let used = 0;
  for (let i = 0; i < rows; i += 1) {
    const row = w.data.slice(i * width, (i + 1) * width);
    if (row.some((x) => x > 0)) used += 1;
    for (const x of row) if (x > 0) total -= x * Math.log(x);
  }
  return used ? total / used : undefined;
}
