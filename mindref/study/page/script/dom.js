// Creates elements; text is never parsed as HTML.

/** Create an element.
 *
 * `kind` is a tag with classes, such as "p.note". `parts` are an object of attributes by name, `on`
 * for listeners, which may be left out, then the children: elements or text.
 */
export function h(kind, ...parts) {
  return fill(document.createElement(kind.split(".")[0]), kind, parts);
}

/** Create an SVG element; see `h`. */
export function svg(kind, ...parts) {
  const tag = kind.split(".")[0];
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), kind, parts);
}

function fill(element, kind, parts) {
  const [attributes, children] =
    parts[0]?.constructor === Object ? [parts[0], parts.slice(1)] : [{}, parts];
  element.classList.add(...kind.split(".").slice(1));
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value))
        element.addEventListener(event, listener);
    } else if (name === "colour") {
      element.style.setProperty("--q", value);
    } else if (name === "checked" || name === "value" || name === "disabled" || name === "open") {
      element[name] = value;
    } else {
      element.setAttribute(name, value === true ? "" : value);
    }
  }
  element.append(
    ...children
      .flat(Infinity)
      .filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}

/** Create a button: its text or elements, what a click does, and further attributes. */
export const button = (content, click, attributes = {}) =>
  h("button", { type: "button", ...attributes, on: { click } }, content);

/** Return the attributes of an element that marks a symbol on a click or on Enter. */
export const marking = (name) => ({ tabindex: 0, role: "button", "aria-label": `mark ${name}` });

/** Create a chart; `label` describes it in words. */
export const chart = (width, height, label, ...parts) =>
  svg(
    "svg.chart",
    { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label },
    ...parts,
  );

// the parts of a chart
export const stroke = (x1, y1, x2, y2, kind) => svg("line", { x1, y1, x2, y2, class: kind });
export const words = (x, y, text, kind) => svg("text", { x, y, class: kind }, text);
export const disc = (cx, cy, r, kind) => svg("circle", { cx, cy, r, class: kind });

/** Return a triangle with its tip at a point, in a direction of length 1; size: [length, half width]. */
export function arrowHead([x, y], [dx, dy], [length, half], attributes = {}) {
  const wing = (side) => [x - length * dx - side * half * dy, y - length * dy + side * half * dx];
  return svg("polygon", { points: [[x, y], wing(1), wing(-1)].join(" "), ...attributes });
}

export const square = (x, y, kind) =>
  svg("rect", { x: x - 3, y: y - 3, width: 6, height: 6, class: kind });

/** Create a table: texts of the head, and rows with a row header, then cells made by `cell`. */
export function dataTable(kind, caption, head, rows, cell = (x) => h("td", x)) {
  const top = head.map((name) => (name ? h("th", { scope: "col" }, name) : h("td")));
  const body = rows.map(([name, ...cells]) =>
    h("tr", h("th", { scope: "row" }, name), cells.map(cell)),
  );
  return h(kind, caption, h("thead", h("tr", top)), h("tbody", body));
}

/** Create a section with a name for screen readers. */
export const section = (kind, label, ...parts) =>
  h(`section.${kind}`, { "aria-label": label }, ...parts);

/** Create a box that scrolls sideways, not the page; `kind` adds classes. */
export const scroller = (label, content, kind = "") =>
  h(`div.scroll${kind}`, { role: "region", tabindex: 0, "aria-label": label }, content);

export const byId = (id) => document.getElementById(id);

/** Replace the content of an element. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child));
}

/** Return a title in a bdi element, so that its text direction affects no other text. */
export function titled(text) {
  const title = String(text).trim() === "" ? "(no title)" : String(text);
  return h("bdi.title", { title }, title);
}

/** Return a text with backquoted parts as code. */
export const prose = (text) => text.split("`").map((part, k) => (k % 2 ? h("code", part) : part));

/** Return a text with a capital first letter and a full stop. */
export const sentence = (text) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;

/** Return a text for screen readers only. */
export const unseen = (text) => h("span.unseen", text);

/** Write a text to the live region for screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}
