// Keyboard, theme, automatic play, link and help.

import { announce, byId } from "./dom.js";
import { reset } from "./editor.js";
import { dark } from "./quantities.js";
import { change } from "./state.js";

const PLAY = 2000; // milliseconds a step
let timer = null;
let handlers;

/** Add listeners for the keyboard and the buttons of the page header. */
export function listen(actions) {
  handlers = actions;
  document.addEventListener("keydown", pressed);
  byId("previous").addEventListener("click", () => handlers.move(-1));
  byId("next").addEventListener("click", () => handlers.move(1));
  byId("play").addEventListener("click", play);
  byId("theme").addEventListener("click", switchTheme);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("link").addEventListener("click", copyLink);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => handlers.redraw());
  const reducedMotion = matchMedia("(prefers-reduced-motion: reduce)");
  const updatePlay = () => {
    byId("play").disabled = reducedMotion.matches;
    byId("play").title = reducedMotion.matches
      ? "disabled: your system prefers reduced motion"
      : "";
    if (reducedMotion.matches) stop();
  };
  reducedMotion.addEventListener("change", updatePlay);
  updatePlay();
  printing();
}

const KEYS = {
  ArrowRight: () => handlers.move(1),
  ArrowLeft: () => handlers.move(-1),
  n: () => handlers.move(1),
  p: () => handlers.move(-1),
  Home: () => handlers.move(-Infinity),
  End: () => handlers.move(Infinity),
  r: reset,
  Escape: () => change({ symbol: null, cell: null }),
  "?": () => byId("help").showModal(),
};

function pressed(event) {
  const control = event.target.closest?.(
    "input, select, textarea, dialog, [role=tab], summary, .scroll, pre",
  );
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (
    control &&
    event.key !== "Escape" &&
    event.key !== "?" &&
    !(control.matches(".scroll, pre") && event.key.length === 1)
  )
    return;
  if (control?.matches("input[type=number], input:not([type]), dialog")) return;
  event.preventDefault();
  KEYS[event.key]();
}

function play() {
  if (timer) stop();
  else {
    timer = setInterval(() => (byId("next").disabled ? stop() : handlers.move(1)), PLAY);
    byId("play").textContent = "pause";
  }
}

function stop() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "play";
}

function switchTheme() {
  const now = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  handlers.redraw();
  announce(`${now} colours`);
}

function copyLink() {
  const done = () => announce("Link copied.");
  const notCopied = () => announce("The link is in the address bar.");
  if (navigator.clipboard) navigator.clipboard.writeText(location.href).then(done, notCopied);
  else notCopied();
}

/** Print in light colours, whatever the theme of the screen is. */
function printing() {
  let before;
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    handlers.redraw();
  });
  window.addEventListener("afterprint", () => {
    if (before) document.documentElement.dataset.theme = before;
    else delete document.documentElement.dataset.theme;
    handlers.redraw();
  });
}
