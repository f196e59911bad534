"""The steps from ids to interests."""

from __future__ import annotations

from mindref.study.steps.kind import Ask, Check, Kind, Out, between, shorter, sums, zero

MIND = "mindref.models.mind"
ROUTING = "mindref.ops.routing"


def lookup(use: str, row: str, letter: str, name: str, title: str, why: str) -> Kind:
    """Return the step that makes vectors of items or features: rows of a table, averaged."""
    rows = f"{row} feature" if row else "feature"
    where = "mask:i" if use == "history" else ""
    return Kind(
        f"{use}.embed",
        f"{use}.lookup",
        title,
        why,
        f"{name.partition('.')[0]}_{letter}d = sum_f weights_{letter}f rows_{letter}fd"
        if letter
        else f"{name}_d = sum_f weights_f rows_fd",
        "section 3.2, embedding and pooling layer",
        "embedding-R1 model-R1",
        (f"{MIND}:item_vectors@ops.embedding.forward", "mindref.ops.embedding:forward@# 1, 2"),
        (
            Out(f"{use}.index", rows, "given", "rows", f"{letter}f"),
            Out(f"{use}.rows", f"{rows} width", "given", "looked_up", f"{letter}fd"),
            Out(f"{use}.weights", rows, "given", "weights", f"{letter}f"),
            Out(
                name,
                f"{row} width".strip(),
                f"{use}.weights:{letter}f {use}.rows:{letter}fd",
                "out",
                f"{letter}d",
            ),
        ),
        (sums("the weights of an item add up to 1", f"{use}.weights:{letter}f", "f", 1, where),),
        exercises=("embedding-vjp",),
    )


IDS = Kind(
    "ids",
    "ids",
    "the behaviours: numbers of items, the latest last",
    "All that the model is told of a user is what the user did; everything else is learned.",
    "H = (i_1, ..., i_n)",
    "section 3.1",
    "model-R8",
    (f"{MIND}:behaviours@histories.items[",),
    (
        Out("ids", "behaviour", "given", "ids", "i"),
        Out("mask", "user behaviour", "given", "mask", "i"),
    ),
    (between("every id is one of the catalogue", "ids", 0, float("inf")),),
)
HISTORY = lookup(
    "history",
    "behaviour",
    "i",
    "e",
    "each behaviour becomes a vector",
    "Items that are taken by the same users end up with similar vectors.",
)
PROFILE = Kind(
    "profile.embed",
    "profile.lookup",
    "each user feature becomes a vector",
    "The profile is joined to every capsule later: it speaks for all interests alike.",
    "p_gq = row_gq",
    "section 3.2",
    "model-R2",
    (f"{MIND}:profile_vectors@ops.embedding.forward",),
    (Out("p", "profile profile-width", "given", "out", "gq"),),
    (Check("every number is finite", "finite", {"of": "p"}),),
    unless="no_profile",
)
COUNT = Kind(
    "interests.count",
    "interests.count",
    "how many interests a history of this length may have",
    "A short history cannot tell many interests apart, so K' grows with the logarithm of n.",
    "K' = max(1, min(K, floor(log2 n)))",
    "section 3.3.2, eq. 9",
    "routing-R10 model-R3",
    (f"{MIND}:active_after", f"{ROUTING}:interest_count@routing-R10"),
    (
        Out("n", "user", "size(mask:i)", lambda arrays, about: arrays["mask"].sum(axis=1), ""),
        Out("active", "user interest", "count(mask:i; interests={K}; rule={rule})", "active", "j"),
    ),
    (Check("at least one interest is active", "any", {"of": "active"}),),
    Ask("How many interests does this user get?", "active", "count", "interest"),
    variants=("natural-log",),
)
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
    variants=("zeros-as-logits",),
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
    variants=("softmax-over-behaviours",),
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
        shorter("a capsule is shorter than 1", "v[r]:jd", 1),
        zero("an inactive interest is zero", "v[r]:jd", "active:j"),
    ),
    Ask("Which interest is the surest, that is the longest?", "v[r]", "longest", "interest"),
    variants=("unit-length",),
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
    variants=("overwrite",),
    exercises=("route",),
)
JOIN = Kind(
    "interests.join",
    "interests.join",
    "the profile is put behind every capsule",
    "So the layers can bend every interest by who the user is.",
    "x = (v_j, p)",
    "section 3.3.3",
    "model-R4",
    (f"{MIND}:join@model-R4",),
    (Out("x[0]", "interest input", "concat(v[{R}]:jd{profile})", "out", "jm"),),
)
AFFINE = Kind(
    "layers",
    "layers.affine",
    "a layer of weights over each interest",
    "Every interest goes through the same layers; they learn what to keep of a capsule.",
    "y_jn = sum_m x_jm W_mn + bias_n",
    "section 3.3.3, two ReLU layers",
    "relu_layer-R1 model-R5",
    ("mindref.ops.relu_layer:forward@relu_layer-R1",),
    (
        Out("W[r]", "{in} {out}", "given", "weight", "mn"),
        Out("bias[r]", "{out}", "given", "bias", "n"),
        Out("y[r]", "interest {out}", "x[r-1]:jm W[r]:mn + bias[r]:n", "out", "jn"),
    ),
)
RELU = Kind(
    "layers.relu",
    "layers.rectified",
    "the rectifier lets only positive numbers through",
    "Without it two layers would be no more than one.",
    "x_jn = max(0, y_jn)",
    "section 3.3.3",
    "relu_layer-R2",
    ("mindref.ops.relu_layer:forward@relu_layer-R2",),
    (Out("x[r]", "interest {out}", "relu(y[r]:jn)", "out", "jn"),),
    (between("nothing is negative", "x[r]", 0, float("inf")),),
)
ACTIVE = Kind(
    "interests.active",
    "interests.active",
    "the interests; an inactive one is zero again",
    "Biases and profile must not revive an interest that the history does not carry.",
    "u_jd = active_j y_jd",
    "not in the paper",
    "model-R6",
    (f"{MIND}:interests@model-R6",),
    (Out("u", "user interest width", "active:j {last}:jd", "out", "jd"),),
    (zero("an inactive interest is zero", "u:jd", "active:j"),),
)

FORWARD = (
    IDS,
    HISTORY,
    PROFILE,
    COUNT,
    VOTES,
    MASK,
    LOGITS,
    WEIGHTS,
    SUMS,
    CAPSULES,
    AGREEMENT,
    UPDATE,
    JOIN,
    AFFINE,
    RELU,
    ACTIVE,
)
