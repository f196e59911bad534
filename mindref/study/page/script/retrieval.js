// Retrieval: what each interest brings, beside what one vector brings.

import { h } from "./dom.js";
import { TABS } from "./tabs.js";
import { missing, plainTable, ranking } from "./views.js";

TABS.retrieval = ({ extras }) => {
  const found = extras.case?.retrieval;
  if (!found) return missing("Retrieval", "What each interest retrieves, and a model with a single vector beside it, is made for a run directory with titles.", "mindref study --html page.html --model RUN");
  const lists = found.interests.map((x) => h("div", { class: "card" }, h("h3", {}, `interest ${x.interest}`), ranking(x.top)));
  if (found.single) lists.push(h("div", { class: "card single" }, h("h3", {}, found.single.name), ranking(found.single.top)));
  return [
    h("h2", {}, "Retrieval"),
    h("p", { class: "why" }, "Each interest brings its own items; the score of an item is the largest over the interests. A model with one vector has to serve all tastes at once."),
    h("div", { class: "cards" }, lists),
    found.united && h("section", {}, h("h3", {}, "Together"), ranking(found.united, true)),
    found.overlap && overlap(found.overlap),
    found.distribution && distribution(found.distribution),
  ];
};

function overlap(counts) {
  const head = ["", ...counts.map((_, j) => `interest ${j + 1}`)];
  return plainTable("Items that two lists share", head, counts.map((row, j) => [`interest ${j + 1}`, ...row]));
}

/** The strip of the paper's case study: how similar the items of each list are to what brought them. */
function distribution({ edges, interests, single, text }) {
  const names = [...interests.map((_, j) => `interest ${j + 1}`), ...(single ? ["one vector"] : [])];
  const rows = [...interests, ...(single ? [single] : [])];
  const most = Math.max(1, ...rows.flat());
  const dot = (n) => {
    const mark = h("span", { class: "dot", "aria-hidden": "true" });
    mark.style.setProperty("--r", `${Math.sqrt(n / most)}`);
    return h("span", { class: "strip" }, n > 0 && mark, h("span", { class: "count" }, String(n)));
  };
  const head = ["", ...rows[0].map((_, k) => `${edges[k].toFixed(2)} to ${edges[k + 1].toFixed(2)}`)];
  return h("section", {}, h("h3", {}, "Distribution of items"), h("p", {}, text), plainTable("How many items at which similarity", head, rows.map((row, k) => [names[k], ...row.map(dot)]), false));
}
