"""The steps of routing: from item vectors to capsules, iteration by iteration."""

from __future__ import annotations

from mindref.study.steps.kind import (
    InvariantSpec,
    OutputSpec,
    StepKind,
    check_length,
    check_sum,
    check_zero,
)

ROUTING = "mindref.ops.routing"

VOTES = StepKind(
    "routing.votes",
    "the vote of each film: S e, with one matrix S for all films",
    "Histories have any length, so no pair of film and interest has a matrix of its own.",
    ("routing forward 1",),
    "section 3.3.2, shared bilinear mapping matrix",
    "routing-R1",
    (f"{ROUTING}:forward@routing-R1", "mindref.ops.votes:project_votes@history @ bilinear.T"),
    (OutputSpec("S", "input", "bilinear", "de"), OutputSpec("Se", "S:de e:ie", "votes", "id")),
    exercises=("aggregate-vjp",),
    letters={"routing": {"S e_i": ""}},  # not the vote, but its factors
)
MASK = StepKind(
    "routing.mask",
    "mask: ignore padding and unused interests",
    "A masked pair has the coupling weight 0.",
    ("routing forward Mask",),
    "not in the paper",
    "routing-R6 routing-R7",
    (f"{ROUTING}:forward@routing-R6, R7",),
    (OutputSpec("allowed", "mask:i active:k", "allowed", "ik"),),
    variants=("mask-after-softmax",),
    exercises=("mask",),
    event="routing.start",
)
LOGITS = StepKind(
    "routing.logits",
    "the initial routing logits are small random numbers",
    "From equal logits, all interests would stay equal in every iteration.",
    ("routing forward Keyed logits",),
    "Algorithm 1, step 2; section 3.3.2",
    "routing-R19 routing-R15",
    (
        f"{ROUTING}:forward@routing-R19",
        "mindref.models.logits:keyed_table@normal = np.sqrt",
        "mindref.models.logits:keyed_table@table = (sigma",
    ),
    (OutputSpec("b[1]", "input", "logits", "ik"),),
    (InvariantSpec("every number is finite", "finite", {"of": "b[1]"}),),
    variants=("zeros-as-logits", "redrawn-at-every-call", "batch-summed-logits"),
    exercises=("zero-init",),
    event="routing.start",
)
WEIGHTS = StepKind(
    "routing.weights",
    "each film divides a weight of 1 among the interests",
    "The coupling weights of a film sum to 1, so the interests compete for the film.",
    ("routing forward 2",),
    "Algorithm 1, step 4; eq. 6 as read here",
    "routing-R2 softmax-R1",
    (
        f"{ROUTING}:forward@routing-R2",
        "mindref.ops.softmax:forward@exponentials = np.exp",
        "mindref.ops.softmax:forward@out = exponentials",
    ),
    (OutputSpec("w[t]", "softmax(b[t]:ik; allowed:ik; over={over})", "weights", "ik"),),
    (
        check_sum(
            "sum over {over_name} is 1 for each {each_name}", "w[t]:ik", "{over}", 1, "{where}"
        ),
        check_zero("a masked pair has weight 0", "w[t]:ik", "allowed:ik"),
    ),
    variants=(
        "softmax-over-behaviours",
        "other-axis-before-the-last-iteration",
        "inactive-interests-are-means",
    ),
    exercises=("routing-axis", "softmax-vjp"),
    event="routing.iteration",
)
SUMS = StepKind(
    "routing.sums",
    "each interest sums the weighted votes",
    "A film with a large coupling weight has a large influence on the sum.",
    ("routing forward 3",),
    "Algorithm 1, step 5; eq. 5",
    "routing-R3",
    (f"{ROUTING}:forward@routing-R3", "mindref.ops.votes:sum_votes@weights.transpose"),
    (OutputSpec("z[t]", "w[t]:ik Se:id", "sums", "kd"),),
    (check_zero("the sum of an inactive interest is 0", "z[t]:kd", "active:k"),),
    exercises=("aggregate-vjp",),
    event="routing.iteration",
)
CAPSULES = StepKind(
    "routing.capsules",
    "squash: length below 1, same direction",
    "The length of a capsule measures the support for an interest; a long sum has a length near 1.",
    ("routing forward 4", "squash forward 1", "squash forward 3", "squash forward 4"),
    "Algorithm 1, step 6; eq. 7",
    "routing-R4 squash-R1",
    (
        f"{ROUTING}:forward@routing-R4",
        "mindref.ops.squash:forward@unit, norm =",
        "mindref.ops.squash:forward@gain =",
        "mindref.ops.squash:forward@return unit * gain",
    ),
    (
        OutputSpec("unit[t]", "unit(z[t]:kd; kind={squash})", "saved.unit", "kd"),
        OutputSpec("across[t]", "across(z[t]:kd; kind={squash})", "saved.across", "k"),
        OutputSpec("along[t]", "along(z[t]:kd; kind={squash})", "saved.along", "k"),
        OutputSpec("u[t]", "across[t]:k z[t]:kd", "capsules", "kd"),
    ),
    (
        check_length("{length_text}", "u[t]:kd", "{longest}"),
        check_zero("an inactive interest is 0", "u[t]:kd", "active:k"),
    ),
    variants=("normalise-between-iterations",),
    exercises=("squash", "squash-vjp"),
    event="routing.iteration",
)
AGREEMENT = StepKind(
    "routing.agreement",
    "agreement of each vote with each capsule",
    "If a vote and a capsule have similar directions, the next coupling weight is larger.",
    ("routing forward 5.1",),
    "Algorithm 1, step 7; eq. 8",
    "routing-R8",
    (f"{ROUTING}:forward@agreement =", "mindref.ops.votes:vote_agreement@votes @ capsules"),
    (OutputSpec("a[t]", "Se:id u[t]:kd", "agreement", "ik"),),
    (check_zero("the agreement with an inactive interest is 0", "a[t]:ik", "active:k"),),
    exercises=("agreement-vjp",),
    event="routing.update",
)
UPDATE = StepKind(
    "routing.update",
    "the agreement is added to the routing logits",
    "The agreements of all iterations accumulate on the initial logits.",
    ("routing forward 5.2",),
    "Algorithm 1, step 7",
    "routing-R8 routing-R24",
    (f"{ROUTING}:forward@logits = logits + agreement",),
    (OutputSpec("b[t+1]", "b[t]:ik + a[t]:ik", "logits", "ik"),),
    variants=(
        "overwrite-instead-of-add",
        "twenty-cosines",
        "add-to-the-weights",
        "no-update-after-iteration-three",
    ),
    exercises=("route",),
)

ROUNDS = (VOTES, MASK, LOGITS, WEIGHTS, SUMS, CAPSULES, AGREEMENT, UPDATE)
