// The self-check line: whether every array of the file follows from its inputs.

import { byId, dataTable, h, put, scroller } from "./dom.js";
import { tiny } from "./numbers.js";
import { selfCheck } from "./recompute.js";

const LIMIT = 1e-12;
const done = new WeakMap();

/** Return the self-check of a recorded trace, made once. */
export function check(trace) {
  if (!done.has(trace)) done.set(trace, selfCheck(trace));
  return done.get(trace);
}

/** Show passed or failed, with the tensors that differ from their recipes. */
export function showCheck(result, edited) {
  const off = result.rows.filter((row) => !(row.off <= LIMIT));
  const holds = off.length === 0 && result.damaged.length === 0;
  document.documentElement.dataset.selfcheck = holds ? "pass" : "fail";
  const line = byId("selfcheck");
  line.className = holds ? "holds" : "fails";
  byId(holds ? "foot" : "alarm").append(line); // a failure is at the top of the page
  byId("badge").textContent = holds ? "✓ self-check" : "✗ self-check";
  line.dataset.largest = String(result.largest);
  const text = `${result.recomputed} arrays recomputed in this page, largest difference ${tiny(result.largest)}; ${result.inputs} input arrays, every checksum correct.`;
  const bad = [
    ...new Set([
      ...result.damaged.map((name) => `${name}: checksum wrong`),
      ...off.map((row) => `${row.name}: differs by ${tiny(row.off)}`),
    ]),
  ];
  put(
    line,
    h("b", holds ? "Self-check: passed. " : "Self-check: FAILED. "),
    holds
      ? text
      : `These numbers are not reliable: ${bad.slice(0, 4).join("; ")}${bad.length > 4 ? `; and ${bad.length - 4} more` : ""}.`,
    edited &&
      h("span", " The self-check covers the recorded numbers. This page now shows edited numbers."),
    h("details", h("summary", "all arrays"), arrayTable(result)),
  );
}

function arrayTable(result) {
  const rows = result.rows.map((row) => [
    row.name,
    row.step,
    row.recomputed ? tiny(row.off) : "input",
  ]);
  const caption = h("caption.unseen", "all arrays and their differences");
  const head = ["array", "step", "difference"];
  return scroller("all arrays", dataTable("table", caption, head, rows));
}
