// The editor panel; every change is recomputed at once.

import { announce, button, byId, dataTable, h, put, section } from "./dom.js";
import { cellName, label } from "./explain.js";
import { five, unflat, allDigits } from "./numbers.js";
import { change, state } from "./state.js";
import { iterationsOf } from "./unroll.js";

const add = (edit, kind) => {
  const remaining = state.edits.filter((old) => !kind || !old.startsWith(`${kind}:`));
  change({ edits: [...remaining, edit] });
  announce("Edited. All dependent numbers were recomputed.");
};

/** Show the panel for a trace; `recorded` is the trace without edits. */
export function showEditor(trace, recorded) {
  const many = recorded.labels.interest?.length ?? 1;
  put(
    byId("editor"),
    h(
      "p.note",
      "The page recomputes every dependent number, forward and backward. One button restores the recorded numbers.",
    ),
    h(
      "div.fields",
      heldCell(trace),
      droppedFilm(recorded),
      number("iterations", "r", iterationsOf(trace), 1, 12, iterationsOf(recorded) < 2),
      number("interests at most", "K", many, 1, 12, !recorded.tensors.has("b[1]")),
      scaleOfS(recorded),
    ),
    summary(trace, recorded),
  );
}

function field(title, ...inside) {
  return h("fieldset", h("legend", title), inside);
}

/** Return a form that adds an edit when it is submitted. */
function form(title, input, make, note) {
  const send = (event) => {
    event.preventDefault();
    if (input.value !== "" && Number.isFinite(Number(input.value))) make(input.value);
  };
  return h(
    "form",
    { on: { submit: send } },
    field(title, input, h("button", { type: "submit" }, "Apply"), note && h("p.note", note)),
  );
}

function heldCell(trace) {
  const tensor = state.cell && trace.tensors.get(state.cell.name);
  if (!tensor || tensor.dtype === "int64")
    return field("Set a number to a constant", h("p.note", "Select a cell first."));
  const name = cellName(trace, tensor.name, unflat(tensor.shape, state.cell.index));
  const input = h("input", {
    type: "number",
    step: "any",
    value: allDigits(tensor.data[state.cell.index]),
    "aria-label": `new value of ${name}`,
  });
  return form(
    "Set a number to a constant",
    input,
    (value) => add(`set:${tensor.name}:${state.cell.index}:${value}`),
    h("bdi", name),
  );
}

function droppedFilm(trace) {
  const mask = trace.tensors.get("mask")?.data ?? [];
  const options = [...mask.keys()]
    .filter((k) => mask[k])
    .map((k) => h("option", { value: String(k) }, label(trace, "behaviour", k)));
  const input = h("select", { "aria-label": "film to leave out" }, options);
  return form("Leave out a film", input, (value) => add(`drop:${value}`));
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

function scaleOfS(trace) {
  if (!trace.tensors.has("S")) return null;
  const now = state.edits.find((edit) => edit.startsWith("S:"))?.split(":")[1] ?? "1";
  const output = h("output", `× ${now}`);
  const input = h("input", {
    type: "range",
    min: 0.1,
    max: 4,
    step: 0.1,
    value: now,
    "aria-label": "scale of the matrix S",
  });
  input.addEventListener("input", () => {
    output.textContent = `× ${input.value}`;
  });
  return form("Scale of S", input, (text) => add(`S:${text}`, "S"), output);
}

/** List the edits and their effect on the results. */
function summary(trace, recorded) {
  if (state.edits.length === 0) return null;
  const items = state.edits.map((edit, k) => {
    const name = { "aria-label": `undo ${edit}` };
    return h(
      "li",
      h("code", edit),
      " ",
      button("undo", () => undo(k), name),
    );
  });
  const rows = [
    ["loss", first(recorded, "loss"), first(trace, "loss")],
    ["number of interests, K′", active(recorded), active(trace)],
    ["entropy of the last coupling weights", entropy(recorded), entropy(trace)],
  ].filter(([, before, now]) => before !== undefined && now !== undefined);
  const cell = (x) => h("td", five(x));
  const caption = h("caption", "Effect of the edits");
  return section(
    "summary",
    "effect of the edits",
    h("ul.edits", items),
    dataTable("table", caption, ["", "recorded", "now"], rows, cell),
    button("Restore the recorded numbers", reset, { class: "main", id: "reset" }),
  );
}

function undo(k) {
  change({ edits: state.edits.filter((_, index) => index !== k) });
  announce("Undone. All dependent numbers were recomputed.");
}

/** Remove all edits. */
export function reset() {
  change({ edits: [] });
  announce("The recorded numbers are restored.");
}

const first = (trace, name) => trace.tensors.get(name)?.data[0];
const active = (trace) => trace.tensors.get("active")?.data.filter(Boolean).length;

/** Return the mean entropy over films of the last coupling weights, in nats. */
function entropy(trace) {
  const w = trace.tensors.get(`w[${iterationsOf(trace)}]`);
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
