// A tensor as a table: titles at the rows, digits in every cell, colour beside them.

import { h, titled, unseen } from "./dom.js";
import { label } from "./explain.js";
import { printer, six, unflat, whole } from "./numbers.js";
import { hue, meaning, PLACES_OF, shader } from "./quantities.js";
import { change, state } from "./state.js";
import { foot, overColumns, sumCells, sumsNote } from "./witness.js";

const [ROWS, COLUMNS, CELLS] = [50, 64, 1600]; // of one leaf of a large table, at the most
const UPRIGHT = new Set(["width", "interest", "layer"]); // one axis of these lies along a row

/** Return how a tensor is laid out: its rows and columns as lists of cells' leading places. */
function layout(tensor) {
  const { shape, axes } = tensor;
  if (shape.length === 0) return { rows: [[]], columns: 1, rowAxes: [], columnAxis: null };
  if (shape.length === 1 && !UPRIGHT.has(axes[0])) {
    return { rows: range(shape[0]).map((k) => [k]), columns: 1, rowAxes: axes, columnAxis: null };
  }
  const lead = shape.slice(0, -1);
  const count = lead.reduce((a, b) => a * b, 1);
  return {
    rows: range(count).map((at) => unflat(lead, at)),
    columns: shape[shape.length - 1],
    rowAxes: axes.slice(0, -1),
    columnAxis: axes[axes.length - 1],
  };
}

/** Return whether a row is a behaviour and no padding; others always are. */
function present(trace, { rows, rowAxes }) {
  const mask = trace.tensors.get("mask")?.data;
  const padded = rowAxes[0] === "behaviour" && rowAxes.length === 1 && mask?.length === rows.length;
  return padded ? ([i]) => mask[i] : () => true;
}

const range = (n) => Array.from({ length: n }, (_, k) => k);

/** Return the figure of a tensor.
 *
 * `recorded` is what it was, `still` one that cannot be inspected; a large tensor shows one leaf,
 * first the one with the chosen cell.
 */
export function tensorFigure(trace, tensor, { symbol, recorded, still = false, leaf } = {}) {
  const plan = layout(tensor);
  if (still) plan.rows = plan.rows.filter(present(trace, plan));
  const open = leaf ?? chosenLeaf(tensor, plan);
  const high = leafHeight(plan);
  const rows = plan.rows.slice(open.page * high, (open.page + 1) * high);
  const first = open.aside * COLUMNS;
  const columns = range(Math.min(COLUMNS, plan.columns - first)).map((k) => k + first);
  const edited = !still && recorded !== undefined && recorded !== tensor;
  const figure = h("figure", {
    class: tensor.shape.length ? "tensor" : "tensor scalar",
    "data-tensor": tensor.name,
    colour: hue(tensor.name),
  });
  const turn = (where) => {
    const next = { symbol, recorded, still, leaf: { ...open, ...where } };
    figure.replaceWith(tensorFigure(trace, tensor, next));
  };
  const before = edited ? recorded : null;
  const empty = tensor.shape.some((n) => n === 0);
  figure.append(
    caption(tensor, edited, symbol),
    empty
      ? h("p", { class: "note" }, "Nothing here: one of the axes is empty.")
      : scroller(tensor, grid(trace, tensor, plan, { rows, columns, symbol, before, still })),
    ...leaves(plan, open, turn),
  );
  if (tensor.recipe.op === "softmax") figure.append(sumsNote(tensor));
  return figure;
}

/** Return how many rows a leaf has: fewer of a wide table, so that it appears at once. */
function leafHeight(plan) {
  return Math.max(10, Math.min(ROWS, Math.floor(CELLS / Math.min(plan.columns, COLUMNS))));
}

function chosenLeaf(tensor, plan) {
  if (state.cell?.name !== tensor.name) return { page: 0, aside: 0 };
  const row = Math.floor(state.cell.at / plan.columns);
  const column = state.cell.at % plan.columns;
  return { page: Math.floor(row / leafHeight(plan)), aside: Math.floor(column / COLUMNS) };
}

function caption(tensor, edited, symbol) {
  const shape = tensor.shape.length
    ? `${tensor.axes.join(" × ")}, ${tensor.shape.join(" × ")}`
    : "one number";
  return h(
    "figcaption",
    {},
    h("span", { class: "name", "data-symbol": symbol }, tensor.name),
    h("span", { class: "meaning" }, meaning(tensor.name)),
    h("span", { class: "shape" }, `${shape}, ${tensor.dtype}`),
    edited && h("strong", { class: "badge" }, "edited"),
  );
}

function scroller(tensor, table) {
  const name = `${tensor.name}, scrolls sideways where it is wide`;
  return h("div", { class: "scroll", role: "region", "aria-label": name, tabindex: 0 }, table);
}

function grid(trace, tensor, plan, { rows, columns, symbol, before, still }) {
  const print = printer(tensor);
  const shade = shader(tensor.name);
  const places = PLACES_OF[tensor.name];
  const named = places && ((x) => label(trace, places, x));
  const top = tensor.data.reduce((a, x) => (Number.isFinite(x) ? Math.max(a, Math.abs(x)) : a), 0);
  const marks = largest(tensor, plan);
  const dropped = (k) => state.edits.includes(`drop:${k}`);
  const leftOut = (axis, k) =>
    plan.rowAxes[axis] === "behaviour" && dropped(k) && h("span", { class: "idle" }, "left out");
  const softmax = tensor.recipe.op === "softmax";
  const across = softmax && overColumns(tensor) && sumCells(tensor);
  const table = h("table", { role: "grid", class: tensor.dtype === "bool" ? "flags" : "numbers" });
  table.append(
    h(
      "caption",
      { class: "unseen" },
      `${tensor.name}: ${meaning(tensor.name)}; ${tensor.axes.join(" by ") || "one number"}`,
    ),
  );
  if (plan.columnAxis) table.append(head(trace, plan, columns, across));
  const body = h("tbody");
  for (const row of rows) {
    const line = h(
      "tr",
      {},
      ...row.map((k, axis) =>
        h("th", { scope: "row" }, titled(label(trace, plan.rowAxes[axis], k)), leftOut(axis, k)),
      ),
    );
    if (row.length === 0) line.append(h("th", { scope: "row" }, tensor.name));
    for (const k of columns) {
      const cell = plan.columnAxis ? [...row, k] : row;
      const at = cell.reduce((n, place, axis) => n * tensor.shape[axis] + place, 0);
      line.append(
        cellOf(tensor, at, {
          print,
          shade,
          top,
          symbol,
          marked: marks.has(at),
          recorded: before,
          named,
        }),
      );
    }
    if (across) line.append(across[row[0]]);
    body.append(line);
  }
  table.append(body);
  if (softmax && tensor.shape.length === 2) table.append(foot(tensor, plan, columns, across));
  if (!still) inspectable(table, tensor);
  rove(table);
  return table;
}

function head(trace, plan, columns, across) {
  const corner = plan.rowAxes.length
    ? plan.rowAxes.map((axis) => h("th", { scope: "col" }, axis))
    : h("td", {}, "");
  const active = plan.columnAxis === "interest" ? trace.tensors.get("active")?.data : undefined;
  const idle = (k) => active && !active[k] && h("span", { class: "idle" }, "inactive");
  const names = columns.map((k) =>
    h("th", { scope: "col" }, titled(label(trace, plan.columnAxis, k)), idle(k)),
  );
  return h(
    "thead",
    {},
    h(
      "tr",
      {},
      corner,
      names,
      across && h("th", { scope: "col", class: "sum" }, `sum over ${plan.columnAxis}s`),
    ),
  );
}

function cellOf(tensor, at, { print, shade, top, symbol, marked, recorded, named }) {
  const x = tensor.data[at];
  const sized = tensor.dtype !== "int64" && tensor.data.length > 1; // ids are no sizes
  const share = sized && top > 0 && Number.isFinite(x) ? Math.abs(x) / top : 0;
  const colours = shade(share, x < 0);
  const chosen = state.cell && state.cell.name === tensor.name && state.cell.at === at;
  const moved = recorded && recorded.data[at] !== x;
  const cell = h(
    "td",
    {
      "data-value": whole(x),
      "data-at": at,
      "data-symbol": symbol,
      tabindex: -1,
      "aria-selected": chosen ? "true" : "false",
    },
    print(x),
    named && h("span", { class: "what" }, titled(named(x))),
    marked && h("span", { class: "most", "aria-hidden": "true" }, "▲"),
    marked && unseen(" largest"),
    moved && h("span", { class: "moved", title: `recorded: ${six(recorded.data[at])}` }, "•"),
    moved && unseen(" changed by your edit"),
  );
  cell.style.backgroundColor = colours.ground;
  cell.style.color = colours.text;
  return cell;
}

/** Return the flat places to mark: the largest of each row over interests, else the largest of all. */
function largest(tensor, plan) {
  const count = tensor.data.length;
  if (count < 2 || tensor.dtype === "bool" || tensor.dtype === "int64") return new Set();
  const perRow = plan.columnAxis === "interest" && plan.rowAxes.length === 1;
  const width = perRow ? plan.columns : count;
  const found = new Set();
  for (let from = 0; from < count; from += width) {
    let best = from;
    const size = (at) => (perRow ? tensor.data[at] : Math.abs(tensor.data[at]));
    for (let at = from; at < from + width; at += 1) if (size(at) > size(best)) best = at;
    if (size(best) !== 0) found.add(best);
  }
  return found;
}

function leaves(plan, open, turn) {
  const kinds = [
    ["rows", "page", leafHeight(plan), plan.rows.length],
    ["columns", "aside", COLUMNS, plan.columns],
  ];
  return kinds
    .filter(([, , size, count]) => count > size)
    .map(([what, key, size, count]) => {
      const at = open[key];
      const text = `${what} ${at * size + 1} to ${Math.min(count, (at + 1) * size)} of ${count}`;
      const button = (name, to, disabled) =>
        h("button", { type: "button", disabled, on: { click: () => turn({ [key]: to }) } }, name);
      return h(
        "p",
        { class: "leaves" },
        button(`earlier ${what}`, at - 1, at === 0),
        ` ${text} `,
        button(`later ${what}`, at + 1, (at + 1) * size >= count),
      );
    });
}

/** Let a click or Enter on a cell show it in the inspector. */
function inspectable(table, tensor) {
  const inspect = (event) => {
    const cell = event.target.closest("td[data-at]");
    if (!cell || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    change({ cell: { name: tensor.name, at: Number(cell.dataset.at) } });
  };
  table.addEventListener("click", inspect);
  table.addEventListener("keydown", inspect);
}

/** Let arrow keys walk the cells; one cell at a time is reached by Tab. */
function rove(table) {
  const cells = [...table.querySelectorAll("td[data-at]")];
  const entry = cells.find((cell) => cell.getAttribute("aria-selected") === "true") ?? cells[0];
  if (entry) entry.tabIndex = 0;
  table.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[
      event.key
    ];
    const cell = event.target.closest("td[data-at]");
    if (!by || !cell) return;
    event.preventDefault();
    event.stopPropagation();
    const line = table.rows[cell.parentElement.rowIndex + by[0]];
    const next = line?.cells[cell.cellIndex + by[1]];
    if (!next?.dataset.at) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
