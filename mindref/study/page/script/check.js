// The line that says whether the arrays of this file follow from each other.

import { byId, h, put } from "./dom.js";
import { tiny } from "./numbers.js";
import { selfCheck } from "./twin.js";

const LIMIT = 1e-12;
const done = new WeakMap();

/** Return the self-check of a recorded trace, made once. */
export function check(trace) {
  if (!done.has(trace)) done.set(trace, selfCheck(trace));
  return done.get(trace);
}

/** Show it: passed or failed, with the tensors that do not follow. */
export function showCheck(found, edited) {
  const off = found.rows.filter((row) => !(row.off <= LIMIT));
  const holds = off.length === 0 && found.damaged.length === 0;
  document.documentElement.dataset.selfcheck = holds ? "pass" : "fail";
  const line = byId("selfcheck");
  line.className = holds ? "holds" : "fails";
  line.dataset.largest = String(found.largest);
  const text = `${found.recomputed} arrays computed again in this page, largest difference ${tiny(found.largest)}; ${found.given} inputs, all bytes as written.`;
  const bad = [
    ...new Set([
      ...found.damaged.map((name) => `${name}: its bytes are not those that were written`),
      ...off.map((row) => `${row.name}: differs by ${tiny(row.off)}`),
    ]),
  ];
  put(
    line,
    h("b", {}, holds ? "Self-check: passed. " : "Self-check: FAILED. "),
    holds
      ? text
      : `Do not trust these numbers: ${bad.slice(0, 4).join("; ")}${bad.length > 4 ? `; and ${bad.length - 4} more` : ""}.`,
    edited &&
      h("span", {}, " The check is of the recorded numbers; you are looking at edited ones."),
    h("details", {}, h("summary", {}, "every array"), listed(found)),
  );
}

function listed(found) {
  const rows = found.rows.map((row) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, row.name),
      h("td", {}, row.step),
      h("td", {}, row.recomputed ? tiny(row.off) : "input"),
    ),
  );
  const head = h(
    "tr",
    {},
    ["array", "step", "difference"].map((name) => h("th", { scope: "col" }, name)),
  );
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": "every array" },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, "every array and its difference"),
      h("thead", {}, head),
      h("tbody", {}, rows),
    ),
  );
}
