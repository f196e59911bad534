// Retrieval: what each interest brings, beside what one vector brings.

import { h, svg, titled } from "./dom.js";
import { brief, minus } from "./numbers.js";
import { TABS } from "./tabs.js";
import { missing, plainTable } from "./views.js";

const FIRST = 10; // items of a list that are shown at once

TABS.retrieval = ({ extras }) => {
  const found = extras.case;
  if (!found)
    return missing(
      "Retrieval",
      "What each interest retrieves, and a single vector beside it, is not in this file.",
      "mindref study --html page.html",
    );
  const all = [...found.strips, ...(found.single ? [found.single] : [])];
  return [
    h("h2", {}, "Retrieval"),
    h(
      "p",
      { class: "why" },
      "Each interest brings its own items; an item counts what its best interest says of it. One vector has to serve all tastes at once.",
    ),
    h(
      "p",
      {},
      "What came next: ",
      titled(found.target),
      `. It stands at place ${found.place} of the unseen items${found.single_place ? `, and at place ${found.single_place} for the single vector` : ""}. The lists of the interests hold ${found.distinct} different items.`,
    ),
    h(
      "div",
      { class: "cards" },
      all.map((strip) => card(strip, strip === found.single)),
    ),
    distribution(all),
    overlap(found.strips),
    (found.notes ?? []).map((note) => h("p", { class: "note" }, note)),
  ];
};

function card(strip, single) {
  const line = (item) =>
    h(
      "li",
      {},
      titled(item.title),
      h("span", { class: "figure" }, ` ${brief(item.score)}`),
      item.group && h("span", { class: "note" }, ` ${item.group}`),
    );
  const rest = strip.items.slice(FIRST);
  const said = strip.commonest
    ? `; ${strip.of_commonest} of ${strip.items.length} are “${strip.commonest}”`
    : "";
  return h(
    "div",
    { class: single ? "card single" : "card" },
    h("h3", {}, strip.name),
    h(
      "p",
      { class: "note" },
      `mean cosine between its items ${minus(strip.alike.toFixed(3))}${said}`,
    ),
    h("ol", { class: "ranking" }, strip.items.slice(0, FIRST).map(line)),
    rest.length > 0 &&
      h(
        "details",
        {},
        h("summary", {}, `${rest.length} more`),
        h("ol", { class: "ranking", start: FIRST + 1 }, rest.map(line)),
      ),
  );
}

const [WIDE, ROW, LEFT, BIN] = [720, 44, 120, 0.05];

/** The strip of the paper's case study: how near the items of each list lie to what brought them. */
function distribution(strips) {
  const cosines = strips.map((strip) => strip.items.map((item) => item.cosine));
  const low = Math.floor(Math.min(...cosines.flat()) / BIN) * BIN;
  const high = Math.ceil(Math.max(...cosines.flat()) / BIN) * BIN;
  const x = (c) => LEFT + ((c - low) / (high - low || 1)) * (WIDE - LEFT - 30);
  const rows = cosines.map((list) => counted(list, low));
  const marks = rows.flatMap((bins, k) => [
    svg("text", { x: LEFT - 14, y: ROW * k + 30, class: "tick end" }, strips[k].name),
    svg("line", { x1: LEFT, x2: WIDE - 20, y1: ROW * k + 26, y2: ROW * k + 26, class: "grid" }),
    ...bins.map(([at, n]) =>
      svg("circle", { cx: x(at), cy: ROW * k + 26, r: 3 + 3 * Math.sqrt(n), class: "float64" }),
    ),
    ...bins.map(([at, n]) =>
      svg("text", { x: x(at), y: ROW * k + 12, class: "tick middle" }, String(n)),
    ),
  ]);
  const ticks = [];
  for (let c = low; c <= high + 1e-9; c += 4 * BIN)
    ticks.push(
      svg(
        "text",
        { x: x(c), y: ROW * strips.length + 16, class: "tick middle" },
        minus(c.toFixed(2)),
      ),
    );
  const table = strips.map((strip, k) => [
    strip.name,
    rows[k].map(([at, n]) => `${n} at ${minus(at.toFixed(2))}`).join(", "),
  ]);
  return h(
    "section",
    {},
    h("h3", {}, "Distribution of items"),
    h(
      "p",
      {},
      "Cosine of each item with the vector that brought it, in steps of 0.05; the number is how many items lie there. Cosines stand as they are, not scaled to 0 to 1.",
    ),
    svg(
      "svg",
      {
        viewBox: `0 0 ${WIDE} ${ROW * strips.length + 24}`,
        class: "chart wide-chart",
        role: "img",
        "aria-label": "distribution of items by cosine; the table below holds the same",
      },
      marks,
      ticks,
    ),
    plainTable("The same as a table", ["", "items at each cosine"], table),
  );
}

/** Return [middle of the bin, how many] for the bins that hold something. */
function counted(list, low) {
  const bins = new Map();
  for (const c of list) {
    const at = Math.floor((c - low) / BIN + 1e-9);
    bins.set(at, (bins.get(at) ?? 0) + 1);
  }
  return [...bins].sort((a, b) => a[0] - b[0]).map(([at, n]) => [low + (at + 0.5) * BIN, n]);
}

function overlap(strips) {
  if (strips.length < 2) return null;
  const sets = strips.map((strip) => new Set(strip.items.map((item) => item.title)));
  const shared = (a, b) => [...a].filter((title) => b.has(title)).length;
  const rows = sets.map((a, j) => [strips[j].name, ...sets.map((b) => shared(a, b))]);
  return plainTable("Items that two lists share", ["", ...strips.map((strip) => strip.name)], rows);
}
