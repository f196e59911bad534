// The eight pictures: sentences, the number to look at, and the numbers as a table.

import { label } from "./explain.js";
import { cosine, minus, norm, range } from "./numbers.js";
import {
  drawAgain,
  drawAgreement,
  drawFilms,
  drawLogits,
  drawSquash,
  drawSum,
  drawVectors,
  drawVotes,
} from "./eight_drawings.js";
import { iterationsOf } from "./unroll.js";
import { rowsOf } from "./views.js";

const two = (x) => minus(x.toFixed(2));
const three = (x) => minus(x.toFixed(3));
const largest = (row) => row.indexOf(Math.max(...row));

/** Return the numbers of routing without padding and inactive interests; undefined for no film. */
export function routingOf(trace) {
  const iterations = iterationsOf(trace);
  const positions = (name) => {
    const { data } = trace.tensors.get(name);
    return [...data.keys()].filter((k) => data[k]);
  };
  const [films, interests] = [positions("mask"), positions("active")];
  if (films.length === 0) return undefined;
  const table = (name) => {
    const rows = rowsOf(trace.tensors.get(name));
    return films.map((i) => interests.map((k) => rows[i][k]));
  };
  const vectors = (name) => interests.map((k) => rowsOf(trace.tensors.get(name))[k]);
  const votes = rowsOf(trace.tensors.get("Se"));
  const weights = range(iterations).map((t) => table(`w[${t + 1}]`));
  const hero = heroOf(weights);
  return {
    ...{ iterations, weights, hero, squash: trace.metadata.config.squash },
    titles: films.map((i) => label(trace, "behaviour", i)),
    names: interests.map((k) => label(trace, "interest", k)),
    interest: largest(weights[Math.min(1, iterations - 1)][hero]),
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
  const rise = (i) => Math.max(...second[i]) - first[i][largest(second[i])];
  const moved = [...first.keys()].filter((i) => largest(first[i]) !== largest(second[i]));
  const among = moved.length ? moved : [...first.keys()];
  return among.reduce((best, i) => (rise(i) > rise(best) ? i : best), among[0]);
}

/** Return the pair of different films with the most similar vectors. */
export function closestFilms({ items, titles }) {
  let best = [0, 0, -Infinity];
  items.forEach((x, i) => {
    for (let j = 0; j < i; j += 1) {
      const c = cosine(x, items[j]);
      if (titles[i] !== titles[j] && c > best[2]) best = [j, i, c];
    }
  });
  return best;
}

/** Return the table of one number for each film and interest. */
const filmTable = (caption, { titles, names }, rows, format = two) => [
  caption,
  ["film", ...names],
  titles.map((title, i) => [title, ...rows[i].map((x) => format(x))]),
];

const moves = ([before, after]) =>
  after ? [...before.keys()].filter((i) => largest(before[i]) !== largest(after[i])).length : 0;

const films = {
  name: "films",
  text: ({ titles }) => [
    `The history has ${titles.length} films. The model sees film ids only, no titles and no genres.`,
  ],
  number: ({ titles, names, most }) => [
    String(names.length),
    `${names.length === 1 ? "interest is" : "interests are"} active: log2 of ${titles.length} films, rounded down, at most ${most}`,
  ],
  drawing: drawFilms,
  table: ({ titles }) => [
    "The history, oldest first",
    ["position", "film"],
    titles.map((title, i) => [String(i + 1), title]),
  ],
};

const vectors = {
  name: "vectors",
  text: () => [
    "Each film has an item vector e. The matrix S maps it to the vote S e.",
    "Films with the same users have similar vectors. The picture shows the plane of the largest differences.",
  ],
  number: (x) => {
    const [i, j, c] = closestFilms(x);
    return x.titles.length > 1
      ? [two(c), `is the cosine of ${x.titles[i]} and ${x.titles[j]}; 1 is the same direction`]
      : [two(norm(x.items[0])), `is the length of the vector of ${x.titles[0]}`];
  },
  drawing: (x, text) => drawVectors(x, text, closestFilms(x)),
  table: (x) => [
    "Lengths of the vectors",
    ["film", "|e|", "|S e|"],
    x.titles.map((title, i) => [title, two(norm(x.items[i])), two(norm(x.votes[i]))]),
  ],
};

const guess = {
  name: "first guess",
  text: () => [
    "Each pair of film and interest has a routing logit b. The first logits are random.",
    "With equal logits, all interests would stay equal.",
  ],
  number: ({ logits, hero, interest, titles, names }) => [
    two(logits[hero][interest]),
    `is the first logit of ${titles[hero]} for ${names[interest]}`,
  ],
  drawing: drawLogits,
  table: (x) => filmTable("Initial logits b", x, x.logits),
};

const vote = {
  name: "vote",
  text: () => [
    "A softmax over the interests turns the logits of a film into coupling weights w.",
    "The weights of a film sum to 1: each film divides one vote among the interests.",
  ],
  number: ({ weights, hero, interest, titles, names }) => [
    two(weights[0][hero][interest]),
    `of its vote is what ${titles[hero]} gives to ${names[interest]}`,
  ],
  drawing: (x, text) => drawVotes(x, text),
  table: (x) => filmTable("Coupling weights w of iteration 1", x, x.weights[0]),
};

const sum = {
  name: "sum",
  text: ({ names, interest }) => [
    "Each interest adds the votes S e, each times its coupling weight. The result is the sum z.",
    `The picture adds the weighted votes for ${names[interest]} one after the other.`,
  ],
  number: ({ sums, names, interest }) => [
    two(norm(sums[interest])),
    `is the length of the sum z of ${names[interest]}`,
  ],
  drawing: drawSum,
  table: (x) => [
    `Votes for ${x.names[x.interest]}`,
    ["film", "weight w", "|w S e|"],
    x.titles.map((title, i) => {
      const w = x.weights[0][i][x.interest];
      return [title, two(w), two(w * norm(x.votes[i]))];
    }),
  ],
};

const squash = {
  name: "squash",
  text: ({ squash: kind }) => [
    kind === "squash"
      ? "Squash keeps the direction of z and makes its length n²/(1 + n²), which is below 1. The result is the capsule u."
      : kind === "unit"
        ? "This model keeps the direction of z and makes its length 1. The result is the capsule u."
        : "This model has no squash: the capsule u is the sum z.",
  ],
  number: ({ sums, capsules, interest, names }) => [
    three(norm(capsules[interest])),
    `is the length of the capsule of ${names[interest]}; its sum was ${two(norm(sums[interest]))} long`,
  ],
  drawing: drawSquash,
  table: ({ sums, capsules, names }) => [
    "Lengths before and after squash",
    ["interest", "|z|", "|u|"],
    names.map((name, k) => [name, two(norm(sums[k])), three(norm(capsules[k]))]),
  ],
};

const agreement = {
  name: "agreement",
  text: ({ agreement: a }) => [
    a
      ? "The agreement is the inner product of vote and capsule. It is added to the logit."
      : "This model has one iteration, so no agreement is computed.",
    ...(a ? ["A film that points where a capsule points gives it more of its next vote."] : []),
  ],
  number: ({ agreement: a, logits, hero, interest, titles, names }) =>
    a
      ? [
          two(a[hero][interest]),
          `is the agreement of ${titles[hero]} with ${names[interest]}; its logit becomes ${two(logits[hero][interest] + a[hero][interest])}`,
        ]
      : ["0", "agreements are computed"],
  drawing: drawAgreement,
  table: (x) => filmTable("Agreement a of iteration 1", x, x.agreement ?? x.logits.map(() => [])),
};

const again = {
  name: "again",
  text: ({ changes, iterations }) => [
    `Vote, sum, squash and agreement are repeated. This model stops after iteration ${iterations}.`,
    ...changes.map(([number, text]) => `Iteration ${number}: ${text}`),
  ],
  number: ({ weights, iterations }) => [
    String(moves(weights)),
    iterations > 1
      ? `of ${weights[0].length} films change their largest interest in iteration 2`
      : "films change, because there is one iteration",
  ],
  drawing: drawAgain,
  table: (x) => [
    "Interest with the largest coupling weight",
    ["film", ...x.weights.map((_, t) => `iteration ${t + 1}`)],
    x.titles.map((title, i) => [
      title,
      ...x.weights.map((w) => `${x.names[largest(w[i])]} (${two(Math.max(...w[i]))})`),
    ]),
  ],
};

/** The pictures in order. */
export const PICTURES = [films, vectors, guess, vote, sum, squash, agreement, again];
