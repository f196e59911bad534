// One colour and one description for each tensor.

// light and dark form of each hue; contrast at least 4.5 : 1 as text (tested)
const HUES = {
  input: ["#5a5f66", "#aab0b8"],
  parameter: ["#7a4f12", "#d9b27c"],
  vote: ["#6d3fb8", "#bfa0f5"],
  logit: ["#9c4a06", "#f0a95a"],
  weight: ["#1d4ed8", "#8db0ff"],
  sum: ["#8a1c8a", "#e58ce5"],
  capsule: ["#04694c", "#4fcf9f"],
  agreement: ["#ad1457", "#f58ab8"],
  interest: ["#0b6579", "#4cc9e0"],
  attention: ["#4a6a0c", "#b2d45a"],
  item: ["#7c4a3a", "#dba893"],
  loss: ["#b3261e", "#ff9c93"],
};

const MEANINGS = {
  ids: ["input", "film ids of the history"],
  mask: ["input", "true for a film, false for padding"],
  e: ["item", "item vector of a film"],
  p: ["input", "vectors of the user's features"],
  n: ["input", "number of films in the history"],
  active: ["input", "true for an active interest"],
  allowed: ["input", "mask of routing: film and active interest"],
  S: ["parameter", "matrix S, shared by all pairs of film and interest"],
  W: ["parameter", "weights of a layer"],
  bias: ["parameter", "bias of a layer"],
  Se: ["vote", "vote S e of a film"],
  b: ["logit", "routing logit"],
  w: ["weight", "coupling weight"],
  z: ["sum", "weighted sum of the votes"],
  unit: ["sum", "direction of the sum z"],
  across: ["capsule", "length after squash over length before"],
  along: ["capsule", "derivative of the length after squash"],
  u: ["capsule", "capsule: squash of the sum z"],
  a: ["agreement", "agreement: inner product of vote and capsule"],
  x: ["interest", "input of a layer"],
  y: ["interest", "affine map, before the ReLU"],
  v: ["interest", "interest vector"],
  v1: ["interest", "interest vector, normalised to length 1"],
  s: ["attention", "score of an interest for the target"],
  c: ["attention", "signed power of the score, minus the largest"],
  h: ["attention", "attention weight of an interest"],
  q: ["attention", "user vector for this target"],
  t: ["item", "vector of the target"],
  neg: ["item", "vectors of the negatives"],
  o: ["loss", "logit of a negative, minus its log expected count"],
  o_t: ["loss", "logit of the target"],
  l: ["loss", "logit of a negative, accidental hits masked"],
  hits: ["input", "accidental hits: negatives equal to the target"],
  loss: ["loss", "loss of this training pair"],
  prob: ["loss", "probability of a negative"],
  target_id: ["input", "film id of the target"],
  negative_ids: ["input", "film ids of the negatives"],
  logq_t: ["input", "log expected count of the target"],
  logq: ["input", "log expected count of a negative"],
  beta: ["input", "inverse temperature"],
  q1: ["attention", "user vector, normalised to length 1"],
  t1: ["item", "vector of the target, normalised to length 1"],
  neg1: ["item", "vectors of the negatives, normalised to length 1"],
  target: ["item", "vector of the target, all uses"],
  query: ["item", "vector of the target as query of the attention"],
  E: ["item", "vectors of all films"],
  items: ["item", "rows of the item table"],
  score: ["interest", "score of a film for an interest"],
  best: ["interest", "score of a film: maximum over the active interests"],
  brought_by: ["interest", "interest with the largest score, from 0"],
  top: ["input", "the recommended films: positions in the table of films, from 0"],
};

// the part of a name after its dot
const PARTS = {
  index: ["input", "row numbers of the lookup"],
  rows: ["item", "rows of the lookup"],
  weights: ["input", "weight of each row in the mean"],
  beta1: ["input", "decay rate of the first moment"],
  beta2: ["input", "decay rate of the second moment"],
  complement1: ["input", "1 − beta1"],
  complement2: ["input", "1 − beta2"],
  mixed: [null, "as value of the attention"],
  across: [null, "length after normalising over length before"],
  value: [null, "before the step"],
  first: [null, "first moment before the step"],
  second: [null, "second moment before the step"],
  "value'": [null, "after the step"],
  "first'": [null, "first moment after the step"],
  "second'": [null, "second moment after the step"],
};

// names of a tensor in the source lines, where they differ from its symbol
const IN_CODE = {
  ids: ["ids", "items"],
  mask: ["mask"],
  e: ["history", "vectors", "out"],
  S: ["bilinear"],
  Se: ["votes"],
  b: ["logits", "init_logits"],
  w: ["weights"],
  u: ["capsules"],
  v: ["interests"],
  a: ["agreement", "agree"],
  p: ["profile"],
  W: ["weight"],
  y: ["out"],
  s: ["scores"],
  c: ["gaps", "gap", "scaled", "powered"],
  h: ["weights"],
  q: ["user"],
  t: ["target"],
  neg: ["negatives"],
  o: ["negative_logits"],
  o_t: ["target_logits"],
  l: ["negative_logits"],
  loss: ["losses", "out"],
  prob: ["p_negatives"],
  logq: ["negative_log_expected"],
  logq_t: ["target_log_expected"],
};

/** The axis that the integers of a tensor refer to: top to items, brought_by to interests. */
export const POSITIONS_OF = { top: "item", brought_by: "interest" };

/** Return the identifiers of a tensor in the source lines. */
export function inCode(name) {
  if (name.startsWith("from_z")) return ["votes_from_z"];
  if (name.startsWith("from_a")) return ["votes_from_agreement"];
  const words = [base(name), ...(IN_CODE[base(name)] ?? [])];
  if (name.includes(".")) words.push(name.split(".").at(-1));
  return name.startsWith("d_") ? words.map((word) => `d_${word}`) : words;
}

/** Return [colour group, description] of a tensor. */
function describe(name) {
  const part = PARTS[name.match(/\.(.+)$/)?.[1]];
  const meaningOfBase = MEANINGS[base(name)];
  if (!part) return meaningOfBase ?? ["input", ""];
  return [
    part[0] ?? meaningOfBase?.[0] ?? "input",
    part[0] || !meaningOfBase ? part[1] : `${meaningOfBase[1]}, ${part[1]}`,
  ];
}

/** Return the name without iteration or layer and without "d_". */
export function base(name) {
  return name
    .replace(/^(d_|from_z|from_a)/, "")
    .replace(/\[.*$/, "")
    .replace(/\..*$/, "");
}

/** Return the description of a tensor. */
export function meaning(name) {
  if (name.startsWith("from_z")) return "gradient with respect to the votes through the sum z";
  if (name.startsWith("from_a"))
    return "gradient with respect to the votes through the agreement a";
  if (/^d_.*\.rows$/.test(name)) return "row numbers of the item table with a gradient";
  const words = describe(name)[1];
  return name.startsWith("d_") && words ? `gradient of the loss with respect to: ${words}` : words;
}

/** Return whether the page has the dark theme. */
export function dark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Return the colour of a tensor as #rrggbb. */
export function hue(name) {
  const votes = name.startsWith("from_") ? "vote" : undefined;
  const group = votes ?? describe(name)[0];
  return HUES[group][dark() ? 1 : 0];
}

const parts = (hex) => [1, 3, 5].map((index) => parseInt(hex.slice(index, index + 2), 16));

/** Return a colour between two, as [r, g, b]. */
function between(from, to, share) {
  return parts(from).map((c, i) => Math.round(c + (parts(to)[i] - c) * share));
}

/** Return the relative luminance of [r, g, b] (WCAG 2). */
export function luminance(colour) {
  const [r, g, b] = colour.map((c) => {
    const x = c / 255;
    return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Return a function from a number's share of the largest to background and text colour.
 *
 * Positive numbers have the colour of the tensor, negative numbers are grey.
 */
export function shader(name) {
  const paper = dark() ? "#1b1d21" : "#ffffff";
  const [positive, negative] = [hue(name), dark() ? "#9aa0a8" : "#5f646b"];
  return (share, below) => {
    const ground = between(paper, below ? negative : positive, 0.92 * share);
    const light = luminance(ground);
    const text = (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff"; // the colour with more contrast
    return { ground: `rgb(${ground.join(",")})`, text };
  };
}
