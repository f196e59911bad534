// Creates elements; text is never parsed as HTML.

/** Create an element: attributes by name, `on` for listeners, children as elements or text. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** Create an SVG element. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
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

/** Replace the content of an element. */
export function put(parent, ...children) {
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child));
}

/** Return a title in a bdi element, so that its text direction affects no other text. */
export function titled(text) {
  const title = String(text).trim() === "" ? "(no title)" : String(text);
  return h("bdi", { class: "title", title }, title);
}

/** Return a text with backquoted parts as code. */
export const prose = (text) =>
  text.split("`").map((part, k) => (k % 2 ? h("code", {}, part) : part));

/** Return a text with a capital first letter and a full stop. */
export const sentence = (text) =>
  `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.?!]$/.test(text) ? "" : "."}`;

/** Return a text for screen readers only. */
export const unseen = (text) => h("span", { class: "unseen" }, text);

/** Write a text to the live region for screen readers. */
export function announce(text) {
  byId("live").textContent = text;
}
