// Variant bench: deviations that public code really has, and what each does to this user.

import { h, prose, put, sentence } from "./dom.js";
import { six, tiny } from "./numbers.js";
import { change, state } from "./state.js";
import { TABS } from "./tabs.js";
import { chooser, heat, missing, plainTable, ranking } from "./views.js";

TABS.bench = ({ trace, extras }) => {
  const cases = extras.variants;
  if (!cases?.length)
    return missing(
      "Variant bench",
      "No variants are in this file.",
      "mindref study --html page.html",
    );
  const box = h("div");
  const draw = () => {
    const found = cases.find((c) => c.name === state.variant) ?? cases[0];
    const one = { ...found, reference: found.reference ?? extras.reference };
    put(
      box,
      view(
        trace,
        one,
        chooser(
          "variant",
          cases.map((c) => [c.name, c.title]),
          one.name,
          (name) => {
            change({ variant: name });
            draw();
          },
        ),
      ),
    );
  };
  draw();
  return box;
};

function view(trace, one, choice) {
  const seen = one.seen.map((s) =>
    h(
      "li",
      {},
      h("code", {}, s.repository),
      ` at commit ${s.commit} (${s.date})`,
      s.note && h("span", { class: "note" }, `: ${s.note}`),
    ),
  );
  return [
    h("h2", {}, "Variant bench"),
    h("p", { class: "choices" }, choice),
    h(
      "article",
      { "data-variant": one.name },
      h("h3", {}, one.title),
      h("p", { class: "why" }, prose(sentence(one.what))),
      h("p", {}, prose(sentence(one.does))),
      one.scene?.text && h("p", { class: "note" }, `For both sides: ${one.scene.text}.`),
      one.differs?.length === 0 &&
        h("p", { class: "callout" }, "This user does not show it: no number differs."),
      measured(one),
      alarms(one),
      sides(trace, one),
      seen.length > 0 && h("section", {}, h("h3", {}, "Where it was seen"), h("ul", {}, seen)),
      h(
        "p",
        { class: "note" },
        `Rule ${one.rule}. One user, one seed: this shows the mechanism, not how good a model is.`,
      ),
    ),
  ];
}

function measured(one) {
  const rows = one.measured.map((m) => [m.name, m.reference, m.variant, m.text ?? ""]);
  const differ = Object.entries(one.largest ?? {}).map(([name, x]) => [
    `largest difference in ${name}`,
    "",
    typeof x === "number" ? tiny(x) : String(x),
    "",
  ]);
  return plainTable(
    "Measured on this user",
    ["", "reference", "variant", "what it is or should be"],
    [...rows, ...differ],
  );
}

/** List the checks that fail, those of all rounds in one line. */
function alarms(one) {
  if (one.alarms.length === 0)
    return h("p", { class: "callout" }, h("b", {}, "No alarm. "), one.alarms_text ?? "");
  const texts = [...new Set(one.alarms.map((a) => a.text))];
  const items = texts.map((text) => {
    const same = one.alarms.filter((a) => a.text === text);
    const worst = Math.max(...same.map((a) => Number(a.residual)));
    const steps = same.map((a) => h("code", { "data-alarm": a.step, "data-text": text }, a.step));
    return h(
      "li",
      { class: "fails" },
      text,
      h(
        "span",
        { class: "residual" },
        ": ",
        steps.flatMap((x, k) => (k ? [", ", x] : [x])),
        `; off by up to ${tiny(worst)}`,
      ),
    );
  });
  return h(
    "section",
    {},
    h(
      "h3",
      {},
      one.alarms.length === 1
        ? "Alarm: one check no longer holds"
        : `Alarms: ${one.alarms.length} checks no longer hold`,
    ),
    h("ul", { class: "sums" }, items),
  );
}

function sides(trace, one) {
  const over = trace.about.config.routing_axis === "behaviours" ? "i" : "j";
  const column = (name, x) =>
    h(
      "div",
      { class: "card", "data-side": name },
      h("h3", {}, name),
      h("p", { class: "figure" }, `loss ${six(Number(x.loss))}, K′ = ${x.count}`),
      x.w && heat(trace, x.w, "w", {}, { op: "softmax", of: [{ of: "", at: "ij" }], over }),
      x.top && [h("h4", {}, "What is retrieved"), ranking(x.top, true)],
    );
  return h(
    "div",
    { class: "cards two" },
    column("reference", one.reference),
    column("variant", one.variant),
  );
}
