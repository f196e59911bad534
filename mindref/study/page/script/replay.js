// Replay: coupling weights of all iterations, with redrawn logits and controls.

import { button, h, put, scroller, titled, unseen } from "./dom.js";
import { edited } from "./edits.js";
import { label } from "./explain.js";
import { argmax, cosine, four, minus, ownerOf, range, tiny } from "./numbers.js";
import { hue, shader } from "./quantities.js";
import { state } from "./state.js";
import { TABS } from "./tabs.js";
import { recompute } from "./recompute.js";
import { iterationsOf } from "./unroll.js";
import { plainTable, rowsOf } from "./views.js";

/** Return the interest with the largest weight of each film; -1 for none or a tie. */
const strongestInterests = (w) => rowsOf(w).map(ownerOf);

TABS.replay = ({ trace, derived }) => {
  const iterations = iterationsOf(trace);
  const last = trace.tensors.get(`w[${iterations}]`);
  const strongest = strongestInterests(last);
  const mask = trace.tensors.get("mask");
  const order = [...strongest.keys()]
    .filter((i) => !mask || mask.data[i])
    .sort((a, b) => strongest[a] - strongest[b] || weightOf(last, b) - weightOf(last, a));
  const box = h("div");
  const slider = h("input", {
    type: "range",
    min: 1,
    max: iterations,
    value: String(iterations),
    "aria-label": "number of iterations",
  });
  const rangeText = h("output");
  const draw = () => {
    put(
      rangeText,
      h("span.wide", `iterations 1 to ${slider.value}`),
      h("span.narrow", `iteration ${slider.value}`),
    );
    put(box, table(trace, order, strongest, Number(slider.value), iterations));
  };
  slider.addEventListener("input", draw);
  draw();
  return [
    h("h2", "Replay: coupling weights of every iteration"),
    h(
      "p.why",
      `Each row is a film. ${trace.metadata.config.routing_axis === "behaviours" ? "The weights of each interest sum to 1 over the films." : "Its weights sum to 1 over the interests."} Rows are sorted by the interest with the largest weight in the last iteration.`,
    ),
    h("p", h("label", "Show ", slider), " ", rangeText),
    box,
    redraws(trace),
    controls(trace, derived),
  ];
};

const weightOf = (w, i) => Math.max(...rowsOf(w)[i]);

function table(trace, order, strongest, visible, iterations) {
  const w = range(iterations).map((k) => trace.tensors.get(`w[${k + 1}]`));
  const width = w[0].shape[1];
  const kind = (k) => (k + 1 === visible ? "" : ".other"); // a narrow page shows one iteration
  const groups = w.map((_, k) =>
    h(`th.group${kind(k)}`, { scope: "colgroup", colspan: width }, `iteration ${k + 1}`),
  );
  const names = w.flatMap((_, k) =>
    range(width).map((j) =>
      h(
        `${j ? "th" : "th.group"}${kind(k)}`,
        { scope: "col" },
        unseen(`iteration ${k + 1}, interest `),
        `${j + 1}`,
      ),
    ),
  );
  const body = order.map((i) =>
    h(
      "tr",
      h("th", { scope: "row" }, titled(label(trace, "behaviour", i))),
      w.flatMap((tensor, k) => cells(tensor, i, k < visible, kind(k))),
      h("td.owner", strongest[i] < 0 ? "none" : `interest ${strongest[i] + 1}`),
    ),
  );
  const both = { scope: "col", rowspan: 2 };
  const top = h("tr", h("th", both, "film"), groups, h("th.owner", both, "largest weight"));
  const title = "coupling weights of all iterations";
  const sorting = "rows sorted by the interest with the largest final weight";
  return scroller(
    title,
    h(
      "table.replay",
      { colour: hue("w") },
      h("caption.unseen", `${title}; ${sorting}`),
      h("thead", top, h("tr", names)),
      h("tbody", body),
    ),
    ".framed",
  );
}

function cells(tensor, i, visible, kind) {
  const row = rowsOf(tensor)[i];
  const top = Math.max(...row);
  const shade = shader("w");
  return [...row].map((x, j) => {
    const tag = `${j ? "td" : "td.group"}${kind}`;
    if (!visible) return h(tag, "·");
    const cell = h(
      tag,
      { "data-number": String(x) },
      x.toFixed(2),
      x === top && x > 0 && h("span.most", { "aria-hidden": "true" }, "▲"),
      x === top && x > 0 && unseen(" largest"),
    );
    const { ground, text } = shade(x, false);
    cell.style.backgroundColor = ground;
    cell.style.color = text;
    return cell;
  });
}

/** Draw new initial logits on request, and show how stable the interests are. */
function redraws(trace) {
  const start = trace.tensors.get("b[1]");
  if (!start) return null;
  const results = h("div");
  const lines = [];
  const draw = () => {
    const logits = new Map([["b[1]", redrawn(start, lines.length + 1)]]);
    const again = recompute(trace, logits, new Set(), trace.cells);
    lines.push(compared(trace, again, `draw ${lines.length + 1}`));
    const count = trace.tensors.get("v").shape[0];
    const interests = range(count).map((j) => `interest ${j + 1}`);
    const title = "Largest cosine with a new interest (1 is the same direction)";
    const head = ["", ...interests, "films that change interest"];
    put(results, plainTable(title, head, lines));
  };
  return h(
    "section",
    h("h3", "Effect of the random initial logits"),
    h(
      "p",
      "The initial logits are random. The button replaces them by new logits with the same spread. The table compares the interests.",
    ),
    h("p", button("Draw new logits", draw, { class: "main" })),
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
  const [before, after] = [rowsOf(trace.tensors.get("v")), rowsOf(again.tensors.get("v"))];
  const match = before.map((x) => after.map((y) => cosine(x, y)));
  const best = match.map(argmax);
  const w = `w[${iterationsOf(trace)}]`;
  const [old, now] = [trace, again].map((t) => strongestInterests(t.tensors.get(w)));
  const assigned = old.filter((j) => j >= 0).length;
  const changed = old.filter((j, i) => j >= 0 && best[j] !== now[i]).length;
  const matches = before.map((x, j) =>
    x.some((v) => v !== 0) ? minus(match[j][best[j]].toFixed(3)) : "inactive",
  );
  return [name, ...matches, `${changed} of ${assigned}`];
}

/** Return the loss with one interest, and the controls of the case study. */
function controls(trace, derived) {
  const one = edited(trace, ["K:1"]);
  const rows = [
    ["this model", trace],
    ["one interest (K = 1)", one],
  ].map(([name, t]) => [name, t.tensors.get("loss")?.data[0] ?? 0]);
  return h(
    "section",
    h("h3", "Controls"),
    trace.tensors.has("loss") && plainTable("Loss of this pair", ["", "loss"], rows),
    measured(derived.case?.controls),
  );
}

/** Return how well two groupings agree, in words. */
const agreement = (index) =>
  index > 0.9 ? "is almost the same" : index > 0.1 ? "is partly the same" : "is another one";

function measured(caseControls) {
  if (!caseControls)
    return h(
      "p.note",
      "The case study has controls over many draws: ",
      h("code", "mindref study --html page.html"),
    );
  const mean = `mean of ${caseControls.draws} draws`;
  const rows = [
    ["this user", caseControls.user],
    [`new logits, ${mean}`, caseControls.redrawn],
    [`random films, ${mean}`, caseControls.random_history],
  ].map(([name, m]) => [
    ...[name, m.largest, m.effective_number],
    ...[m.similarity ?? "one interest", m.purity ?? "no groups"],
  ]);
  const head = [
    "",
    "mean of the largest weight of a film",
    "effective number of interests",
    "cosine between interests",
    "share of films in the most frequent group",
  ];
  return [
    state.edits.length > 0 && h("p.badge", "Recorded numbers, without your edits."),
    plainTable("Comparison with controls", head, rows),
    h(
      "p",
      `With new initial logits, the grouping of the films ${agreement(caseControls.grouping)}: adjusted Rand index ${four(caseControls.grouping)} on average, ${four(caseControls.lowest_grouping)} at the lowest (1: the same grouping, 0: chance). The order of the films has no influence: in another order, the weights are the same to ${tiny(caseControls.reordered)}.`,
    ),
  ];
}
