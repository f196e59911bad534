// Retrieval: the top items of each interest, and of a single-vector model.

import { chart, disc, h, stroke, titled, words } from "./dom.js";
import { brief, minus } from "./numbers.js";
import { TABS } from "./tabs.js";
import { missing, plainTable } from "./views.js";

TABS.retrieval = ({ derived }) => {
  const caseStudy = derived.case;
  if (!caseStudy)
    return missing("Retrieval", "This file does not have the top items of each interest.");
  const all = [...caseStudy.lists, ...(caseStudy.single ? [caseStudy.single] : [])];
  return [
    h("h2", "Retrieval"),
    h(
      "p.why",
      "Each interest has its own list: the five unseen films with the largest scores, numbered. A film of the history is marked as seen and has no number; serving removes it. A single-vector model has one list for all interests.",
    ),
    h(
      "p",
      "Next film of the user: ",
      titled(caseStudy.target),
      `. Its rank among the unseen films is ${caseStudy.rank}${caseStudy.single_rank ? `, and ${caseStudy.single_rank} for the single-vector model` : ""}. The lists of the interests contain ${caseStudy.distinct} different films.`,
    ),
    h(
      "div.cards",
      all.map((list) => card(list, list === caseStudy.single)),
    ),
    distribution(all),
    (caseStudy.notes ?? []).map((note) => h("p.note", note)),
  ];
};

function card(list, single) {
  const marked = [...list.items, ...list.seen.map((item) => ({ ...item, seen: true }))];
  const line = (item) =>
    h(
      item.seen ? "li.seen" : "li",
      titled(item.title),
      h("span.figure", ` ${brief(item.score)}`),
      item.group && h("span.chip", item.group),
      item.seen && h("span.chip", "seen"),
    );
  const groupText = list.commonest
    ? `; ${list.commonest_count} of ${list.items.length} unseen films in the group “${list.commonest}”`
    : "";
  return h(
    "div",
    { class: single ? "card single" : "card" },
    h("h3", list.name),
    h("p.note", `mean cosine between the films ${minus(list.mean_cosine.toFixed(3))}${groupText}`),
    h("ol.ranking", marked.sort((a, b) => b.score - a.score).map(line)),
  );
}

const [WIDE, ROW, LEFT, BIN] = [720, 44, 120, 0.05];

/** Draw the cosines of the items of each list with their vector, as in the paper's case study. */
function distribution(lists) {
  const cosines = lists.map((list) => list.items.map((item) => item.cosine));
  const low = Math.floor(Math.min(...cosines.flat()) / BIN) * BIN;
  const high = Math.ceil(Math.max(...cosines.flat()) / BIN) * BIN;
  const x = (c) => LEFT + ((c - low) / (high - low || 1)) * (WIDE - LEFT - 30);
  const rows = cosines.map((list) => counted(list, low));
  const marks = rows.flatMap((bins, k) => [
    words(LEFT - 14, ROW * k + 30, lists[k].name, "tick end"),
    stroke(LEFT, ROW * k + 26, WIDE - 20, ROW * k + 26, "grid"),
    ...bins.map(([index, n]) => disc(x(index), ROW * k + 26, 3 + 3 * Math.sqrt(n), "float64")),
    ...bins.map(([index, n]) => words(x(index), ROW * k + 12, String(n), "tick middle")),
  ]);
  const ticks = [];
  for (let c = low; c <= high + 1e-9; c += 4 * BIN)
    ticks.push(words(x(c), ROW * lists.length + 16, minus(c.toFixed(2)), "tick middle"));
  const table = lists.map((list, k) => [
    list.name,
    rows[k].map(([index, n]) => `${n} at ${minus(index.toFixed(2))}`).join(", "),
  ]);
  const label = "distribution of films by cosine; the table below has the same numbers";
  const picture = chart(WIDE, ROW * lists.length + 24, label, marks, ticks);
  return h(
    "section",
    h("h3", "Distribution of cosines"),
    h(
      "p",
      "Cosine of each film with the vector of its list, in steps of 0.05. The number counts the films. Cosines are not rescaled to 0 to 1.",
    ),
    picture,
    plainTable("The same as a table", ["", "films at each cosine"], table),
  );
}

/** Return [centre of the bin, count] of the non-empty bins. */
function counted(list, low) {
  const bins = new Map();
  for (const c of list) {
    const index = Math.floor((c - low) / BIN + 1e-9);
    bins.set(index, (bins.get(index) ?? 0) + 1);
  }
  return [...bins].sort((a, b) => a[0] - b[0]).map(([index, n]) => [low + (index + 0.5) * BIN, n]);
}
