// The eight pictures: sentences, the number to look at, and the numbers as a table.

import { drawAgreement, drawSquash, drawSum, drawVectors } from "./eight_drawings.js";
import { drawAgain, drawFilms, drawLogits, drawWeights, shownIterations } from "./eight_rows.js";
import { brief, cosine, norm, ownerOf, two } from "./numbers.js";
import { amount } from "./picture_text.js";

/** Return [i, j, cosine] of the two different films with the most similar votes; null for one film. */
function closestFilms({ votes, titles }) {
  let best = null;
  votes.forEach((x, i) => {
    for (let j = 0; j < i; j += 1) {
      const c = cosine(x, votes[j]);
      if (titles[i] !== titles[j] && (best === null || c > best[2])) best = [j, i, c];
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

const isUniform = ({ config }) => config.routing === "uniform";

/** Return why a history has its number of interests. */
function interestRule({ titles, names, most, config }) {
  const verb = names.length === 1 ? "interest is" : "interests are";
  if (config.interest_count !== "log2")
    return `${verb} active: this model has ${most} for every history`;
  const least = titles.length < 2 ? "at least 1 and " : "";
  return `${verb} active: log2 of ${amount(titles.length, "films")}, rounded down, ${least}at most ${most}`;
}

const moves = ([before, after]) =>
  after ? [...before.keys()].filter((i) => ownerOf(before[i]) !== ownerOf(after[i])).length : 0;

const films = {
  name: "films",
  text: ({ titles }) => [
    `The history has ${amount(titles.length, "films")}. The model sees film ids only, no titles and no genres.`,
    "The number of a film is its position in the history; 1 is the oldest. Routing does not use the order.",
  ],
  number: (x) => [String(x.names.length), interestRule(x)],
  drawing: drawFilms,
  table: ({ titles, positions }) => [
    "The films of the history",
    ["position", "film"],
    titles.map((title, i) => [String(positions[i]), title]),
  ],
};

const vectors = {
  name: "vectors",
  text: () => [
    "Each film has an item vector e. The matrix S maps it to the vote S e.",
    "Films with the same users have similar vectors. The picture shows the votes in the plane of their largest differences.",
  ],
  number: (x) => {
    const pair = closestFilms(x);
    if (!pair) return [two(norm(x.votes[0])), `is the length of the vote of ${x.titles[0]}`];
    const [i, j, c] = pair;
    return [two(c), `is the cosine of the votes of ${x.titles[i]} and ${x.titles[j]}; 1 is the same direction`];
  },
  drawing: (x, text) => drawVectors(x, text, closestFilms(x)?.slice(0, 2) ?? [0]),
  table: (x) => [
    "Lengths of the vectors",
    ["film", "|e|", "|S e|"],
    x.titles.map((title, i) => [title, two(norm(x.items[i])), two(norm(x.votes[i]))]),
  ],
};

/** Return where the first logits come from. */
function firstLogits(x) {
  if (isUniform(x)) return "The routing of this model is uniform: all logits are 0.";
  if (x.config.sigma === 0)
    return "Sigma of this model is 0, so the first logits are 0, and all interests stay equal.";
  return `The first logits are random.${x.names.length > 1 ? " With equal logits, all interests would stay equal." : ""}`;
}

const guess = {
  name: "first guess",
  text: (x) => [
    `Each pair of film and interest has a routing logit b. ${firstLogits(x)}`,
    "A filled circle is a positive logit, an empty circle a negative logit. The area is the size.",
  ],
  number: ({ logits, hero, interest, titles, names }) => [
    two(logits[hero][interest]),
    `is the first logit of ${titles[hero]} for ${names[interest]}`,
  ],
  drawing: drawLogits,
  table: (x) => filmTable("Initial logits b", x, x.logits),
};

const weights = {
  name: "weights",
  text: ({ config }) =>
    config.routing_axis === "behaviours"
      ? [
          "A softmax over the films turns the logits of an interest into coupling weights w.",
          "The weights of an interest sum to 1: each interest divides a weight of 1 among the films.",
        ]
      : [
          "A softmax over the interests turns the logits of a film into coupling weights w.",
          "The weights of a film sum to 1: each film divides a weight of 1 among the interests.",
        ],
  number: ({ weights: w, hero, interest, titles, names }) => [
    two(w[0][hero][interest]),
    `is the weight of ${titles[hero]} for ${names[interest]}`,
  ],
  drawing: drawWeights,
  table: (x) => filmTable("Coupling weights w of iteration 1", x, x.weights[0]),
};

const sum = {
  name: "sum",
  text: ({ names, interest, titles, hero, weights: w }) => [
    "Each interest adds the votes S e, each times its coupling weight. The result is the sum z.",
    `The picture adds the weighted votes for ${names[interest]} one after the other. The first, bold arrow is ${two(w[0][hero][interest])} times the vote of ${titles[hero]}.`,
  ],
  number: ({ sums, names, interest }) => [
    two(norm(sums[interest])),
    `is the length of the sum z of ${names[interest]}`,
  ],
  drawing: drawSum,
  table: (x) => [
    `Weighted votes for ${x.names[x.interest]}`,
    ["film", "weight w", "|w S e|"],
    x.titles.map((title, i) => {
      const w = x.weights[0][i][x.interest];
      return [title, two(w), two(w * norm(x.votes[i]))];
    }),
  ],
};

const squash = {
  name: "squash",
  text: ({ config: { squash: kind } }) => [
    kind === "squash"
      ? "Squash keeps the direction of z. If z has the length n, the capsule u has the length n²/(1 + n²), which is below 1."
      : kind === "unit"
        ? "This model keeps the direction of z and makes its length 1. The result is the capsule u."
        : "This model has no squash: the capsule u is the sum z.",
    ...(kind === "none"
      ? []
      : ["Without this limit, a long sum would have large agreements only because it is long."]),
  ],
  number: ({ sums, capsules, interest, names }) => [
    brief(norm(capsules[interest])),
    `is the length of the capsule of ${names[interest]}; its sum was ${two(norm(sums[interest]))} long`,
  ],
  drawing: drawSquash,
  table: ({ sums, capsules, names }) => [
    "Lengths before and after squash",
    ["interest", "|z|", "|u|"],
    names.map((name, k) => [name, two(norm(sums[k])), brief(norm(capsules[k]))]),
  ],
};

const oneIteration = (x) => `${isUniform(x) ? "Uniform routing" : "This model"} has one iteration`;

const agreement = {
  name: "agreement",
  text: (x) =>
    x.agreement
      ? [
          "The agreement is the inner product of vote and capsule. It is added to the logit.",
          "A film gives more of its next weight to an interest that points its way.",
        ]
      : [`${oneIteration(x)}, so no agreement is computed.`],
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

/** Return which iterations are drawn, if the picture leaves some out. */
function partSentence(x) {
  const shown = shownIterations(x).map((t) => t + 1);
  if (shown.length === x.iterations) return [];
  return [`The picture shows iterations ${shown.slice(0, -1).join(", ")} and ${shown.at(-1)}.`];
}

const again = {
  name: "again",
  text: (x) =>
    x.iterations > 1
      ? [
          `Weights, sum, squash and agreement are computed again. This model stops after iteration ${x.iterations}.`,
          ...partSentence(x),
          "A triangle ▸ marks a film whose largest weight is for another interest than in the iteration on its left.",
          ...x.changes
            .filter(([n]) => [n - 2, n - 1].every((t) => shownIterations(x).includes(t)))
            .map(([number, text]) => `Iteration ${number}: ${text}`),
        ]
      : [`${oneIteration(x)}, so nothing is computed again.`],
  number: ({ weights, iterations }) => {
    const moved = moves(weights);
    if (iterations === 1) return ["0", "films change, because there is one iteration"];
    const films = amount(weights[0].length, "films");
    const change = moved === 1 ? "changes its" : "change their";
    return [String(moved), `of ${films} ${change} largest interest in iteration 2`];
  },
  drawing: drawAgain,
  table: (x) => [
    "Interest with the largest coupling weight",
    ["film", ...x.weights.map((_, t) => `iteration ${t + 1}`)],
    x.titles.map((title, i) => [
      title,
      ...x.weights.map((w) => `${x.names[ownerOf(w[i])] ?? "equal"} (${two(Math.max(...w[i]))})`),
    ]),
  ],
};

/** The pictures in order. */
export const PICTURES = [films, vectors, guess, weights, sum, squash, agreement, again];
