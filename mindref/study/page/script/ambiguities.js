// Ambiguities: points of the paper with several readings, and the result of each for this user.

import { h, prose } from "./dom.js";
import { tiny } from "./numbers.js";
import { TABS } from "./tabs.js";
import { missing, plainTable } from "./views.js";

TABS.ambiguities = ({ derived }) => {
  if (!derived.ambiguities?.length)
    return missing("Ambiguities", "This file has no list of ambiguities.");
  return [
    h("h2", "Points of the paper with several readings"),
    h(
      "p.why",
      "Each card lists the readings and marks the reading of mindref. It shows the result of every reading for this user.",
    ),
    derived.ambiguities.map(card),
  ];
};

function card(entry) {
  const readings = entry.readings.map((r) =>
    h(
      "li",
      h("b", r.name),
      r.ours && h("span.tag", "reading of mindref"),
      prose(` ${r.text ?? ""}`),
      r.rule && h("span.note", ` Rule ${r.rule}.`),
      r.seen?.length > 0 && h("span.note", ` Seen in: ${r.seen.join(", ")}.`),
    ),
  );
  return h(
    "article.card.wide",
    { "data-card": entry.name },
    h("h3", entry.question),
    h("p.note", entry.paper),
    h("p", prose(entry.why)),
    h("ul.readings", readings),
    results(entry),
    h("p.callout", entry.summary),
  );
}

function results(entry) {
  const names = [...new Set(entry.readings.flatMap((r) => r.results.map((x) => x.name)))];
  if (names.length === 0) return null;
  const valueOf = (reading, name) => reading.results.find((x) => x.name === name)?.value;
  const rows = names.map((name) => [
    name,
    ...entry.readings.map((r) => formatResult(valueOf(r, name))),
  ]);
  const head = ["", ...entry.readings.map((r) => (r.ours ? `${r.name} (mindref)` : r.name))];
  return plainTable(entry.results_title, head, rows);
}

/** Return a result with the digits of the summary. */
function formatResult(value) {
  if (value === undefined || value === null) return "";
  if (Array.isArray(value))
    return value.map(formatResult).join(", ");
  return typeof value === "number" ? tiny(value) : String(value);
}
