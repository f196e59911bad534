"""The steps of routing: from behaviours to capsules, round by round."""

from __future__ import annotations

from mindref.study.steps.kind import Ask, Check, Kind, Out, shorter, sums, zero

ROUTING = "mindref.ops.routing"

VOTES = Kind(
    "routing.votes",
    "routing.votes",
    "one matrix maps every behaviour into the space of the interests",
    "The same S serves all pairs: histories have any length, so no pair can own a matrix.",
    "m_id = sum_e S_de e_ie",
    "section 3.3.2, shared bilinear mapping matrix",
    "routing-R1",
    (f"{ROUTING}:forward@routing-R1", "mindref.ops.votes:project@history @ bilinear.T"),
    (
        Out("S", "width width", "given", "bilinear", "de"),
        Out("m", "user behaviour width", "S:de e:ie", "votes", "id"),
    ),
    exercises=("aggregate-vjp",),
)
MASK = Kind(
    "routing.mask",
    "routing.start",
    "who may speak to whom: real behaviours and active interests only",
    "What the mask leaves out takes no part at all: its weight is zero, not small.",
    "allowed_ij = mask_i active_j",
    "not in the paper",
    "routing-R6 routing-R7",
    (f"{ROUTING}:forward@routing-R6, R7",),
    (Out("allowed", "user behaviour interest", "mask:i active:j", "allowed", "ij"),),
    variants=("mask-after-softmax",),
    exercises=("mask",),
)
LOGITS = Kind(
    "routing.logits",
    "routing.start",
    "the routing logits start as small random numbers",
    "With equal logits all interests would stay equal forever: nothing would tell them apart.",
    "b_ij ~ N(0, sigma^2)",
    "Algorithm 1, step 2; section 3.3.2",
    "routing-R19 routing-R15",
    (f"{ROUTING}:forward@routing-R19", "mindref.models.logits:keyed_table@routing-R15"),
    (Out("b[1]", "user behaviour interest", "given", "logits", "ij"),),
    (Check("every number is finite", "finite", {"of": "b[1]"}),),
    variants=("zeros-as-logits", "redrawn-at-every-call", "batch-summed-logits"),
    exercises=("zero-init",),
)
WEIGHTS = Kind(
    "routing.weights",
    "routing.round",
    "each behaviour shares itself out over the interests",
    "A behaviour has one voice: what it gives to one interest it takes from the others.",
    "w_ij = exp(b_ij) / sum_k exp(b_ik)",
    "Algorithm 1, step 4; eq. 6 as read here",
    "routing-R2 softmax-R1",
    (
        f"{ROUTING}:forward@routing-R2",
        "mindref.ops.softmax:forward@# 3",
        "mindref.ops.softmax:forward@# 5",
    ),
    (
        Out(
            "w[r]",
            "user behaviour interest",
            "softmax(b[r]:ij; allowed:ij; over={over})",
            "weights",
            "ij",
        ),
    ),
    (
        sums("sum over {over_name} is 1 for each {each_name}", "w[r]:ij", "{over}", 1, "{where}"),
        zero("no weight where nobody may speak", "w[r]:ij", "allowed:ij"),
    ),
    Ask("Which interest gets most of {row}?", "w[r]", "largest", "interest", "behaviour"),
    variants=(
        "softmax-over-behaviours",
        "another-axis-in-the-last-round",
        "inactive-interests-are-means",
    ),
    exercises=("routing-axis", "softmax-vjp"),
)
SUMS = Kind(
    "routing.sums",
    "routing.round",
    "each interest adds up what the behaviours give it",
    "An interest is a weighted sum of behaviours, so it lies among the things that formed it.",
    "z_jd = sum_i w_ij m_id",
    "Algorithm 1, step 5; eq. 7",
    "routing-R3",
    (f"{ROUTING}:forward@routing-R3", "mindref.ops.votes:gather@weights.transpose"),
    (Out("z[r]", "user interest width", "w[r]:ij m:id", "sums", "jd"),),
    (zero("an inactive interest gets nothing", "z[r]:jd", "active:j"),),
    exercises=("aggregate-vjp",),
)
CAPSULES = Kind(
    "routing.capsules",
    "routing.round",
    "squash: the length into [0, 1), the direction kept",
    "A length below one can say how sure an interest is; long sums come out near one.",
    "v_jd = |z_j|^2 / (1 + |z_j|^2) z_jd / |z_j|",
    "Algorithm 1, step 6; eq. 7",
    "routing-R4 squash-R1",
    (
        f"{ROUTING}:forward@routing-R4",
        "mindref.ops.squash:forward@# 3",
        "mindref.ops.squash:forward@across =",
    ),
    (
        Out("unit[r]", "user interest width", "unit(z[r]:jd; kind={squash})", "saved.unit", "jd"),
        Out("across[r]", "user interest", "across(z[r]:jd; kind={squash})", "saved.across", "j"),
        Out("along[r]", "user interest", "along(z[r]:jd; kind={squash})", "saved.along", "j"),
        Out("v[r]", "user interest width", "across[r]:j z[r]:jd", "capsules", "jd"),
    ),
    (
        shorter("{length_text}", "v[r]:jd", "{longest}"),
        zero("an inactive interest is zero", "v[r]:jd", "active:j"),
    ),
    Ask("Which interest is the surest, that is the longest?", "v[r]", "longest", "interest"),
    variants=("normalise-between-rounds",),
    exercises=("squash", "squash-vjp"),
)
AGREEMENT = Kind(
    "routing.agreement",
    "routing.update",
    "how well each behaviour agrees with each interest",
    "A behaviour that points the way of an interest will speak to it more in the next round.",
    "a_ij = sum_d m_id v_jd",
    "Algorithm 1, step 7; eq. 5",
    "routing-R8",
    (f"{ROUTING}:forward@agreement = agree", "mindref.ops.votes:agree@votes @ capsules"),
    (Out("a[r]", "user behaviour interest", "m:id v[r]:jd", "agreement", "ij"),),
    (zero("nothing agrees with an inactive interest", "a[r]:ij", "active:j"),),
    Ask("With which interest does {row} agree most?", "a[r]", "largest", "interest", "behaviour"),
    exercises=("agreement-vjp",),
)
UPDATE = Kind(
    "routing.update",
    "routing.update",
    "the agreement is added to the logits",
    "Added, not put in their place: a round refines what the rounds before have found.",
    "b'_ij = b_ij + a_ij",
    "Algorithm 1, step 7",
    "routing-R8 routing-R24",
    (f"{ROUTING}:forward@logits = logits + agreement",),
    (Out("b[r+1]", "user behaviour interest", "b[r]:ij + a[r]:ij", "logits", "ij"),),
    variants=(
        "overwrite-instead-of-add",
        "twenty-cosines",
        "add-to-the-weights",
        "nothing-after-round-three",
    ),
    exercises=("route",),
)

ROUNDS = (VOTES, MASK, LOGITS, WEIGHTS, SUMS, CAPSULES, AGREEMENT, UPDATE)
