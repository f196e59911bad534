// Replay: the weights of all rounds beside each other, and what chance and controls do to them.

import { h, titled, unseen, put } from "./dom.js";
import { edited } from "./edits.js";
import { label } from "./explain.js";
import { minus, six } from "./numbers.js";
import { hue, shader } from "./quantities.js";
import { TABS } from "./tabs.js";
import { recompute } from "./twin.js";
import { roundsOf } from "./unroll.js";
import { cosine, plainTable, rowsOf } from "./views.js";

/** Return for each behaviour the interest that has most of it; -1 for none. */
export function owners(w) {
  return rowsOf(w).map((row) => (row.some((x) => x > 0) ? row.indexOf(Math.max(...row)) : -1));
}

TABS.replay = ({ trace, extras }) => {
  const rounds = roundsOf(trace);
  const last = trace.tensors.get(`w[${rounds}]`);
  const own = owners(last);
  const mask = trace.tensors.get("mask");
  const order = [...own.keys()]
    .filter((i) => !mask || mask.data[i])
    .sort((a, b) => own[a] - own[b] || weightOf(last, b) - weightOf(last, a));
  const box = h("div");
  const slider = h("input", {
    type: "range",
    min: 1,
    max: rounds,
    value: String(rounds),
    "aria-label": "rounds shown",
  });
  const said = h("output", {}, `rounds 1 to ${rounds}`);
  slider.addEventListener("input", () => {
    said.textContent = `rounds 1 to ${slider.value}`;
    put(box, table(trace, order, own, Number(slider.value), rounds));
  });
  put(box, table(trace, order, own, rounds, rounds));
  return [
    h("h2", {}, "Replay: who speaks to whom, round by round"),
    h(
      "p",
      { class: "why" },
      `Each row is a behaviour${trace.about.config.routing_axis === "behaviours" ? "; each interest shares one voice out over them" : " and shares one voice out over the interests"}. Rows are sorted by the interest that has most of them in the end; watch how that comes about.`,
    ),
    h("p", {}, h("label", {}, "Show ", slider), " ", said),
    box,
    redraws(trace),
    controls(trace, extras),
  ];
};

const weightOf = (w, i) => Math.max(...rowsOf(w)[i]);

function table(trace, order, own, shown, rounds) {
  const w = Array.from({ length: rounds }, (_, k) => trace.tensors.get(`w[${k + 1}]`));
  const width = w[0].shape[1];
  const groups = w.map((_, k) =>
    h("th", { scope: "colgroup", colspan: width, class: "group" }, `round ${k + 1}`),
  );
  const names = w.flatMap((_, k) =>
    Array.from({ length: width }, (_, j) =>
      h(
        "th",
        { scope: "col", class: j ? "" : "group" },
        unseen(`round ${k + 1}, interest `),
        String(j + 1),
      ),
    ),
  );
  const body = order.map((i) =>
    h(
      "tr",
      {},
      h("th", { scope: "row" }, titled(label(trace, "behaviour", i))),
      w.flatMap((tensor, k) => cells(tensor, i, k < shown)),
      h("td", { class: "owner" }, own[i] < 0 ? "none" : `interest ${own[i] + 1}`),
    ),
  );
  return h(
    "div",
    { class: "scroll framed", role: "region", tabindex: 0, "aria-label": "weights of all rounds" },
    h(
      "table",
      { class: "replay", colour: hue("w") },
      h(
        "caption",
        { class: "unseen" },
        "coupling weights of all rounds; rows sorted by final owner",
      ),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          h("th", { scope: "col", rowspan: 2 }, "behaviour"),
          groups,
          h("th", { scope: "col", rowspan: 2 }, "most goes to"),
        ),
        h("tr", {}, names),
      ),
      h("tbody", {}, body),
    ),
  );
}

function cells(tensor, i, shown) {
  const row = rowsOf(tensor)[i];
  const top = Math.max(...row);
  const shade = shader("w");
  return [...row].map((x, j) => {
    if (!shown) return h("td", { class: j ? "" : "group" }, "·");
    const cell = h(
      "td",
      { class: j ? "" : "group", "data-number": String(x) },
      x.toFixed(2),
      x === top && x > 0 && h("span", { class: "most", "aria-hidden": "true" }, "▲"),
    );
    const { ground, text } = shade(x, false);
    cell.style.backgroundColor = ground;
    cell.style.color = text;
    return cell;
  });
}

/** Draw the logits again, as often as the learner likes, and tell how stable the interests are. */
function redraws(trace) {
  const start = trace.tensors.get("b[1]");
  if (!start) return null;
  const results = h("div");
  const lines = [];
  const draw = () => {
    const again = recompute(
      trace,
      new Map([["b[1]", redrawn(start, lines.length + 1)]]),
      new Set(),
      trace.cells,
    );
    lines.push(compared(trace, again, `draw ${lines.length + 1}`));
    const count = trace.tensors.get("u").shape[0];
    const head = [
      "",
      ...Array.from({ length: count }, (_, j) => `interest ${j + 1}`),
      "behaviours that change hands",
    ];
    put(
      results,
      plainTable(
        "Best match among the new interests (cosine; 1 is the same direction)",
        head,
        lines,
      ),
    );
  };
  return h(
    "section",
    {},
    h("h3", {}, "Is it chance?"),
    h(
      "p",
      {},
      "The logits start at random. Draw them again with the same spread, everything else alike, and see whether the same interests come out.",
    ),
    h(
      "p",
      {},
      h("button", { type: "button", class: "main", on: { click: draw } }, "Draw the logits again"),
    ),
    results,
  );
}

/** Return logits of the same shape and spread from a small generator of this page. */
function redrawn({ shape, data }, seed) {
  let x = (seed * 69621) % 2147483647;
  const uniform = () => {
    x = (x * 48271) % 2147483647;
    return x / 2147483647;
  };
  const spread = Math.sqrt(data.reduce((a, b) => a + b * b, 0) / data.length);
  const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  return { shape, data: Float64Array.from(data, () => spread * normal()) };
}

function compared(trace, again, name) {
  const [before, after] = [rowsOf(trace.tensors.get("u")), rowsOf(again.tensors.get("u"))];
  const match = before.map((x) => after.map((y) => cosine(x, y)));
  const best = match.map((row) => row.indexOf(Math.max(...row)));
  const w = `w[${roundsOf(trace)}]`;
  const [old, now] = [owners(trace.tensors.get(w)), owners(again.tensors.get(w))];
  const held = old.filter((j) => j >= 0).length;
  const moved = old.filter((j, i) => j >= 0 && best[j] !== now[i]).length;
  const said = before.map((x, j) =>
    x.some((v) => v !== 0) ? minus(match[j][best[j]].toFixed(3)) : "inactive",
  );
  return [name, ...said, `${moved} of ${held}`];
}

/** One interest only, computed here, and the controls of the case study. */
function controls(trace, extras) {
  const one = edited(trace, ["K:1"]);
  const rows = [
    ["this model", trace],
    ["one interest only (K = 1)", one],
  ].map(([name, t]) => [name, t.tensors.get("loss")?.data[0] ?? 0]);
  return h(
    "section",
    {},
    h("h3", {}, "Controls"),
    trace.tensors.has("loss") && plainTable("Loss of this pair", ["", "loss"], rows),
    measured(extras.case?.controls),
  );
}

function measured(found) {
  if (!found)
    return h(
      "p",
      { class: "note" },
      "Controls over many draws need the case study: ",
      h("code", {}, "mindref study --html page.html"),
    );
  const said = (m) => [m.largest, m.used, m.similarity ?? "one interest", m.purity ?? "no groups"];
  const rows = [
    ["this user", ...said(found.user)],
    [`logits drawn again, mean of ${found.draws}`, ...said(found.redrawn)],
    [`behaviours of nobody, mean of ${found.draws}`, ...said(found.mixed)],
  ];
  return [
    plainTable(
      "Would anything look like this?",
      [
        "",
        "largest weight of a behaviour",
        "interests in use",
        "cosine between interests",
        "behaviours of the commonest group",
      ],
      rows,
    ),
    h(
      "p",
      {},
      `Groupings with other logits agree with this one by an adjusted Rand index of ${six(found.grouping)} on average, ${six(found.lowest_grouping)} at the least; 1 is the same grouping, 0 what chance gives. The same history in another order changes a weight by ${six(found.reordered)}: the order is not used.`,
    ),
  ];
}
