"""The steps from interests to the loss of one training pair."""

from __future__ import annotations

from mindref.study.steps.forward import lookup_step
from mindref.study.steps.kind import (
    InvariantSpec,
    OutputSpec,
    StepKind,
    check_bounds,
    check_sum,
    check_zero,
)

ATTENTION = "mindref.ops.label_attention"
SOFTMAX = "mindref.ops.sampled_softmax"

TARGET = lookup_step(
    "target",
    "",
    "t",
    "the target: the next film of the user",
    "The loss compares the score of the target with the scores of the negatives.",
)
NEGATIVES = lookup_step(
    "negatives",
    "s",
    "neg",
    "the negatives: sampled films",
    "History, target and negatives use one item table, so all three contribute to its gradient.",
)
DRAW = StepKind(
    "negatives.draw",
    "the sampled negatives and their expected counts",
    "Popular films are sampled often. Without a correction their scores would become too low.",
    ("data forward Negatives",),
    "section 3.5; Jean et al. 2015",
    "sampled_softmax-R2",
    ("mindref.data.negatives:IndependentSampler@data-R55",),
    (
        OutputSpec("target_id", "input", "target"),
        OutputSpec("negative_ids", "input", "negatives", "s"),
        OutputSpec("logq_t", "input", "target_log_expected"),
        OutputSpec("logq", "input", "negative_log_expected", "s"),
    ),
    (InvariantSpec("every log is finite", "finite", {"of": "logq"}),),
    event="batch",
)
SCORES = StepKind(
    "attention.scores",
    "score of each interest for the target",
    "Label-aware attention is used in training only, because serving has no target.",
    ("label_attention forward 1",),
    "section 3.4, label-aware attention",
    "label_attention-R1",
    (f"{ATTENTION}:forward@label_attention-R1",),
    (OutputSpec("s", "v:kd t:d", "scores", "k"),),
    (check_zero("an inactive interest has score 0", "s:k", "active:k"),),
    event="attention.forward",
)
POWER = StepKind(
    "attention.power",
    "signed power p of the scores",
    "p = 0 gives equal weights; a large p gives all weight to the best score if it is above 1.",
    ("label_attention forward 2", "label_attention forward 2 without overflow.1"),
    "section 3.4, pow(., p)",
    "label_attention-R2",
    (
        f"{ATTENTION}:signed_power@label_attention-R2",
        f"{ATTENTION}:gaps_below_largest@gap = signed_power",
        f"{ATTENTION}:gaps_below_largest@scaled = gap",
    ),
    (OutputSpec("c", "gaps(s:k; active:k; power={p})", "gaps", "k"),),
    variants=("power-before-sign", "power-multiplies"),
    exercises=("label-attention",),
    absent_if="no_gaps",
    event="attention.forward",
)
ATTENTION_WEIGHTS = StepKind(
    "attention.weights",
    "attention weight of each interest for the target",
    "The interest with the largest weight receives most of the gradient.",
    ("label_attention forward 3", "label_attention forward 2 without overflow.2"),
    "section 3.4",
    "label_attention-R3",
    (
        f"{ATTENTION}:forward@label_attention-R3",
        "mindref.ops.softmax:forward@exponentials = np.exp",
        "mindref.ops.softmax:forward@out = exponentials",
    ),
    (OutputSpec("h", "{shares}", "weights", "k"),),
    (
        check_sum("the attention weights sum to 1", "h:k", "k", 1),
        check_zero("an inactive interest has weight 0", "h:k", "active:k"),
    ),
    variants=("power-before-argmax",),
    exercises=("label-attention",),
    event="attention.forward",
)
USER = StepKind(
    "attention.user",
    "user vector for this target",
    "The loss uses this weighted sum. Serving uses each interest separately.",
    ("label_attention forward 4",),
    "section 3.4, eq. for v_u",
    "label_attention-R7",
    (f"{ATTENTION}:forward@label_attention-R7",),
    (OutputSpec("q", "h:k v:kd", "out", "d"),),
    exercises=("label-attention",),
    event="attention.forward",
)
UNIT = StepKind(
    "loss.unit",
    "user vector and item vectors are normalised to length 1",
    "The score is then a cosine (option --normalise).",
    ("sampled_softmax forward 1",),
    "not in the paper",
    "sampled_softmax-R7",
    (f"{SOFTMAX}:to_unit_length@sampled_softmax-R7",),
    (
        OutputSpec("q1", "unit(q:d; kind=unit)", "user", "d"),
        OutputSpec("t1", "unit(t:d; kind=unit)", "target", "d"),
        OutputSpec("neg1", "unit(neg:sd; kind=unit)", "negatives", "sd"),
    ),
    absent_if="plain",
)
OUTPUTS = StepKind(
    "loss.logits",
    "a logit for the target and for each negative",
    "The logit is the score of the film minus a correction for sampling: its log expected count.",
    ("sampled_softmax forward 2",),
    "section 3.5, eq. 10; Jean et al. 2015",
    "sampled_softmax-R2 sampled_softmax-R6",
    (f"{SOFTMAX}:forward@target_logits = np.einsum", f"{SOFTMAX}:forward@negative_logits = user"),
    (
        OutputSpec("beta", "input", lambda arrays, context: 1 / context.config.temperature),
        OutputSpec("o_t", "beta: {q}:d {t}:d - logq_t:", "at_target"),
        OutputSpec("o", "beta: {q}:d {neg}:sd - logq:s", "at_negatives", "s"),
    ),
    variants=("no-log-q",),
    exercises=("sampled-softmax",),
)
HITS = StepKind(
    "loss.hits",
    "mask accidental hits: negatives equal to the target",
    "The gradient would otherwise both raise and lower the score of the target.",
    ("sampled_softmax forward 3",),
    "not in the paper",
    "sampled_softmax-R3",
    (f"{SOFTMAX}:forward@hits = negative_ids", f"{SOFTMAX}:forward@sampled_softmax-R3"),
    (
        OutputSpec("hits", "hits(negative_ids:s; target_id:)", "hits", "s"),
        OutputSpec("l", "without_hits(o:s; hits:s)", "at_negatives", "s"),
    ),
    exercises=("sampled-softmax",),
)
LOSS = StepKind(
    "loss.value",
    "loss: minus the log probability of the target",
    "The loss is 0 for probability 1, and log(1 + negatives) for equal probabilities.",
    (
        "sampled_softmax forward 4",
        "sampled_softmax forward 4 without overflow.1",
        "sampled_softmax backward.2",
    ),
    "section 3.5, eq. 10-11",
    "sampled_softmax-R1",
    (
        f"{SOFTMAX}:cross_entropy@largest = np.max",
        f"{SOFTMAX}:cross_entropy@losses =",
        f"{SOFTMAX}:cross_entropy@p_negatives =",
    ),
    (
        OutputSpec("loss", "loss(o_t:; l:s)", "out"),
        OutputSpec("prob", "tail(o_t:; l:s)", "p_negatives", "s"),
    ),
    (
        check_bounds("a loss is not negative", "loss", 0, float("inf")),
        check_bounds("a probability is between 0 and 1", "prob", 0, 1),
    ),
    exercises=("sampled-softmax",),
    event="loss.loss",
)

TO_LOSS = (
    TARGET,
    NEGATIVES,
    DRAW,
    SCORES,
    POWER,
    ATTENTION_WEIGHTS,
    USER,
    UNIT,
    OUTPUTS,
    HITS,
    LOSS,
)
"""In reading order; a trace has them in the order of the computation."""
