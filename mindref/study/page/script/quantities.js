// One colour and one name for each quantity, everywhere in the page.

// light and dark form of each hue; both reach 4.5 : 1 as text on the page (tests measure it)
const HUES = {
  given: ["#5a5f66", "#aab0b8"],
  parameter: ["#7a4f12", "#d9b27c"],
  vote: ["#6d3fb8", "#bfa0f5"],
  logit: ["#9c4a06", "#f0a95a"],
  weight: ["#1d4ed8", "#8db0ff"],
  capsule: ["#04694c", "#4fcf9f"],
  agreement: ["#ad1457", "#f58ab8"],
  interest: ["#0b6579", "#4cc9e0"],
  attention: ["#4a6a0c", "#b2d45a"],
  item: ["#7c4a3a", "#dba893"],
  loss: ["#b3261e", "#ff9c93"],
};

const MEANINGS = {
  ids: ["given", "items of the history"],
  mask: ["given", "which places hold a behaviour"],
  e: ["item", "vector of a behaviour"],
  p: ["given", "vectors of the user's features"],
  n: ["given", "number of behaviours"],
  active: ["given", "which interests the user has"],
  allowed: ["given", "which pairs take part"],
  S: ["parameter", "bilinear map, shared by all pairs"],
  W: ["parameter", "weights of a layer"],
  bias: ["parameter", "bias of a layer"],
  m: ["vote", "mapped behaviour, its vote"],
  b: ["logit", "routing logit"],
  w: ["weight", "coupling weight"],
  z: ["capsule", "weighted sum of votes"],
  unit: ["capsule", "direction of the sum"],
  across: ["capsule", "new length over old"],
  along: ["capsule", "slope of the new length"],
  v: ["capsule", "capsule, the squashed sum"],
  a: ["agreement", "agreement of vote and capsule"],
  x: ["interest", "what a layer is given"],
  y: ["interest", "affine map, before the rectifier"],
  u: ["interest", "interest vector"],
  u1: ["interest", "interest vector, of length one"],
  s: ["attention", "score of an interest"],
  g: ["attention", "power of the score, less the largest"],
  h: ["attention", "attention weight"],
  q: ["attention", "the user's vector for this target"],
  t: ["item", "vector of the target"],
  neg: ["item", "vectors of the negatives"],
  o: ["loss", "logit after the correction"],
  o_t: ["loss", "logit of the target"],
  l: ["loss", "logit, hits left out"],
  hits: ["given", "negatives that are the target"],
  loss: ["loss", "loss of this pair"],
  prob: ["loss", "probability of a negative"],
  target_id: ["given", "the target"],
  negative_ids: ["given", "the negatives"],
  logq_t: ["given", "log expected count of the target"],
  logq: ["given", "log expected count of a negative"],
  beta: ["given", "one over the temperature"],
  q1: ["attention", "the user's vector, of length one"],
  t1: ["item", "vector of the target, of length one"],
  neg1: ["item", "vectors of the negatives, of length one"],
  target: ["item", "vector of the target, in all its uses"],
  query: ["item", "the target as the query of the attention"],
  E: ["item", "vectors of all items"],
  items: ["item", "rows of the table of items"],
  score: ["interest", "how well an item fits an interest"],
  best: ["interest", "score of an item: its best interest"],
  brought_by: ["interest", "which interest brings an item; the code counts from 0"],
  top: ["given", "the list that the user gets: places among the items shown before, from 0"],
};

// the part of a name after its dot
const PARTS = {
  index: ["given", "rows of the table that are looked up"],
  rows: ["item", "rows that were looked up"],
  weights: ["given", "share of each row in the mean"],
  beta1: ["given", "how much the first moment keeps"],
  beta2: ["given", "how much the second moment keeps"],
  rest1: ["given", "1 less beta1"],
  rest2: ["given", "1 less beta2"],
  mixed: [null, "as what is mixed"],
  across: [null, "its new length over the old"],
  value: [null, "before the step"],
  first: [null, "first moment before the step"],
  second: [null, "second moment before the step"],
  "value'": [null, "after the step"],
  "first'": [null, "first moment after the step"],
  "second'": [null, "second moment after the step"],
};

// what the running code calls a quantity, where it is not called by its symbol
const IN_CODE = {
  ids: ["ids", "items"],
  mask: ["mask"],
  e: ["history", "vectors", "out"],
  S: ["bilinear"],
  m: ["votes"],
  b: ["logits", "init_logits"],
  w: ["weights"],
  z: ["sums"],
  v: ["capsules"],
  a: ["agreement", "agree"],
  p: ["profile"],
  W: ["weight"],
  y: ["out"],
  s: ["scores"],
  g: ["gaps", "gap"],
  h: ["weights"],
  q: ["user"],
  t: ["target"],
  neg: ["negatives"],
  o: ["at_negatives"],
  o_t: ["at_target"],
  l: ["at_negatives"],
  loss: ["losses", "out"],
  prob: ["p_negatives"],
  logq: ["negative_log_expected"],
  logq_t: ["target_log_expected"],
};

/** The axis whose places a tensor's whole numbers are: top holds items, brought_by interests. */
export const PLACES_OF = { top: "item", brought_by: "interest" };

/** Return the identifiers that may stand for a tensor in the code. */
export function inCode(name) {
  if (name.startsWith("from_")) return [name.replace(/\[.*$/, "")];
  const known_ = [base(name), ...(IN_CODE[base(name)] ?? [])];
  if (name.includes(".")) known_.push(name.split(".").at(-1));
  return name.startsWith("d_") ? known_.flatMap((word) => [`d_${word}`, `d_at_${word}`]) : known_;
}

/** Return [group, words] of a tensor. */
function known(name) {
  const part = PARTS[name.match(/\.(.+)$/)?.[1]];
  const whole = MEANINGS[base(name)];
  if (!part) return whole ?? ["given", ""];
  return [
    part[0] ?? whole?.[0] ?? "given",
    part[0] || !whole ? part[1] : `${whole[1]}, ${part[1]}`,
  ];
}

/** Return the name without its round or layer and without the mark of a gradient. */
export function base(name) {
  return name
    .replace(/^(d_|from_sums|from_agreement)/, "")
    .replace(/\[.*$/, "")
    .replace(/\..*$/, "");
}

/** Return what a tensor is called in words. */
export function meaning(name) {
  if (name.startsWith("from_sums")) return "share of the votes' gradient that comes by the sums";
  if (name.startsWith("from_agreement"))
    return "share of the votes' gradient that comes by the agreement";
  if (/^d_.*\.rows$/.test(name)) return "rows of the table that have a gradient";
  const words = known(name)[1];
  return name.startsWith("d_") && words ? `gradient of the loss by: ${words}` : words;
}

/** Return whether the page is dark at the moment. */
export function dark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Return the hue of a tensor as #rrggbb. */
export function hue(name) {
  const votes = name.startsWith("from_") ? "vote" : undefined;
  const group = votes ?? known(name)[0];
  return HUES[group][dark() ? 1 : 0];
}

const parts = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

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

/** Return the function that gives a cell of a tensor its ground and the colour of its text.
 *
 * The hue for positive numbers, grey for negative ones, by their share of the largest.
 */
export function shader(name) {
  const paper = dark() ? "#1b1d21" : "#ffffff";
  const [positive, negative] = [hue(name), dark() ? "#9aa0a8" : "#5f646b"];
  return (share, below) => {
    const ground = between(paper, below ? negative : positive, 0.92 * share);
    const light = luminance(ground);
    const text = (light + 0.05) / 0.05 >= 1.05 / (light + 0.05) ? "#000" : "#fff"; // the better of two
    return { ground: `rgb(${ground.join(",")})`, text };
  };
}
