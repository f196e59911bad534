// Sentences of the overview, from the numbers of the shown position.

import { h } from "./dom.js";
import { COLOUR_COUNT } from "./interest_colours.js";
import { brief, cosine, norm, ownerOf, range, two } from "./numbers.js";
import { weightsAt } from "./picture_routing.js";

/** Return for each film the interest with its largest weight, from 0; -1 for none or a tie. */
const owners = (routing, position) => weightsAt(routing, position).map(ownerOf);

/** Return [name, count] of the groups of some films, the most frequent first. */
function countGroups(groups, films) {
  const counts = new Map();
  for (const i of films) counts.set(groups[i], (counts.get(groups[i]) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]);
}

const filmsOf = (owner, k) => [...owner.keys()].filter((i) => owner[i] === k);

/** Return a count with its noun: "1 film", "2 films". */
export const amount = (count, plural) =>
  `${count} ${count === 1 ? plural.replace(/ies$/, "y").replace(/s$/, "") : plural}`;

/** Return a number of films of a group: "2 westerns"; a name that is no plural: "2 films of Drama". */
const amountOf = (group, count) =>
  /^[a-z].*s$/.test(group) ? amount(count, group) : `${amount(count, "films")} of ${group}`;

/** Return the films whose largest weight is for interest k, as a sentence. */
function filmsSentence(user, owner, k) {
  const films = filmsOf(owner, k);
  const start = `Interest ${k + 1} has the largest weight of`;
  if (films.length === 0) return `${start} no film.`;
  if (user.groups.length === 0) return `${start} ${amount(films.length, "films")}.`;
  const parts = countGroups(user.groups, films).map(([group, n]) => amountOf(group, n));
  const last = parts.pop();
  return `${start} ${parts.length ? `${parts.join(", ")} and ` : ""}${last}.`;
}

/** Return the mean over films of the largest coupling weight. */
function meanLargest(routing, position) {
  const rows = weightsAt(routing, position);
  return rows.reduce((a, row) => a + Math.max(...row), 0) / rows.length;
}

/** Return the lengths of the arrows of a position: the smallest and the largest. */
function lengthsSentence({ capsules, interests }, position) {
  const lengths = capsules[position - 1].map(norm);
  const [low, high] = [Math.min(...lengths), Math.max(...lengths)].map(brief);
  if (interests === 1) return `The arrow is ${low} long.`;
  return low === high ? `Each arrow is ${low} long.` : `The arrows are ${low} to ${high} long.`;
}

/** Return whether all weights of a position are equal. */
function equalWeights(routing, position) {
  const all = weightsAt(routing, position).flatMap((row) => [...row]);
  return Math.max(...all) - Math.min(...all) <= 1e-12;
}

/** Return why all weights are equal: "", or a sentence with a space before it. */
const reasonOfEqual = ({ uniform, sigma }) =>
  uniform
    ? " The routing of this model is uniform: all logits are 0."
    : sigma === 0
      ? " Sigma is 0, so all initial logits are 0."
      : "";

/** Describe the weights of the initial logits. */
function startSentence(routing) {
  if (equalWeights(routing, 0)) {
    const weight = two(weightsAt(routing, 0)[0][0]);
    return `All weights are ${weight}.${reasonOfEqual(routing)}`;
  }
  const random = "The weights come from random initial logits.";
  if (routing.axis === "behaviours")
    return `${random} The softmax runs over films: the weights of an interest sum to 1.`;
  const mean = two(meanLargest(routing, 0));
  const equal = two(1 / routing.interests);
  return `${random} The largest weight of a film is ${mean} on average; ${equal} would be an equal mixture.`;
}

const allOnes = ({ weights }) =>
  weights.every((rows) => rows.every((row) => row.every((w) => w === 1)));

/** Return what MIND does with a history, for the settings of a model. */
export function introduction({ routing_axis: axis, routing }, iterations) {
  const aim =
    "To recommend films, MIND computes one vector for each interest; a single vector would mix the tastes.";
  if (routing === "uniform")
    return `${aim} The routing of this model is uniform: every film gives the same weight to each interest, so all interests are equal. It is a baseline.`;
  const weights =
    axis === "behaviours"
      ? "each interest divides a weight of 1 among the films"
      : "each film divides a weight of 1 among the interests";
  const iteration = `${aim} In each iteration of routing, ${weights}, and each interest turns towards films with large weights.`;
  return iterations > 1
    ? `${iteration} The agreement of vote and capsule is then added to the logit: a film gives more weight to an interest that points its way.`
    : `${iteration} This model has one iteration, so no weight changes.`;
}

/** Return a note that colours repeat, for more interests than there are colours; else null. */
export const colourNote = (interests) =>
  interests > COLOUR_COUNT &&
  h("p.note", `There are ${COLOUR_COUNT} colours: interest ${COLOUR_COUNT + 1} has the colour of interest 1, and so on.`);

/** Describe a position: where its weights come from, and the films of each interest. */
export function caption(user, routing, position) {
  const { interests } = routing;
  const single = interests === 1 && allOnes(routing);
  if (position === 0) {
    const start = "Before iteration 1: there is no arrow.";
    if (single) return `${start} There is one interest, so all weights are 1.`;
    return `${start} ${startSentence(routing)}`;
  }
  const lengths = lengthsSentence(routing, position);
  if (single) return `Iteration ${position}: all weights are 1, as in every iteration. ${lengths}`;
  if (interests > 1 && equalWeights(routing, position))
    return `Iteration ${position}: all weights are equal, so no interest has the largest weight of a film.${reasonOfEqual(routing)} ${lengths}`;
  const source =
    position === 1 && routing.sigma > 0
      ? "these weights, still those of the random logits, made these arrows"
      : "these weights made these arrows";
  const owner = owners(routing, position);
  const parts = range(interests).map((k) => filmsSentence(user, owner, k));
  return `Iteration ${position}: ${source}. ${parts.join(" ")} ${lengths}`;
}

/** Return how many films give their largest weight to an interest of another group.
 *
 * The group of an interest is the most frequent group of the films with the largest weight for it.
 */
function inOtherGroup(user, owner, interests) {
  const inGroup = range(interests).map(
    (k) => countGroups(user.groups, filmsOf(owner, k))[0]?.[1] ?? 0,
  );
  return owner.filter((k) => k >= 0).length - inGroup.reduce((a, x) => a + x, 0);
}

/** Return [before, after]: films in another group after iteration `stop` and after the last. */
const otherGroups = (user, routing, stop) =>
  [stop, routing.iterations].map((position) =>
    inOtherGroup(user, owners(routing, position), routing.interests),
  );

/** Return whether `stop` iterations leave more than a fifth of the films in another group. */
function isHardCase(user, routing, stop) {
  if (user.groups.length === 0 || routing.iterations <= stop) return false;
  const [before, after] = otherGroups(user, routing, stop);
  return before > user.groups.length / 5 && after < before;
}

/** Return what to do, for the iterations before the last of the model. */
export function whatToDo(user, routing, stop) {
  const watch = user.groups.length
    ? "Watch whether the films of a genre take the colour of one interest, and whether its arrow turns to them."
    : "Watch which films take the colour of an interest, and how its arrow turns to them.";
  const hard = isHardCase(user, routing, stop)
    ? ` This user is a hard case: ${stop} iterations are not enough.`
    : "";
  const play = "Press Play, or move the slider of the iteration.";
  if (allOnes(routing)) return `${play} All weights are 1, so each iteration makes the same arrow.`;
  if (equalWeights(routing, 0))
    return `${play} All weights are equal, so no film takes the colour of one interest.`;
  const colour =
    routing.axis === "behaviours" ? "" : " At first the weights are random, so the films are nearly grey.";
  return `${play}${colour} ${watch}${hard}`;
}

/** Return what the iterations beyond those of the model do for this user. */
export function furtherIterations(user, routing, stop) {
  const { iterations, interests } = routing;
  if (iterations <= stop) return `The model stops at ${stop}.`;
  const [before, after] = [stop, iterations].map((position) => owners(routing, position));
  const start = `The model stops at ${stop}. Iterations ${stop + 1} to ${iterations} show where routing would go`;
  const moved = before.filter((k, i) => k !== after[i]).length;
  if (interests === 1) return `${start}.`;
  if (equalWeights(routing, stop) && equalWeights(routing, iterations))
    return `${start}: all weights stay equal.`;
  if (moved === 0) return `${start}: no film changes its largest interest.`;
  const change = moved === 1 ? "film changes its" : "films change their";
  const movement = `${start}: ${moved} ${change} largest interest.`;
  if (user.groups.length === 0) return movement;
  const [x, y] = otherGroups(user, routing, stop);
  const all = before.length;
  const count = `fter iteration ${stop}, ${x} of ${all} films ${x === 1 ? "gives its" : "give their"} largest weight to an interest of another genre; after iteration ${iterations}, ${y} of ${all}.`;
  const hard = isHardCase(user, routing, stop)
    ? `${stop} iterations are not enough for this user: a${count}`
    : `A${count}`;
  return `${movement} ${hard} The genre of an interest is the most frequent genre of its films.`;
}

/** Return the mean over films of the largest cosine between the vote and a capsule. */
function meanBestCosine({ votes, capsules }, position) {
  const active = capsules[position - 1].filter((u) => u.some((x) => x !== 0));
  const best = votes.map((vote) => Math.max(...active.map((u) => cosine(vote, u))));
  return best.reduce((a, x) => a + x, 0) / best.length;
}

/** Return why one vector is not enough for this user, after the iterations of the model. */
export function singleVector(one, several, stop) {
  const cosines = [one, several].map((routing) => meanBestCosine(routing, stop));
  const [low, high] = cosines.map(two);
  const start = allOnes(one)
    ? "all weights are 1, so no iteration changes anything. The one vector has the direction of the sum of all votes."
    : "there is one vector.";
  return `K = 1: ${start} After iteration ${stop}, the cosine between a film and this vector is ${low} on average. With ${several.interests} interests, the cosine with the best interest is ${high}. ${conclusion(cosines, several)}`;
}

const CLEARLY = 0.1; // cosine by which several interests must be nearer to the films

/** Return what two cosines show: those of one vector and of the model's interests. */
function conclusion([one, best], several) {
  if (best - one > CLEARLY) return "One vector is not enough for several tastes.";
  return separationSentence(several) || "For this user, one vector is nearly as close to the films.";
}

/** Return that routing did not separate the interests, and why; "" if it did. */
export function separationSentence(routing) {
  const { capsules, interests, sigma, uniform } = routing;
  const last = capsules.at(-1);
  if (interests === 1 || last.some((u) => cosine(u, last[0]) <= 1 - 1e-9)) return "";
  if (uniform) return "All interests are equal: uniform routing does not separate interests.";
  if (sigma === 0)
    return "All interests are equal: sigma is 0, and with equal initial logits routing cannot separate them.";
  return "All interests have the same direction: routing did not separate them.";
}
