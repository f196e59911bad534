// Sentences of the overview, from the numbers of the shown position.

import { range, cosine } from "./numbers.js";
import { weightsAt } from "./picture_routing.js";

const WORDS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight"];

/** Return the heading; the number is that of the active interests. */
export function heading(interests) {
  const tastes = `${WORDS[interests] ?? interests} ${interests === 1 ? "taste" : "tastes"}`;
  return `One user, ${tastes}: how MIND finds ${interests === 1 ? "it" : "them"}`;
}

const largest = (row) => (row.some((w) => w > 0) ? row.indexOf(Math.max(...row)) : -1);

/** Return for each film the interest with its largest weight, from 0; -1 for none. */
export const owners = (routing, position) => weightsAt(routing, position).map(largest);

/** Return [name, count] of the groups of some films, the most frequent first. */
function countGroups(groups, films) {
  const counts = new Map();
  for (const i of films) counts.set(groups[i], (counts.get(groups[i]) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

function pointsTo(user, owner, k) {
  const films = [...owner.keys()].filter((i) => owner[i] === k);
  const name = `interest ${k + 1}`;
  if (films.length === 0) return `${name} has the largest weight of no film`;
  const count = `${films.length} ${films.length === 1 ? "film" : "films"}`;
  if (user.groups.length === 0) return `${name} has the largest weight of ${count}`;
  const groups = countGroups(user.groups, films).map(([group, n]) => `${group} (${n})`);
  const last = groups.pop();
  return `${name} points to ${groups.length ? `${groups.join(", ")} and ` : ""}${last}`;
}

/** Return the mean over films of the largest coupling weight. */
function meanLargest(routing, position) {
  const rows = weightsAt(routing, position);
  return rows.reduce((a, row) => a + Math.max(...row), 0) / rows.length;
}

/** Describe a position: the films of each interest. */
export function caption(user, routing, position) {
  if (position === 0) {
    const mean = meanLargest(routing, 0).toFixed(2);
    const equal = (1 / routing.interests).toFixed(2);
    return `Before iteration 1: there is no arrow. The weights come from random initial logits. The largest weight of a film is ${mean} on average; ${equal} would be an equal mixture.`;
  }
  if (routing.interests === 1)
    return `Iteration ${position}: the only interest has the whole vote of every film.`;
  const owner = owners(routing, position);
  const parts = range(routing.interests).map((k) => pointsTo(user, owner, k));
  return `Iteration ${position}: ${parts.join("; ")}.`;
}

/** Return how many films are of the most frequent group of their interest. */
function inMainGroup(user, owner, interests) {
  return range(interests).reduce((total, k) => {
    const films = [...owner.keys()].filter((i) => owner[i] === k);
    return total + (countGroups(user.groups, films)[0]?.[1] ?? 0);
  }, 0);
}

/** Return what the iterations beyond those of the model do for this user. */
export function furtherIterations(user, routing, stop) {
  const { iterations, interests } = routing;
  if (iterations <= stop) return `The model stops at ${stop}.`;
  const [before, after] = [owners(routing, stop), owners(routing, iterations)];
  const more = `Iterations ${stop + 1} to ${iterations} show where routing would go`;
  const start = `The model stops at ${stop}. ${more}`;
  const moved = before.filter((k, i) => k !== after[i]).length;
  if (interests === 1) return `${start}.`;
  if (moved === 0) return `${start}: no film changes its largest interest.`;
  const change = moved === 1 ? "film changes its" : "films change their";
  const films = `${moved} ${change} largest interest`;
  if (user.groups.length === 0) return `${start}: ${films}.`;
  const [x, y] = [before, after].map((owner) => inMainGroup(user, owner, interests));
  const all = before.length;
  const count = `After iteration ${stop}, ${x} of ${all} films are in the main genre of their interest; after iteration ${iterations}, ${y} of ${all}.`;
  return `${start}: ${films}. ${count}`;
}

/** Return the mean over films of the largest cosine between the vote and a capsule. */
export function meanBestCosine({ votes, capsules }, position) {
  const active = capsules[position - 1].filter((u) => u.some((x) => x !== 0));
  const best = votes.map((vote) => Math.max(...active.map((u) => cosine(vote, u))));
  return best.reduce((a, x) => a + x, 0) / best.length;
}

/** Return why one vector is not enough for this user. */
export function singleVector(user, one, several) {
  const [low, high] = [one, several].map((routing) =>
    meanBestCosine(routing, routing.iterations).toFixed(2),
  );
  return `K = 1: one arrow points between all ${user.groups.length ? "genres" : "films"}. After iteration ${one.iterations}, the cosine between a film and the vector is ${low} on average. With ${several.interests} interests, the cosine with the best interest is ${high}. One vector is not enough for ${WORDS[several.interests] ?? several.interests} tastes.`;
}

/** Return whether all capsules of the last iteration are the same; routing cannot separate them. */
export function allEqual({ capsules, interests }) {
  const last = capsules.at(-1);
  return interests > 1 && last.every((u) => cosine(u, last[0]) > 1 - 1e-9);
}
