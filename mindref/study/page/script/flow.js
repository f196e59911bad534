// The data flow of the model: one drawing; each node is a link to its steps.

import { byId, h, put, svg, words } from "./dom.js";
import { state } from "./state.js";

const [COLUMN, ROW, BOX] = [88, 50, 36];

// label, first column, last column, row, tensor with the shape, kinds of its steps
const NODES = [
  ["history", 0, 0, 1, "ids", /^ids$/],
  ["e", 1, 1, 1, "e", /^history\./],
  ["S e", 2, 2, 1, "Se", /^routing\.votes$/],
  ["mask, K′, b", 3, 4, 0, "b[1]", /^(interests\.count|routing\.(mask|logits))$/],
  ["w", 3, 3, 1, "w[1]", /^routing\.weights$/],
  ["z", 4, 4, 1, "z[1]", /^routing\.sums$/],
  ["u", 5, 5, 1, "u[1]", /^routing\.capsules$/],
  ["a, added to b", 5, 6, 0, "a[1]", /^routing\.(agreement|update)$/],
  ["profile", 7, 7, 0, "p", /^profile\./],
  ["layers", 7, 7, 1, "x[0]", /^(interests\.join|layers(\.relu)?)$/],
  ["v", 8, 8, 1, "v", /^interests\.active$/],
  ["serving", 8, 8, 0, "top", /^serve\./],
  ["target", 9, 9, 0, "t", /^target\./],
  ["attention", 9, 9, 1, "q", /^attention\.(scores|power|weights|user)$/],
  ["negatives", 10, 11, 0, "neg", /^negatives\./],
  ["sampled softmax", 10, 11, 1, "loss", /^loss\.(unit|logits|hits|value)$/],
  ["d_o, d_q, d_t", 10, 11, 2, "", /^loss\.d_/],
  ["d_h, d_v", 9, 9, 2, "", /^attention\.d_/],
  ["d_v", 8, 8, 2, "", /^interests\.d_active$/],
  ["d_W, d_u", 7, 7, 2, "", /^(layers\.d_affine|interests\.d_join)$/],
  ["d_u, d_z, d_w, d_b", 3, 6, 2, "", /^routing\.d_(update|sums|weights)$/],
  ["d_S", 2, 2, 2, "", /^routing\.d_votes$/],
  ["d_items", 1, 1, 2, "", /^items\.gradient$/],
  ["Adam", 0, 0, 2, "", /^update\./],
];

const nodeOf = (kind) => NODES.findIndex(([, , , , , kinds]) => kinds.test(kind));

/** Draw the data flow of a trace above the step. */
export function showFlow(trace, goTo) {
  const steps = NODES.map(() => []);
  for (const step of trace.steps) steps[nodeOf(step.kind)]?.push(step);
  const drawn = NODES.map((node, k) => steps[k].length > 0 && box(trace, node, k, steps[k], goTo));
  const width = 12 * COLUMN - 8;
  const picture = svg(
    "svg.flow",
    { viewBox: `0 0 ${width} ${3 * ROW}`, width, height: 3 * ROW, role: "group", "aria-label": LABEL },
    frame(),
    words(left(0), middle(0) - 3, "forward: left to right", "legend"),
    words(left(0), middle(0) + 13, "backward: right to left", "legend"),
    words((left(6) + right(6)) / 2, middle(1) - 7, "", "middle iteration"),
    arrows(steps),
    drawn,
  );
  picture.addEventListener("keydown", moveFocus);
  put(container(), h("summary", "Data flow"), h("div.scroll", picture));
}

const LABEL = "Data flow of the model: forward from left to right, backward from right to left";

/** Return the element of the drawing; it spans the columns of the page. */
function container() {
  const box = byId("flow") ?? h("details", { id: "flow", open: !NARROW.matches });
  if (!box.parentElement) byId("columns").prepend(box);
  return box;
}

const NARROW = matchMedia("(max-width: 899.98px)");

const left = (column) => column * COLUMN + 5;
const right = (column) => (column + 1) * COLUMN - 13;
const middle = (row) => row * ROW + ROW / 2;

function box(trace, [text, first, last, row, name], k, steps, goTo) {
  const shape = shapeOf(trace, name);
  const x = (left(first) + right(last)) / 2;
  const size = { x: left(first), y: middle(row) - BOX / 2, width: right(last) - left(first) };
  const node = svg(
    "a",
    {
      href: `#step=${steps[0].id}`,
      "data-node": String(k),
      "data-steps": steps.map(({ id }) => id).join(" "),
      "aria-label": `${text}${shape && `, ${shape}`}: ${steps.length} steps, from ${steps[0].title}`,
      on: { click: (event) => open(event, steps, goTo) },
    },
    svg("rect", { ...size, height: BOX, rx: 6 }),
    words(x, middle(row) + (shape ? -2 : 4), text, "middle"),
    shape && words(x, middle(row) + 12, shape, "middle shape"),
  );
  return node;
}

/** Go to the first step of a node, in the current iteration if it has one. */
function open(event, steps, goTo) {
  event.preventDefault();
  const number = state.step.match(/^routing\[(\d+)\]/)?.[1];
  goTo((steps.find((step) => String(step.number) === number) ?? steps[0]).id);
  event.currentTarget.focus();
}

/** Return the shape of a tensor, without padding and inactive interests. */
function shapeOf(trace, name) {
  const tensor = trace.tensors.get(name);
  if (!tensor) return "";
  const count = (mask) => trace.tensors.get(mask)?.data.reduce((a, x) => a + x, 0);
  const used = { behaviour: count("mask"), interest: count("active") };
  return tensor.axes.map((axis, k) => used[axis] ?? tensor.shape[k]).join(" × ");
}

/** Return the frame around the nodes of routing. */
const frame = () =>
  svg("rect.loop", {
    ...{ x: left(3) - 4, y: 2, width: right(6) - left(3) + 8, height: 3 * ROW - 4, rx: 10 },
  });

/** Return the arrows: along a row, from and to the top row, and the way back. */
function arrows(steps) {
  const present = (k) => steps[k].length > 0;
  const out = [];
  for (const row of [1, 2]) {
    const nodes = NODES.filter((node, k) => node[3] === row && present(k)).sort((a, b) => a[1] - b[1]);
    nodes.slice(1).forEach((node, k) => {
      const ends = [right(nodes[k][2]), left(node[1])].map((x) => [x, middle(row)]);
      out.push(arrow(...(row === 1 ? ends : ends.reverse())));
    });
  }
  NODES.forEach(([text, first, last, row], k) => {
    if (row > 0 || !present(k)) return;
    const column = text.startsWith("mask") ? [3, 3] : text.startsWith("a,") ? [5, 5] : [first, last];
    const x = (left(column[0]) + right(column[1])) / 2;
    const ends = [[x, middle(0) + BOX / 2], [x, middle(1) - BOX / 2]]; // prettier-ignore
    out.push(arrow(...(UPWARD.test(text) ? ends.reverse() : ends)));
    if (text.startsWith("a,")) out.push(arrow([left(5), middle(0)], [right(4), middle(0)]));
  });
  const turn = (left(10) + right(11)) / 2;
  out.push(arrow([turn, middle(1) + BOX / 2], [turn, middle(2) - BOX / 2]));
  return svg("g.arrows", out);
}

const UPWARD = /^(serving|a,)/;

/** Return an arrow between two points of one row or column. */
function arrow([x, y], [toX, toY]) {
  const [dx, dy] = [Math.sign(toX - x), Math.sign(toY - y)];
  const wing = (side) => [toX - 4 * dx + 3 * side * dy, toY - 4 * dy + 3 * side * dx];
  const points = [[x, y], [toX, toY], wing(1), [toX, toY], wing(-1)]; // prettier-ignore
  return svg("polyline", { points: points.map((point) => point.join(",")).join(" ") });
}

/** Mark the node of a step, and make it the one that Tab reaches. */
export function markFlow(trace, step) {
  const current = nodeOf(step.kind);
  const iterations = trace.steps.filter(({ kind }) => kind === "routing.weights").length;
  const place = /^routing\[/.test(step.id) ? `iteration ${step.number}/${iterations}` : `${iterations} iterations`;
  byId("flow").querySelector(".iteration").textContent = place;
  for (const node of byId("flow").querySelectorAll("a")) {
    const here = Number(node.dataset.node) === current;
    node.toggleAttribute("data-current", here);
    node.ariaCurrent = here ? "step" : null;
    node.setAttribute("tabindex", here ? 0 : -1);
    if (here) intoView(node);
  }
}

/** Scroll the drawing, not the page, to a node. */
function intoView(node) {
  const scroll = node.closest(".scroll");
  const [outer, inner] = [scroll.getBoundingClientRect(), node.getBoundingClientRect()];
  if (inner.left < outer.left || inner.right > outer.right)
    scroll.scrollLeft += inner.left - outer.left - outer.width / 3;
}

/** Move the focus to the next node with the arrow keys. */
function moveFocus(event) {
  const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!by) return;
  event.preventDefault();
  event.stopPropagation();
  const all = [...event.currentTarget.querySelectorAll("a")];
  const next = all[all.indexOf(document.activeElement) + by];
  if (!next) return;
  next.setAttribute("tabindex", 0);
  next.focus();
}
