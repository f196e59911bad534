// Keys, the theme, playing, the link and the help.

import { announce, byId } from "./dom.js";
import { reset } from "./editor.js";
import { dark } from "./quantities.js";
import { change } from "./state.js";

const PLAY = 2000; // milliseconds a step
let timer = null;
let doing;

/** Listen to the keyboard and to the buttons of the head of the page. */
export function listen(actions) {
  doing = actions;
  document.addEventListener("keydown", pressed);
  byId("previous").addEventListener("click", () => doing.move(-1));
  byId("next").addEventListener("click", () => doing.move(1));
  byId("play").addEventListener("click", play);
  byId("theme").addEventListener("click", turnTheme);
  byId("help-open").addEventListener("click", () => byId("help").showModal());
  byId("link").addEventListener("click", copyLink);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => doing.redraw());
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const calm = () => {
    byId("play").disabled = still.matches;
    byId("play").title = still.matches ? "off: your system asks for less motion" : "";
    if (still.matches) stop();
  };
  still.addEventListener("change", calm);
  calm();
  printing();
}

const KEYS = {
  ArrowRight: () => doing.move(1),
  ArrowLeft: () => doing.move(-1),
  n: () => doing.move(1),
  p: () => doing.move(-1),
  Home: () => doing.goTo(doing.steps()[0].id),
  End: () => doing.goTo(doing.steps().at(-1).id),
  r: reset,
  Escape: () => change({ symbol: null, cell: null }),
  "?": () => byId("help").showModal(),
};

function pressed(event) {
  const own = event.target.closest?.(
    "input, select, textarea, dialog, [role=tab], summary, .scroll, pre",
  );
  if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in KEYS)) return;
  if (
    own &&
    event.key !== "Escape" &&
    event.key !== "?" &&
    !(own.matches(".scroll, pre") && event.key.length === 1)
  )
    return;
  if (own?.matches("input[type=number], input:not([type]), dialog")) return;
  event.preventDefault();
  KEYS[event.key]();
}

function play() {
  if (timer) stop();
  else {
    timer = setInterval(() => (byId("next").disabled ? stop() : doing.move(1)), PLAY);
    byId("play").textContent = "pause";
  }
}

function stop() {
  clearInterval(timer);
  timer = null;
  byId("play").textContent = "play";
}

function turnTheme() {
  const now = dark() ? "light" : "dark";
  document.documentElement.dataset.theme = now;
  doing.redraw();
  announce(`${now} colours`);
}

function copyLink() {
  const done = () => announce("The link to this place is copied.");
  const shown = () => announce("The link to this place stands in the address line.");
  if (navigator.clipboard) navigator.clipboard.writeText(location.href).then(done, shown);
  else shown();
}

/** Print in light colours whatever the screen has. */
function printing() {
  let before;
  window.addEventListener("beforeprint", () => {
    before = document.documentElement.dataset.theme;
    document.documentElement.dataset.theme = "light";
    doing.redraw();
  });
  window.addEventListener("afterprint", () => {
    if (before) document.documentElement.dataset.theme = before;
    else delete document.documentElement.dataset.theme;
    doing.redraw();
  });
}
