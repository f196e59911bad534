// A tensor as a table with titles, digits and colours.

import { button, h, marking, scroller, titled, unseen } from "./dom.js";
import { label } from "./explain.js";
import { allDigits, axisName, flat, printer, range, shapeText, five, unflat } from "./numbers.js";
import { hue, meaning, POSITIONS_OF, shader } from "./quantities.js";
import { change, state } from "./state.js";
import { foot, overColumns, sumCells, sumsNote } from "./softmax_sums.js";

const [ROWS, COLUMNS, CELLS] = [50, 64, 1600]; // limits of one page of a large table
const UPRIGHT = new Set(["width", "interest", "layer"]); // a vector along such an axis is a row

/** Return the layout of a tensor: the leading indices of its rows, and its columns. */
export function layout(tensor) {
  const { shape, axes } = tensor;
  if (shape.length === 0) return { rows: [[]], columns: 1, rowAxes: [], columnAxis: null };
  if (shape.length === 1 && !UPRIGHT.has(axes[0])) {
    return { rows: range(shape[0]).map((k) => [k]), columns: 1, rowAxes: axes, columnAxis: null };
  }
  const lead = shape.slice(0, -1);
  const count = lead.reduce((a, b) => a * b, 1);
  return {
    rows: range(count).map((index) => unflat(lead, index)),
    columns: shape[shape.length - 1],
    rowAxes: axes.slice(0, -1),
    columnAxis: axes[axes.length - 1],
  };
}

/** Return a test whether a row is not padding. */
function present(trace, { rows, rowAxes }) {
  const mask = trace.tensors.get("mask")?.data;
  const padded = rowAxes[0] === "behaviour" && rowAxes.length === 1 && mask?.length === rows.length;
  return padded ? ([i]) => mask[i] : () => true;
}

/** Return the figure of a tensor.
 *
 * `recorded` is the tensor without edits; a `readOnly` figure cannot be inspected; a large tensor
 * has pages, and the first displayed page has the selected cell. `only` are the numbers of the rows
 * of a part of the table; `bare` leaves out the caption and the sums.
 */
export function tensorFigure(
  trace,
  tensor,
  { symbol, recorded, readOnly = false, leaf, only, bare = false } = {},
) {
  const plan = layout(tensor);
  if (only) plan.rows = only.map((k) => plan.rows[k]);
  if (readOnly) plan.rows = plan.rows.filter(present(trace, plan));
  const open = leaf ?? pageOfSelection(tensor, plan, only);
  const high = rowsPerPage(plan);
  const rows = plan.rows.slice(open.page * high, (open.page + 1) * high);
  const first = open.aside * COLUMNS;
  const columns = range(Math.min(COLUMNS, plan.columns - first)).map((k) => k + first);
  const edited = !readOnly && recorded !== undefined && recorded !== tensor;
  const figure = h("figure", {
    class: tensor.shape.length ? "tensor" : "tensor scalar",
    "data-tensor": tensor.name,
    colour: hue(tensor.name),
  });
  const turnPage = (change_) => {
    const next = { symbol, recorded, readOnly, only, bare, leaf: { ...open, ...change_ } };
    figure.replaceWith(tensorFigure(trace, tensor, next));
  };
  const before = edited ? recorded : null;
  const empty = tensor.shape.some((n) => n === 0);
  figure.append(
    bare ? "" : caption(tensor, edited, symbol),
    empty
      ? h("p.note", "Empty: an axis has size 0.")
      : scroller(
          `${tensor.name}, scrolls if it is wide`,
          grid(trace, tensor, plan, { rows, columns, symbol, recorded: before, readOnly, bare }),
        ),
    ...pageButtons(plan, open, turnPage),
  );
  if (tensor.recipe.op === "softmax" && !bare) figure.append(sumsNote(tensor));
  return figure;
}

/** Return the number of rows of a page: fewer for a wide table. */
function rowsPerPage(plan) {
  return Math.max(10, Math.min(ROWS, Math.floor(CELLS / Math.min(plan.columns, COLUMNS))));
}

function pageOfSelection(tensor, plan, only) {
  if (state.cell?.name !== tensor.name) return { page: 0, aside: 0 };
  const number = Math.floor(state.cell.index / plan.columns);
  const row = only ? Math.max(0, only.indexOf(number)) : number;
  const column = state.cell.index % plan.columns;
  return { page: Math.floor(row / rowsPerPage(plan)), aside: Math.floor(column / COLUMNS) };
}

function caption(tensor, edited, symbol) {
  return h(
    "figcaption",
    h("span.name", symbol ? { "data-symbol": symbol, ...marking(tensor.name) } : {}, tensor.name),
    h("span.meaning", meaning(tensor.name)),
    h("span.shape", `${shapeText(tensor)}, ${tensor.dtype}`),
    edited && h("strong.badge", "edited"),
  );
}

function grid(trace, tensor, plan, { rows, columns, symbol, recorded, readOnly, bare }) {
  const print = printer(tensor);
  const shade = shader(tensor.name);
  const labelAxis = POSITIONS_OF[tensor.name];
  const labelOf = labelAxis && ((x) => label(trace, labelAxis, x));
  const top = tensor.data.reduce((a, x) => (Number.isFinite(x) ? Math.max(a, Math.abs(x)) : a), 0);
  const marks = markLargest(trace, tensor, plan);
  const look = { print, shade, top, symbol, marks, recorded, labelOf };
  const dropped = (k) => state.edits.includes(`drop:${k}`);
  const leftOut = (axis, k) =>
    plan.rowAxes[axis] === "behaviour" && dropped(k) && h("span.idle", "left out");
  const softmax = tensor.recipe.op === "softmax";
  const across = softmax && overColumns(tensor) && sumCells(tensor);
  const name = `${tensor.name}: ${meaning(tensor.name)}; ${tensor.axes.map(axisName).join(" by ") || "one number"}`;
  const table = h("table", { role: "grid" }, h("caption.unseen", name));
  if (plan.columnAxis) table.append(head(trace, plan, columns, across));
  const body = h("tbody");
  for (const row of rows) {
    const line = h(
      "tr",
      ...row.map((k, axis) =>
        h("th", { scope: "row" }, titled(label(trace, plan.rowAxes[axis], k)), leftOut(axis, k)),
      ),
    );
    if (row.length === 0) line.append(h("th", { scope: "row" }, tensor.name));
    for (const k of columns) {
      const cell = plan.columnAxis ? [...row, k] : row;
      const index = flat(tensor.shape, cell);
      line.append(cellOf(tensor, index, look));
    }
    if (across) line.append(across[row[0]]);
    body.append(line);
  }
  table.append(body);
  if (softmax && !bare && tensor.shape.length === 2) table.append(foot(tensor, plan, columns, across));
  if (!readOnly) addInspection(table, tensor);
  addArrowKeys(table);
  return table;
}

function head(trace, plan, columns, across) {
  const corner = plan.rowAxes.length
    ? plan.rowAxes.map((axis) => h("th", { scope: "col" }, axisName(axis)))
    : h("td", "");
  const active = plan.columnAxis === "interest" ? trace.tensors.get("active")?.data : undefined;
  const idle = (k) => active && !active[k] && h("span.idle", "inactive");
  const names = columns.map((k) =>
    h("th", { scope: "col" }, titled(label(trace, plan.columnAxis, k)), idle(k)),
  );
  const sum = across && h("th.sum", { scope: "col" }, `sum over ${axisName(plan.columnAxis)}s`);
  return h("thead", h("tr", corner, names, sum));
}

function cellOf(tensor, index, { print, shade, top, symbol, marks, recorded, labelOf }) {
  const x = tensor.data[index];
  const [sign, words] = marks.has(index) ? (isGradient(tensor) ? IN_SIZE : LARGEST) : [];
  const sized = tensor.dtype !== "int64" && tensor.data.length > 1; // ids have no magnitude
  const share = sized && top > 0 && Number.isFinite(x) ? Math.abs(x) / top : 0;
  const colours = shade(share, x < 0);
  const chosen = state.cell && state.cell.name === tensor.name && state.cell.index === index;
  const edited = recorded && recorded.data[index] !== x;
  const cell = h(
    "td",
    {
      "data-value": allDigits(x),
      "data-index": index,
      "data-symbol": symbol,
      tabindex: -1,
      "aria-selected": chosen ? "true" : "false",
    },
    print(x),
    labelOf && h("span.what", titled(labelOf(x))),
    sign && h("span.most", { "aria-hidden": "true" }, sign),
    sign && unseen(` ${words}`),
    edited && h("span.moved", { title: `recorded: ${five(recorded.data[index])}` }, "•"),
    edited && unseen(" changed by an edit"),
  );
  cell.style.backgroundColor = colours.ground;
  cell.style.color = colours.text;
  return cell;
}

const [LARGEST, IN_SIZE] = [
  ["▲", "largest"],
  ["◆", "largest in size"],
];
const isGradient = ({ name }) => /^(d|from)_/.test(name);
const EXPONENTIALS = new Set(["softmax", "without_hits", "loss", "tail"]); // read logits

/** Return whether a step computes a softmax of the tensor. */
function isLogit(trace, { name }) {
  const steps = (trace.readers?.get(name) ?? []).map((index) => trace.steps[index]);
  const own = trace.steps[trace.stepOf?.get(name)];
  return [...steps, own]
    .flatMap((step) => step?.outputs ?? [])
    .some(({ recipe }) => EXPONENTIALS.has(recipe.op) && recipe.of.some(({ of }) => of === name));
}

/** Return the flat indices to mark: the largest of each row over interests, else of the table.
 *
 * In a gradient it is the largest in size. Logits have no mark, because a softmax follows. Inactive
 * interests are skipped: their 0 would exceed negative numbers.
 */
function markLargest(trace, tensor, plan) {
  const count = tensor.data.length;
  const whole = tensor.dtype === "bool" || tensor.dtype === "int64";
  if (count < 2 || whole || isLogit(trace, tensor)) return new Set();
  const perRow = plan.columnAxis === "interest" && plan.rowAxes.length === 1;
  const width = perRow ? plan.columns : count;
  const value = (index) => (isGradient(tensor) ? Math.abs(tensor.data[index]) : tensor.data[index]);
  const isActive = activeCells(trace, tensor);
  const marks = new Set();
  for (let from = 0; from < count; from += width) {
    let best = -1;
    for (let index = from; index < from + width; index += 1)
      if (isActive(index) && (best < 0 || value(index) > value(best))) best = index;
    if (best >= 0 && value(best) !== 0) marks.add(best);
  }
  return marks;
}

/** Return a test whether the cell of a flat index is of an active interest, or of no interest. */
function activeCells(trace, { axes, shape }) {
  const axis = axes.indexOf("interest");
  const active = trace.tensors.get("active")?.data;
  if (axis < 0 || active?.length !== shape[axis]) return () => true;
  return (index) => active[unflat(shape, index)[axis]];
}

function pageButtons(plan, open, turnPage) {
  const kinds = [
    ["rows", "page", rowsPerPage(plan), plan.rows.length],
    ["columns", "aside", COLUMNS, plan.columns],
  ];
  return kinds
    .filter(([, , size, count]) => count > size)
    .map(([what, key, size, count]) => {
      const index = open[key];
      const text = `${what} ${index * size + 1} to ${Math.min(count, (index + 1) * size)} of ${count}`;
      const turn = (name, to, disabled) =>
        button(name, () => turnPage({ [key]: to }), { disabled });
      return h(
        "p.leaves",
        turn(`earlier ${what}`, index - 1, index === 0),
        ` ${text} `,
        turn(`later ${what}`, index + 1, (index + 1) * size >= count),
      );
    });
}

/** Show a cell in the inspector on a click or Enter. */
function addInspection(table, tensor) {
  const inspect = (event) => {
    const cell = event.target.closest("td[data-index]");
    if (!cell || (event.type === "keydown" && event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    change({ cell: { name: tensor.name, index: Number(cell.dataset.index) } });
  };
  table.addEventListener("click", inspect);
  table.addEventListener("keydown", inspect);
}

/** Move between cells with the arrow keys; Tab reaches one cell. */
function addArrowKeys(table) {
  const cells = [...table.querySelectorAll("td[data-index]")];
  const entry = cells.find((cell) => cell.getAttribute("aria-selected") === "true") ?? cells[0];
  if (entry) entry.tabIndex = 0;
  table.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[
      event.key
    ];
    const cell = event.target.closest("td[data-index]");
    if (!by || !cell) return;
    event.preventDefault();
    event.stopPropagation();
    const line = table.rows[cell.parentElement.rowIndex + by[0]];
    const next = line?.cells[cell.cellIndex + by[1]];
    if (!next?.dataset.index) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}
