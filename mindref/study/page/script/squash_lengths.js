// Squash: the length of each sum before and after, as bars and on the curve of the lengths.

import { chart, dataTable, disc, h, scroller, section, stroke, svg, words } from "./dom.js";
import { label } from "./explain.js";
import { four, lengthOf, range, rowsOver } from "./numbers.js";
import { hue } from "./quantities.js";
import { iterationsOf } from "./unroll.js";

const [WIDE, HIGH, LEFT, DOWN] = [420, 190, 40, 34];
const NEAR_ONE = 0.98;
/** By kind of squash: the length after squash as a function of the length before. */
export const CURVES = {
  squash: { of: (n) => (n * n) / (1 + n * n), text: "n² / (1 + n²)" },
  unit: { of: (n) => (n > 0 ? 1 : 0), text: "1" },
  none: { of: (n) => n, text: "n" },
};

/** Return the lengths of z and u in one iteration: [name, before, after] of the active interests. */
function capsuleLengths(trace, iteration) {
  const [z, u] = ["z", "u"].map((name) => trace.tensors.get(`${name}[${iteration}]`));
  const active = trace.tensors.get("active");
  const [before, after] = [z, u].map((x) => rowsOver(x, 1).map((row) => lengthOf(x, row)));
  return range(before.length)
    .filter((k) => active.data[k])
    .map((k) => [label(trace, "interest", k), before[k], after[k]]);
}

/** Return the section about the lengths of a squash step; null for another step. */
export function squashLengths(trace, step) {
  if (step.kind !== "routing.capsules") return null;
  const kind = CURVES[trace.metadata.config.squash];
  const rows = capsuleLengths(trace, step.number);
  return section(
    "lengths",
    "lengths before and after squash",
    h("h3", `Length of each sum: n before, ${kind.text} after`),
    h("div.pair", { colour: hue("u") }, curve(kind, rows), bars(rows)),
    h("p", comparison(trace, step.number)),
  );
}

function bars(rows) {
  const top = [1, 2].map((column) => Math.max(...rows.map((row) => row[column])));
  const cell = ([x, most]) =>
    h("td", h("span.value", { "data-number": String(x) }, four(x)), bar(most ? x / most : 0));
  const body = rows.map(([name, ...lengths]) => [
    name,
    ...lengths.map((x, side) => [x, side ? Math.max(1, top[1]) : top[0]]),
  ]);
  const caption = h("caption.unseen", "lengths before and after squash");
  const head = ["", "|z|, before", "|u|, after"];
  return scroller("lengths", dataTable("table.length-bars", caption, head, body, cell));
}

function bar(share) {
  const element = h("span.bar", { "aria-hidden": "true" });
  element.style.width = `${100 * share}%`;
  return element;
}

/** Draw the curve of the new length; a disc marks each interest. */
function curve(kind, rows) {
  const right = Math.max(2, 1.1 * Math.max(...rows.map(([, n]) => n)));
  const high = Math.max(1.05, ...rows.map(([, , after]) => after));
  const x = (n) => LEFT + (n / right) * (WIDE - LEFT - 12);
  const y = (after) => HIGH - DOWN - (after / high) * (HIGH - DOWN - 12);
  const points = range(101).map((k) => (k * right) / 100);
  return chart(
    WIDE,
    HIGH,
    "new length against length; the table has the numbers",
    stroke(LEFT, y(0), WIDE - 12, y(0), "grid"),
    stroke(LEFT, y(1), WIDE - 12, y(1), "grid"),
    words(LEFT - 6, y(0) + 4, "0", "tick end"),
    words(LEFT - 6, y(1) + 4, "1", "tick end"),
    words(x(right), HIGH - DOWN + 16, four(right), "tick end"),
    words((LEFT + WIDE) / 2, HIGH - 4, "n, length before", "tick middle"),
    svg("polyline", {
      points: points.map((n) => `${x(n)},${y(kind.of(n))}`).join(" "),
      class: "length-curve",
    }),
    rows.map(([, before, after]) => disc(x(before), y(after), 5, "length-mark")),
  );
}

/** Return where the lengths differ most among the iterations. */
function comparison(trace, iteration) {
  if (trace.metadata.config.squash !== "squash")
    return "This model does not use squash: the lengths carry no support for an interest.";
  const spans = range(iterationsOf(trace)).map((k) => {
    const after = capsuleLengths(trace, k + 1).map((row) => row[2]);
    return [Math.min(...after), Math.max(...after)];
  });
  const [low, high] = spans[iteration - 1];
  const widest = spans.reduce(
    (best, [a, b], k) => (b - a > spans[best][1] - spans[best][0] ? k : best),
    0,
  );
  const here = `The lengths after squash are ${four(low)} to ${four(high)}.`;
  const flat =
    low > NEAR_ONE
      ? " All sums are long, so all lengths are near 1."
      : "";
  const [first, last] = spans[widest].map(four);
  const most =
    widest + 1 === iteration
      ? " They differ most in this iteration."
      : ` They differ most in iteration ${widest + 1}: ${first} to ${last}.`;
  return here + flat + (spans.length > 1 ? most : "");
}
