// Gradient ledger: the gradient as a sum over the places where a thing is used, each checked alone.

import { h, put, announce } from "./dom.js";
import { six, tiny } from "./numbers.js";
import { TABS } from "./tabs.js";
import { unpacked } from "./data.js";
import { chooser, cosine, heat, missing, norm, plainTable } from "./views.js";

const BY = [
  ["m", "m, the votes"],
  ["S", "S, the bilinear map"],
  ["e", "e, the behaviours"],
];
let chosen = "m";
const off = new Set(); // names of paths that are switched off

TABS.ledger = ({ trace, extras }) => {
  if (!extras.ledger)
    return missing(
      "Gradient ledger",
      "The split of the gradient into its paths is not in this file.",
      "mindref study --html page.html",
    );
  const box = h("div");
  const draw = () => put(box, view(trace, extras.ledger, draw));
  draw();
  return box;
};

function view(trace, ledgers, draw) {
  const ledger = ledgers[chosen];
  const on = ledger.rows.filter((row) => !off.has(row.name));
  const again = (act) => (event) => {
    act(event);
    draw();
  };
  const choice = chooser(
    "gradient by",
    BY.filter(([name]) => ledgers[name]),
    chosen,
    (name) => {
      chosen = name;
      draw();
    },
  );
  const flip = (row) =>
    again((event) => (event.target.checked ? off.delete(row.name) : off.add(row.name)));
  const set = (names) =>
    again(() => {
      off.clear();
      for (const row of ledger.rows) if (!names.includes(row.name)) off.add(row.name);
      announce(`${names.length} of ${ledger.rows.length} paths on`);
    });
  return [
    h("h2", {}, "Gradient ledger"),
    h("p", { class: "why" }, ledger.definition),
    h(
      "p",
      { class: "choices" },
      choice,
      h(
        "button",
        { type: "button", on: { click: set(ledger.rows.map((row) => row.name)) } },
        "All paths",
      ),
      h(
        "button",
        { type: "button", on: { click: set(ledger.last.keeps) } },
        "Only what stop-gradient keeps",
      ),
    ),
    table(ledger, flip),
    h("div", { role: "status", class: "sum-of" }, together(trace, ledger, on)),
  ];
}

function table(ledger, flip) {
  const top = Math.max(...ledger.rows.map((row) => row.norm));
  const rows = ledger.rows.map((row) => {
    const bar = h("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${top > 0 ? (100 * row.norm) / top : 0}%`;
    const box = h("input", {
      type: "checkbox",
      checked: !off.has(row.name),
      "aria-label": `path ${row.name}`,
      on: { change: flip(row) },
    });
    const worst = row.worst && `${six(row.worst.closed)} / ${six(row.worst.difference)}`;
    return [
      h("span", { class: "path-name" }, box, " ", h("code", {}, row.name)),
      h(
        "span",
        {},
        row.title,
        row.kept_by_last && h("span", { class: "tag" }, "kept by stop-gradient"),
      ),
      h("span", { class: "norm" }, six(row.norm), bar),
      h("span", { class: "figure" }, row.share.toFixed(3)),
      h("span", { class: "figure" }, row.cosine.toFixed(3)),
      h("span", { class: "figure", "data-fd": String(row.fd_error) }, tiny(row.fd_error)),
      h("span", { class: "figure" }, worst ?? ""),
    ];
  });
  return plainTable(
    `${ledger.what}: ${ledger.rows.length} paths for ${ledger.rounds} rounds`,
    [
      "path",
      "what it is",
      "norm",
      "its norm over that of the whole",
      "cosine to it",
      "off its finite difference",
      "worst entry: closed / difference",
    ],
    rows,
  );
}

/** Return what the paths that are on add up to, compared with the whole. */
function together(trace, ledger, on) {
  const lastOnly =
    on.length === ledger.last.keeps.length &&
    on.every((row) => ledger.last.keeps.includes(row.name));
  const whole = `All rows add up to the gradient of the library: the relative difference is ${tiny(ledger.sum.residual)}. Between the whole and its own finite difference it is ${tiny(ledger.sum.fd_error)}.`;
  const out = [
    h("p", { class: "holds-line", "data-residual": String(ledger.sum.residual) }, whole),
  ];
  if (on.length === 0) return [...out, h("p", {}, "No path is on: nothing is learned.")];
  if (lastOnly)
    out.push(
      h(
        "p",
        { class: "callout" },
        h("b", {}, "This is what stop-gradient trains. "),
        `Its norm is ${ledger.last.share.toFixed(3)} of the whole and its cosine to it ${ledger.last.cosine.toFixed(3)}; it equals what the library returns for routing_gradient="last", off by ${tiny(ledger.last.residual)}.`,
      ),
    );
  if (!ledger.rows[0].data)
    return [
      ...out,
      h(
        "p",
        { class: "note" },
        "The numbers of each row are kept for the votes, m; choose them above to see the sum of what is on.",
      ),
    ];
  const parts = (rows) => added(rows.map((row) => unpacked(row.data)));
  const [sum, all] = [parts(on), parts(ledger.rows)];
  const rows = [
    ["norm", norm(sum.data), norm(all.data)],
    ["cosine to the whole", cosine(sum.data, all.data), 1],
  ];
  out.push(
    h("h3", {}, `On: ${on.map((row) => row.name).join(" + ")}`),
    plainTable("What is on, against the whole", ["", "on", "the whole"], rows),
    heat(trace, { ...on[0].data, data: sum.data }, "d_m"),
  );
  return out;
}

function added(arrays) {
  const data = new Float64Array(arrays[0].data.length);
  for (const array of arrays) {
    array.data.forEach((x, k) => {
      data[k] += x;
    });
  }
  return { ...arrays[0], data };
}
