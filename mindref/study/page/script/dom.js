// Elements in one line, text always as text.

/** Make an element: attributes by name, `on` for listeners, children as elements or text. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Make an element of SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, heard] of Object.entries(value)) element.addEventListener(event, heard);
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

export const byId = (id) => document.getElementById(id);

/** Put new content in the place of the old. */
export function put(place, ...children) {
  place.replaceChildren(...children.flat(Infinity).filter((child) => child));
}

/** A title as the learner gave it: isolated, so that its direction stays its own. */
export function titled(text) {
  const shown = String(text).trim() === "" ? "(no title)" : String(text);
  return h("bdi", { class: "title", title: shown }, shown);
}

/** A text with what stands between backquotes as code. */
export const prose = (text) =>
  text.split("`").map((part, k) => (k % 2 ? h("code", {}, part) : part));

/** A text as a sentence: a capital first, a full stop last. */
export const sentence = (text) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;

/** A word for screen readers only. */
export const unseen = (text) => h("span", { class: "unseen" }, text);

/** Say something in the polite live region. */
export function announce(text) {
  byId("live").textContent = text;
}
