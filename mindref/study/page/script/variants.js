// Variants: deviations of public implementations, computed for this user beside the reference.

import { h, prose, sentence } from "./dom.js";
import { four, tiny } from "./numbers.js";
import { change, state } from "./state.js";
import { TABS } from "./tabs.js";
import { chooser, heat, itemList, missing, plainTable, redrawable } from "./views.js";

TABS.variants = ({ trace, derived }) => {
  const cases = derived.variants;
  if (!cases?.length) return missing("Variants of public code", "This file has no variants.");
  const names = cases.map((c) => [c.name, c.title]);
  return redrawable((draw) => {
    const variant = cases.find((c) => c.name === state.variant) ?? cases[0];
    const comparison = { ...variant, reference: variant.reference ?? derived.reference };
    const choose = (name) => {
      change({ variant: name });
      draw();
    };
    return view(trace, comparison, chooser("variant", names, comparison.name, choose));
  });
};

function view(trace, comparison, choice) {
  const seen = comparison.seen.map((s) =>
    h(
      "li",
      h("code", s.repository),
      ` at commit ${s.commit} (${s.date})`,
      s.note && h("span.note", `: ${s.note}`),
    ),
  );
  return [
    h("h2", "Variants of public code"),
    h("p.choices", choice),
    h(
      "article",
      { "data-variant": comparison.name },
      h("h3", comparison.title),
      h("p.why", prose(sentence(comparison.what))),
      comparison.does && h("p", prose(sentence(comparison.does))),
      comparison.setup?.text && h("p.note", `Changed for both sides: ${comparison.setup.text}.`),
      comparison.no_difference_text && h("p.callout", comparison.no_difference_text),
      measured(comparison),
      violations(comparison),
      sides(trace, comparison),
      seen.length > 0 &&
        h("section", h("h3", "Public implementations with this deviation"), h("ul", seen)),
      h(
        "p.note",
        `Breaks rule ${comparison.rule}. One user and one seed show how the algorithm changes, not how accurate a model is.`,
      ),
    ),
  ];
}

function measured(comparison) {
  const rows = comparison.measured.map((m) => [m.name, m.reference, m.variant, m.text ?? ""]);
  const differ = Object.entries(comparison.largest ?? {}).map(([name, x]) => [
    `largest difference in ${name}`,
    "",
    typeof x === "number" ? tiny(x) : String(x),
    "",
  ]);
  return plainTable(
    "Measured for this user",
    ["", "reference", "variant", "meaning or required value"],
    [...rows, ...differ],
  );
}

/** List the invariants that fail, the same invariant of all iterations in one line. */
function violations(comparison) {
  if (comparison.violations.length === 0)
    return h("p.callout", h("b", "No invariant fails. "), comparison.no_violation_text ?? "");
  const texts = [...new Set(comparison.violations.map((a) => a.text))];
  const items = texts.map((text) => {
    const same = comparison.violations.filter((a) => a.text === text);
    const worst = Math.max(...same.map((a) => Number(a.residual)));
    const steps = same.map((a) =>
      h("code", { "data-violation": a.step, "data-text": text }, a.step),
    );
    const listed = steps.flatMap((x, k) => [k ? ", " : ": ", x]);
    const deviation = Number.isFinite(worst)
      ? `; largest deviation ${tiny(worst)}`
      : "; the variant omits a step or returns a number that is not finite";
    return h("li.fails", text, h("span.residual", listed, deviation));
  });
  const count = comparison.violations.length;
  const title = count === 1 ? "One invariant fails" : `${count} invariants fail`;
  return h("section", h("h3", title), h("ul.sums", items));
}

function sides(trace, comparison) {
  const over = trace.metadata.config.routing_axis === "behaviours" ? "i" : "k";
  const column = (name, x) =>
    h(
      "div.card",
      { "data-side": name },
      h("h3", name),
      h("p.figure", `loss ${four(Number(x.loss))}, K′ = ${x.count}`),
      x.w && heat(trace, x.w, "w", { op: "softmax", of: [{ of: "", letters: "ik" }], over }),
      x.top && [h("h4", "Top items"), itemList(x.top)],
    );
  return h(
    "div.cards.two",
    column("reference", comparison.reference),
    column("variant", comparison.variant),
  );
}
