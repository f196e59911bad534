// Ambiguities: where the paper can be read two ways, our reading, and both results on this user.

import { h, prose } from "./dom.js";
import { six } from "./numbers.js";
import { TABS } from "./tabs.js";
import { missing, plainTable } from "./views.js";

TABS.ambiguities = ({ extras }) => {
  if (!extras.ambiguities?.length)
    return missing("Ambiguities", "No card is in this file.", "mindref study --html page.html");
  return [
    h("h2", {}, "Where the paper can be read two ways"),
    h(
      "p",
      { class: "why" },
      "Each card has the readings, which one this library takes, and what each gives for this very user.",
    ),
    extras.ambiguities.map(card),
  ];
};

function card(one) {
  const readings = one.readings.map((r) =>
    h(
      "li",
      {},
      h("b", {}, r.name),
      r.ours && h("span", { class: "tag" }, "taken here"),
      prose(` ${r.text ?? ""}`),
      r.rule && h("span", { class: "note" }, ` Rule ${r.rule}.`),
      r.seen?.length > 0 && h("span", { class: "note" }, ` Seen in: ${r.seen.join(", ")}.`),
    ),
  );
  return h(
    "article",
    { class: "card wide", "data-card": one.name },
    h("h3", {}, one.question),
    h("p", { class: "note" }, one.paper),
    h("p", {}, prose(one.why)),
    h("ul", { class: "readings" }, readings),
    results(one),
    h("p", { class: "callout" }, one.says),
  );
}

function results(one) {
  const names = [...new Set(one.readings.flatMap((r) => (r.results ?? []).map((x) => x.name)))];
  if (names.length === 0) return null;
  const rows = names.map((name) => [
    name,
    ...one.readings.map((r) => shown((r.results ?? []).find((x) => x.name === name)?.value)),
  ]);
  return plainTable(
    one.shown || "both results",
    ["", ...one.readings.map((r) => (r.ours ? `${r.name} (ours)` : r.name))],
    rows,
  );
}

function shown(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value))
    return value.map((x) => (typeof x === "number" ? six(x) : String(x))).join(", ");
  return typeof value === "number" ? value : String(value);
}
