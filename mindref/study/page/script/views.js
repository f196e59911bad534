// Parts of the views: tables, a note for missing data, heat maps, lists, choices.

import { unpacked } from "./data.js";
import { dataTable, h, put, scroller, titled } from "./dom.js";
import { brief, range, five } from "./numbers.js";
import { tensorFigure } from "./table.js";

/** Return a table with a caption; cells are texts, numbers or elements; the first is the row header. */
export function plainTable(caption, head, rows) {
  const cell = (x) =>
    typeof x === "number" ? h("td.figure", { "data-number": String(x) }, five(x)) : h("td", x);
  const title = h("caption", h("span", caption));
  return scroller(caption, dataTable("table.plain-table", title, head, rows, cell));
}

const TO_WRITE = "mindref study --html page.html";

/** Return a note that the file has no data for a view, and the command that writes it. */
export function missing(title, text) {
  return [h("h2", title), h("p", text), h("p", "To get it: ", h("code", TO_WRITE))];
}

/** Return an element with the content that `render` returns; its argument renders it again. */
export function redrawable(render) {
  const box = h("div");
  const draw = () => put(box, render(draw));
  draw();
  return box;
}

/** Return the heat map of an array; the name of a tensor gives the colour. */
export function heat(trace, array, name, recipe = { op: "display" }) {
  const decoded = typeof array.data === "number" ? unpacked(array) : array;
  return tensorFigure(trace, { ...decoded, name, recipe }, { readOnly: true });
}

/** Return an ordered list of titles with scores and interests. */
export function itemList(items) {
  const line = (item) =>
    h(
      "li",
      titled(item.title),
      h("span.figure", ` ${brief(item.score)}`),
      item.seen && h("span.chip", "seen"),
      h("span.note", `, by interest ${item.interest + 1}`),
    );
  return h("ol.ranking", items.map(line));
}

/** Return a labelled select. */
export function chooser(text, options, chosen, act) {
  const select = h(
    "select",
    { on: { change: (event) => act(event.target.value) } },
    options.map(([value, name]) => h("option", { value }, name)),
  );
  select.value = chosen;
  return h("label.pick", `${text} `, select);
}

/** Return the rows of a matrix as lists. */
export const rowsOf = ({ shape, data }) =>
  range(shape[0]).map((k) => data.subarray(k * shape[1], (k + 1) * shape[1]));
