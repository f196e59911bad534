// The overview: the picture of one user, play, and sliders that recompute routing as they move.

import { announce, h, put } from "./dom.js";
import { range } from "./numbers.js";
import { legend, links, makeControls, makeNotes } from "./overview_controls.js";
import { picture } from "./picture.js";
import { pictureUsers, recordedSettings, route, weightsAt } from "./picture_routing.js";
import { caption, colourNote, introduction } from "./picture_text.js";
import { genreShapes } from "./shapes.js";
import { change, state } from "./state.js";
import { MOVES, TABS } from "./tabs.js";
import { weightBars } from "./weight_bars.js";

const PAUSE = 500; // milliseconds between two movements
const MOVEMENT = 700; // milliseconds of a movement from one iteration to the next

let shown = null; // the view that is on the page

TABS.overview = ({ goTo }) => {
  shown?.stop();
  const users = pictureUsers();
  const settings = parse(state.picture, users);
  const user = users[settings.user];
  if (user.titles.length === 0)
    return [h("h2", "One user"), h("p", "The history of this user is empty. Choose another user.")];
  shown = makeView(users, settings, goTo);
  return shown.element;
};

MOVES.overview = (by) => shown?.step(by);

/** Return whether the overview on the page has other settings than the address. */
export const pictureChanged = () => shown !== null && shown.text() !== state.picture;

/** Return the address of the overview of the user of trace `index`, before iteration 1. */
export function pictureOf(index) {
  const number = pictureUsers().findIndex(({ trace }) => trace === index);
  return number < 0 ? "" : `${number}/0`;
}

/** Read "user/position/K/sigma/S"; missing or impossible parts become those of the model. */
function parse(text, users) {
  const address = text || (state.user > 0 ? pictureOf(state.user) : "");
  const [who, position, interests, sigma, scale] = address.split("/");
  const from = (part, low, high, otherwise) =>
    part && Number(part) >= low && Number(part) <= high ? Number(part) : otherwise;
  const whole = (part, low, high, otherwise) =>
    /^\d+$/.test(part) ? from(part, low, high, otherwise) : otherwise;
  const user = whole(who, 0, users.length - 1, 0);
  const recorded = recordedSettings(users[user]);
  return {
    user,
    recorded,
    position: whole(position, 0, 99, 0),
    interests: whole(interests, 1, recorded.mostInterests, recorded.interests),
    sigma: recorded.sigma > 0 ? from(sigma, 0, 4 * recorded.sigma, recorded.sigma) : 0,
    scale: from(scale, 0.2, 3, 1),
  };
}

function makeView(users, settings, goTo) {
  const user = users[settings.user];
  const { recorded } = settings;
  const shapes = genreShapes(users);
  const base = route(user, { ...recorded, scale: 1 });
  const top = base.iterations;
  settings.position = Math.min(settings.position, top);
  const notes = makeNotes(user, base);
  const parts = { caption: h("figcaption"), bars: h("div") };
  const figure = h("figure.picture-figure");
  let [routing, drawn, bars, timer, request] = [base, null, null, null, null];

  const { user: number } = settings;
  const text = () =>
    [number, ...["position", "interests", "sigma", "scale"].map((x) => settings[x])].join("/");
  const save = () => change({ picture: text() });

  function draw(position) {
    const frame = frameAt(routing, position);
    const words = caption(user, routing, Math.round(position));
    drawn.show(frame, words);
    bars.show(frame.weights);
    if (parts.caption.textContent !== words) put(parts.caption, words);
    notes.show(routing, Math.round(position));
  }

  function place(position) {
    cancelAnimationFrame(request);
    settings.position = position;
    controls.showPosition(position);
    draw(position);
  }

  /** Move to a position; with reduced motion at once. */
  function moveTo(position, done) {
    const from = settings.position;
    if (still.matches || document.hidden) {
      place(position);
      done?.();
      return;
    }
    settings.position = position;
    controls.showPosition(position);
    let start;
    const paint = (now) => {
      start ??= now;
      const share = Math.min(1, (now - start) / MOVEMENT);
      draw(from + (position - from) * Math.min(1, 3 * share ** 2 - 2 * share ** 3));
      if (share < 1) request = requestAnimationFrame(paint);
      else done?.();
    };
    request = requestAnimationFrame(paint);
  }

  function stop() {
    clearTimeout(timer);
    timer = null;
    cancelAnimationFrame(request);
    controls.showPlay(false);
  }

  /** Write the settings to the address, and announce the caption that is drawn. */
  function tell() {
    save();
    announce(parts.caption.textContent);
  }

  function play() {
    if (timer) {
      stop();
      place(settings.position);
      tell();
      return;
    }
    if (settings.position === top) place(0);
    controls.showPlay(true);
    const next = () => {
      if (!figure.isConnected) return;
      if (settings.position === top) {
        stop();
        tell();
        return;
      }
      moveTo(settings.position + 1, () => {
        if (timer) timer = setTimeout(next, PAUSE + (still.matches ? MOVEMENT : 0));
      });
    };
    timer = setTimeout(next, 0);
  }

  function step(by) {
    stop();
    const next = Math.min(top, Math.max(0, settings.position + by));
    if (next === settings.position) return;
    moveTo(next, tell);
    save();
  }

  /** Route again with the settings, and draw everything. */
  function reroute() {
    routing = route(user, settings);
    bars = weightBars(user, shapes, settings.interests, (film) => drawn.mark(film));
    put(parts.bars, bars.element);
    draw(settings.position);
  }

  /** Draw the picture for the width of the page. */
  function resize() {
    const size = sizeOfPicture();
    if (drawn?.size?.join() === size.join()) return;
    drawn = { ...picture(user, base, recorded.iterations, size, shapes), size };
    put(figure, drawn.element, parts.caption);
  }

  const controls = makeControls(users, settings, top, { play, place, reroute, tell, stop });
  resize();
  reroute();
  controls.showPosition(settings.position);
  const observer = new ResizeObserver(() => {
    if (!figure.isConnected) {
      observer.disconnect();
      return;
    }
    resize();
    draw(settings.position);
  });
  observer.observe(figure);
  const element = [
    h("h2", "One user, several tastes: how MIND finds them"),
    h("p.why", introduction(user.template.metadata.config, top)),
    h(
      "div.overview",
      h("div.overview-main", controls.main, figure, controls.sliders),
      h("div.overview-side", notes.element, parts.bars, legend(user, drawn), colourNote(recorded.mostInterests)),
    ),
    links(users, settings.user, goTo),
  ];
  return { element, step, stop, text };
}

const still = matchMedia("(prefers-reduced-motion: reduce)");

function sizeOfPicture() {
  const width = document.documentElement.clientWidth;
  if (width < 900) return [Math.max(280, width - 32), Math.max(300, Math.min(460, width - 50))];
  const column = Math.min(1216, width - 64) * 0.54;
  return [Math.round(column), Math.round(Math.min(470, column * 0.7))];
}

/** Return weights and capsules at a position; between two iterations they are interpolated. */
function frameAt(routing, position) {
  const [low, share] = [Math.floor(position), position % 1];
  const mix = (a, b) => Array.from(a, (x, k) => x + share * (b[k] - x));
  const before = weightsAt(routing, low);
  const after = weightsAt(routing, Math.min(low + 1, routing.iterations));
  const weights = before.map((row, i) => (share ? mix(row, after[i]) : [...row]));
  const paths = range(routing.interests).map((k) => {
    const path = range(low).map((t) => [...routing.capsules[t][k]]);
    if (share) {
      const next = routing.capsules[low][k];
      path.push(mix(path.at(-1) ?? new Float64Array(next.length), next));
    }
    return path;
  });
  return { weights, paths };
}
