"""The steps from ids to interests."""

from __future__ import annotations

from mindref.study.steps.kind import Ask, Check, Kind, Out, between, sums, zero
from mindref.study.steps.routing import ROUNDS, ROUTING

MIND = "mindref.models.mind"


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
    "Beside the profile, all that the model is told of a user is what the user did, at most the"
    " last {window}; everything else is learned.",
    "H = (i_1, ..., i_n)",
    "section 3.1",
    "model-R8",
    (f"{MIND}:behaviours@histories.items[",),
    (
        Out("ids", "behaviour", "given", "ids", "i"),
        Out("mask", "user behaviour", "given", "mask", "i"),
    ),
    (between("every id is one of the catalogue", "ids", 0, "{last_item}"),),
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
    variants=("natural-log-count", "count-rounded-up", "count-always-all"),
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
    variants=("inactive-interests-revived",),
)

FORWARD = (IDS, HISTORY, PROFILE, COUNT, *ROUNDS, JOIN, AFFINE, RELU, ACTIVE)
