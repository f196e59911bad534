"""The steps from interests to the loss of one training pair."""

from __future__ import annotations

from mindref.study.steps.forward import MIND, lookup
from mindref.study.steps.kind import Ask, Check, Kind, Out, between, sums, zero

ATTENTION = "mindref.ops.label_attention"
SOFTMAX = "mindref.ops.sampled_softmax"

TARGET = lookup(
    "target",
    "",
    "",
    "t",
    "the item that the user took next: the target",
    "Training asks the model to tell this item from others that were not taken.",
)
NEGATIVES = lookup(
    "negatives",
    "negative",
    "s",
    "neg",
    "the items to tell it from: the negatives",
    "They share the table with history and target, so all three teach the same vectors.",
)
DRAW = Kind(
    "negatives.draw",
    "batch",
    "which negatives were drawn, and how often each was to be expected",
    "A popular item is drawn often; without a correction the model would learn to avoid it.",
    "logq_s = log(expected count of s)",
    "section 3.5; Jean et al. 2015",
    "sampled_softmax-R2",
    ("mindref.data.negatives:probabilities",),
    (
        Out("target_id", "user", "given", "target", ""),
        Out("negative_ids", "negative", "given", "negatives", "s"),
        Out("logq_t", "user", "given", "target_log_expected", ""),
        Out("logq", "negative", "given", "negative_log_expected", "s"),
    ),
    (Check("every log is finite", "finite", {"of": "logq"}),),
)
SCORES = Kind(
    "attention.scores",
    "attention.forward",
    "how well each interest fits the target",
    "Only in training: the target is known there, and says which interest it belongs to.",
    "s_j = sum_d u_jd t_d",
    "section 3.4, label-aware attention",
    "label_attention-R1",
    (f"{ATTENTION}:forward@label_attention-R1",),
    (Out("s", "user interest", "u:jd t:d", "scores", "j"),),
    (zero("an inactive interest has score 0", "s:j", "active:j"),),
    Ask("Which interest fits the target best?", "s", "largest", "interest"),
)
POWER = Kind(
    "attention.power",
    "attention.forward",
    "the power sharpens the differences between the scores",
    "p = 0 would treat all interests alike, p = infinity would take the best alone.",
    "g_j = sign(s_j) |s_j|^p - max_k sign(s_k) |s_k|^p",
    "section 3.4, pow(., p)",
    "label_attention-R2",
    (f"{ATTENTION}:signed_power@label_attention-R2",),
    (Out("g", "user interest", "gaps(s:j; active:j; power={p})", "gaps", "j"),),
    variants=("power-before-sign", "power-multiplies"),
    exercises=("label-attention",),
    unless="no_gaps",
)
SHARES = Kind(
    "attention.weights",
    "attention.forward",
    "the weight of each interest for this target",
    "The target chooses: its gradient goes mostly to the interest that it belongs to.",
    "h_j = exp(g_j) / sum_k exp(g_k)",
    "section 3.4",
    "label_attention-R3",
    (f"{ATTENTION}:forward@label_attention-R3",),
    (Out("h", "user interest", "{shares}", "weights", "j"),),
    (
        sums("the weights of the interests add up to 1", "h:j", "j", 1),
        zero("an inactive interest has none", "h:j", "active:j"),
    ),
    variants=("power-before-argmax",),
    exercises=("label-attention",),
)
USER = Kind(
    "attention.user",
    "attention.forward",
    "the user's vector for this target",
    "Served is every interest for itself; only the loss sees this mixture.",
    "q_d = sum_j h_j u_jd",
    "section 3.4, eq. for v_u",
    "label_attention-R7",
    (f"{ATTENTION}:forward@label_attention-R7",),
    (Out("q", "user width", "h:j u:jd", "out", "d"),),
    exercises=("label-attention",),
)
UNIT = Kind(
    "loss.unit",
    "loss.unit",
    "user and items are scaled to length one",
    "Then only directions count (the option --normalise).",
    "q'_d = q_d / |q|",
    "not in the paper",
    "sampled_softmax-R7",
    (f"{SOFTMAX}:unit@sampled_softmax-R7",),
    (
        Out("q1", "user width", "unit(q:d; kind=unit)", "user", "d"),
        Out("t1", "user width", "unit(t:d; kind=unit)", "target", "d"),
        Out("neg1", "negative width", "unit(neg:sd; kind=unit)", "negatives", "sd"),
    ),
    unless="plain",
)
OUTPUTS = Kind(
    "loss.logits",
    "loss.logits",
    "a logit for the target and for each negative",
    "The product says how well an item fits; the log expected count takes out how it was drawn.",
    "o_s = beta sum_d q_d neg_sd - logq_s",
    "section 3.5, eq. 10; Jean et al. 2015",
    "sampled_softmax-R2 sampled_softmax-R6",
    (f"{SOFTMAX}:forward@at_target = np.einsum", f"{SOFTMAX}:forward@at_negatives = user"),
    (
        Out("beta", "", "given", lambda arrays, about: 1 / about.config.temperature, ""),
        Out("o_t", "user", "beta: {q}:d {t}:d - logq_t:", "at_target", ""),
        Out("o", "user negative", "beta: {q}:d {neg}:sd - logq:s", "at_negatives", "s"),
    ),
    variants=("no-log-q",),
    exercises=("sampled-softmax",),
)
HITS = Kind(
    "loss.hits",
    "loss.hits",
    "a negative that is the target itself is left out",
    "It would be pushed away and pulled at once.",
    "l_s = o_s, or minus infinity where s is the target",
    "not in the paper",
    "sampled_softmax-R3",
    (f"{SOFTMAX}:forward@hits = negative_ids", f"{SOFTMAX}:forward@sampled_softmax-R3"),
    (
        Out("hits", "user negative", "hits(negative_ids:s; target_id:)", "hits", "s"),
        Out("l", "user negative", "without_hits(o:s; hits:s)", "at_negatives", "s"),
    ),
    exercises=("sampled-softmax",),
)
LOSS = Kind(
    "loss.value",
    "loss.loss",
    "the loss: minus the log of the probability of the target",
    "Zero if the target is certain; log(1 + negatives) if all are equally likely.",
    "loss = log(1 + sum_s exp(l_s - o_t))",
    "section 3.5, eq. 10-11",
    "sampled_softmax-R1",
    (f"{SOFTMAX}:lose@sampled_softmax-R1", f"{SOFTMAX}:lose@p_negatives ="),
    (
        Out("loss", "", "loss(o_t:; l:s)", "out", ""),
        Out("prob", "user negative", "tail(o_t:; l:s)", "p_negatives", "s"),
    ),
    (
        between("a loss is not negative", "loss", 0, float("inf")),
        between("a probability is between 0 and 1", "prob", 0, 1),
    ),
    Ask("Which negative is taken for the likeliest?", "prob", "largest", "negative"),
    exercises=("sampled-softmax",),
)

TO_LOSS = (TARGET, NEGATIVES, DRAW, SCORES, POWER, SHARES, USER, UNIT, OUTPUTS, HITS, LOSS)
"""In the order of the page; a trace has them in the order in which the code meets them."""

__all__ = ["MIND", "TO_LOSS"]
