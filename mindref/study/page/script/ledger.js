// Gradient ledger: the gradient through routing as a sum of terms, each with its own finite difference.

import { announce, button, h } from "./dom.js";
import { cosine, norm, five, tiny } from "./numbers.js";
import { TABS } from "./tabs.js";
import { unpacked } from "./data.js";
import { chooser, heat, missing, plainTable, redrawable } from "./views.js";

const BY = [
  ["Se", "the votes S e"],
  ["S", "the matrix S"],
  ["e", "the item vectors e"],
];
let chosen = "Se";
const disabled = new Set(); // names of terms that are switched off

TABS.ledger = ({ trace, derived }) => {
  if (!derived.ledger)
    return missing("Gradient ledger", "This file does not have the terms of the gradient.");
  return redrawable((draw) => view(trace, derived.ledger, draw));
};

function view(trace, ledgers, draw) {
  const ledger = ledgers[chosen];
  const on = ledger.rows.filter((row) => !disabled.has(row.name));
  const redrawAfter = (act) => (event) => {
    act(event);
    draw();
  };
  const choice = chooser(
    "gradient of the loss with respect to",
    BY.filter(([name]) => ledgers[name]),
    chosen,
    (name) => {
      chosen = name;
      draw();
    },
  );
  const flip = (row) =>
    redrawAfter((event) =>
      event.target.checked ? disabled.delete(row.name) : disabled.add(row.name),
    );
  const set = (names) =>
    redrawAfter(() => {
      disabled.clear();
      for (const row of ledger.rows) if (!names.includes(row.name)) disabled.add(row.name);
      announce(`${names.length} of ${ledger.rows.length} terms included`);
    });
  return [
    h("h2", "Gradient ledger"),
    h("p.why", ledger.definition),
    h(
      "p.choices",
      choice,
      button("All terms", set(ledger.rows.map((row) => row.name))),
      button("Only the term of stop-gradient", set(ledger.last.keeps)),
    ),
    table(ledger, flip),
    h("div", { role: "status", class: "sum-of" }, includedSum(trace, ledger, on)),
  ];
}

function table(ledger, flip) {
  const top = Math.max(...ledger.rows.map((row) => row.norm));
  const rows = ledger.rows.map((row) => {
    const bar = h("span.bar", { "aria-hidden": "true" });
    bar.style.width = `${top > 0 ? (100 * row.norm) / top : 0}%`;
    const box = h("input", {
      type: "checkbox",
      checked: !disabled.has(row.name),
      "aria-label": `term ${row.name}`,
      on: { change: flip(row) },
    });
    const worst = row.worst && `${five(row.worst.closed)} / ${five(row.worst.difference)}`;
    return [
      h("span.path-name", box, " ", h("code", row.name)),
      h("span", row.title, row.kept_by_last && h("span.tag", "kept by stop-gradient")),
      h("span.norm", five(row.norm), bar),
      h("span.figure", row.share.toFixed(3)),
      h("span.figure", row.cosine.toFixed(3)),
      h("span.figure", { "data-fd": String(row.fd_error) }, tiny(row.fd_error)),
      h("span.figure", worst ?? ""),
    ];
  });
  return plainTable(
    `${ledger.title}: ${ledger.rows.length} terms for ${ledger.iterations} iterations`,
    [
      "term",
      "description",
      "norm",
      "norm over norm of the total",
      "cosine to the total",
      "relative error of its finite difference",
      "worst entry: formula / finite difference",
    ],
    rows,
  );
}

/** Return the sum of the included terms, compared with the total. */
function includedSum(trace, ledger, on) {
  const lastOnly =
    on.length === ledger.last.keeps.length &&
    on.every((row) => ledger.last.keeps.includes(row.name));
  const sumText = `The sum of all terms equals the gradient of mindref; relative difference ${tiny(ledger.sum.residual)}. The relative difference between the total and its finite difference is ${tiny(ledger.sum.fd_error)}.`;
  const out = [h("p.holds-line", { "data-residual": String(ledger.sum.residual) }, sumText)];
  if (on.length === 0) return [...out, h("p", "No term is included: the gradient is zero.")];
  if (lastOnly)
    out.push(
      h(
        "p.callout",
        h("b", "This is the gradient of stop-gradient. "),
        `Its norm is ${ledger.last.share.toFixed(3)} of the total norm; its cosine to the total is ${ledger.last.cosine.toFixed(3)}. It equals the gradient of mindref with routing_gradient="last"; relative difference ${tiny(ledger.last.residual)}.`,
      ),
    );
  if (!ledger.rows[0].data)
    return [
      ...out,
      h(
        "p.note",
        "The file has the numbers of each term only for the votes. Select the votes above to see the sum of the included terms.",
      ),
    ];
  const parts = (rows) => added(rows.map((row) => unpacked(row.data)));
  const [sum, all] = [parts(on), parts(ledger.rows)];
  const rows = [
    ["norm", norm(sum.data), norm(all.data)],
    ["cosine to the total", cosine(sum.data, all.data), 1],
  ];
  out.push(
    h("h3", `Included: ${on.map((row) => row.name).join(" + ")}`),
    plainTable("Included terms and total", ["", "included", "total"], rows),
    heat(trace, { ...on[0].data, data: sum.data }, "d_Se"),
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
