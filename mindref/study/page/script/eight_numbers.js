// The numbers of the eight pictures: routing of one user, without padding and inactive interests.

import { label } from "./explain.js";
import { argmax, ownerOf, range } from "./numbers.js";
import { filmOrder, pictureUsers } from "./picture_routing.js";
import { iterationsOf } from "./unroll.js";
import { rowsOf } from "./views.js";

/** Return the films in the order of the overview; without genres, the oldest first. */
function inOrder(films, index) {
  const user = pictureUsers().find(({ trace, titles }) => trace === index && titles.length === films.length);
  return user ? filmOrder(user).map((k) => films[k]) : films;
}

/** Return the numbers of routing of trace `index` without padding; undefined for no film. */
export function routingOf(trace, index) {
  const iterations = iterationsOf(trace);
  const positions = (name) => {
    const { data } = trace.tensors.get(name);
    return [...data.keys()].filter((k) => data[k]);
  };
  const [history, interests] = [positions("mask"), positions("active")];
  if (history.length === 0) return undefined;
  const films = inOrder(history, index);
  const table = (name) => {
    const rows = rowsOf(trace.tensors.get(name));
    return films.map((i) => interests.map((k) => rows[i][k]));
  };
  const vectors = (name) => interests.map((k) => rowsOf(trace.tensors.get(name))[k]);
  const votes = rowsOf(trace.tensors.get("Se"));
  const weights = range(iterations).map((t) => table(`w[${t + 1}]`));
  const hero = heroOf(weights);
  return {
    ...{ iterations, weights, hero, config: trace.metadata.config },
    positions: films.map((i) => history.indexOf(i) + 1),
    titles: films.map((i) => label(trace, "behaviour", i)),
    names: interests.map((k) => label(trace, "interest", k)),
    interest: argmax(weights[Math.min(1, iterations - 1)][hero]),
    most: trace.tensors.get("active").data.length,
    items: films.map((i) => rowsOf(trace.tensors.get("e"))[i]),
    votes: films.map((i) => votes[i]),
    logits: table("b[1]"),
    agreement: iterations > 1 ? table("a[1]") : null,
    sums: vectors("z[1]"),
    capsules: vectors("u[1]"),
    changes: trace.steps
      .filter(({ kind, change }) => kind === "routing.weights" && change)
      .map(({ number, change }) => [number, change]),
  };
}

/** Return the film of the pictures: of the films that move in iteration 2, the clearest move. */
function heroOf([first, second = first]) {
  const rise = (i) => Math.max(...second[i]) - first[i][argmax(second[i])];
  const moved = [...first.keys()].filter((i) => ownerOf(first[i]) !== ownerOf(second[i]));
  const among = moved.length ? moved : [...first.keys()];
  return among.reduce((best, i) => (rise(i) > rise(best) ? i : best), among[0]);
}
