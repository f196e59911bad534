"""The steps from film ids to interests."""

from __future__ import annotations

from mindref.study.steps.kind import (
    InvariantSpec,
    OutputSpec,
    StepKind,
    check_bounds,
    check_sum,
    check_zero,
)
from mindref.study.steps.routing import ROUNDS, ROUTING

MIND = "mindref.models.mind"


def lookup_step(use: str, letter: str, name: str, title: str, why: str) -> StepKind:
    """Return the step that looks up vectors of items or features: weighted means of table rows."""
    mask = "mask:i" if use == "history" else ""
    return StepKind(
        f"{use}.embed",
        title,
        why,
        ("embedding forward 1", "embedding forward 2"),
        "section 3.2, embedding and pooling layer",
        "embedding-R1 model-R1",
        (f"{MIND}:item_vectors@ops.embedding", "mindref.ops.embedding:forward@embedding-R2"),
        (
            OutputSpec(f"{use}.index", "input", "rows", f"{letter}f"),
            OutputSpec(f"{use}.rows", "input", "looked_up", f"{letter}fd"),
            OutputSpec(f"{use}.weights", "input", "weights", f"{letter}f"),
            OutputSpec(name, f"{use}.weights:{letter}f {use}.rows:{letter}fd", "out", f"{letter}d"),
        ),
        (check_sum("the weights of a film sum to 1", f"{use}.weights:{letter}f", "f", 1, mask),),
        exercises=("embedding-vjp",),
        letters={
            "embedding": {
                "v": f"{use}.index",
                "x": f"{use}.rows",
                "a": f"{use}.weights",
                "y": name,
            }
        },
        event=f"{use}.lookup",
    )


IDS = StepKind(
    "ids",
    "the user's history: film ids, oldest first",
    "The input of the model is the profile and the last {window} films of the user.",
    ("model forward.1",),
    "section 3.1",
    "model-R8",
    (f"{MIND}:behaviour_vectors@histories.items[",),
    (OutputSpec("ids", "input", "ids", "i"), OutputSpec("mask", "input", "mask", "i")),
    (check_bounds("every id is in the catalogue", "ids", 0, "{last_item}"),),
)
HISTORY = lookup_step(
    "history",
    "i",
    "e",
    "each film gets its item vector",
    "Training gives similar vectors to films with the same users.",
)
PROFILE = StepKind(
    "profile.embed",
    "each user feature gets a vector",
    "The profile is joined to every capsule after routing.",
    ("model interests 2",),
    "section 3.2",
    "model-R2",
    (f"{MIND}:profile_vectors@ops.embedding.forward", f"{MIND}:profile_vectors@model-R2"),
    (OutputSpec("p", "input", "out", "gq"),),
    (InvariantSpec("every number is finite", "finite", {"of": "p"}),),
    absent_if="no_profile",
    event="profile.lookup",
)
COUNT = StepKind(
    "interests.count",
    "number of active interests for the length of the history",
    "A short history has little evidence for many interests, so K' grows with the logarithm of n.",
    ("routing forward Active interests",),
    "section 3.3.2, eq. 9",
    "routing-R10 model-R3",
    (
        f"{MIND}:active_after@model-R3",
        f"{MIND}:active_after@return np.arange",
        f"{ROUTING}:count_active_interests@routing-R10",
    ),
    (
        OutputSpec("n", "size(mask:i)", lambda arrays, context: arrays["mask"].sum(axis=1)),
        OutputSpec("active", "count(mask:i; interests={K}; rule={rule})", "active", "k"),
    ),
    (InvariantSpec("at least one interest is active", "any", {"of": "active"}),),
    variants=("natural-log-count", "count-rounded-up", "count-always-all"),
)
JOIN = StepKind(
    "interests.join",
    "the profile is joined to every capsule",
    "The layers can then adapt each interest to the user features.",
    ("model interests 4",),
    "Fig. 2, caption",
    "model-R4",
    (f"{MIND}:join_profile@model-R4",),
    (OutputSpec("x[0]", "concat(u[{r}]:kd{profile})", "out", "km"),),
)
AFFINE = StepKind(
    "layers",
    "a linear layer maps each interest",
    "All interests use the same layers.",
    ("relu_layer forward 1",),
    "Fig. 2, caption: several ReLU layers",
    "relu_layer-R1 model-R5",
    ("mindref.ops.relu_layer:forward@relu_layer-R1",),
    (
        OutputSpec("W[t]", "input", "weight", "mn"),
        OutputSpec("bias[t]", "input", "bias", "n"),
        OutputSpec("y[t]", "x[t-1]:km W[t]:mn + bias[t]:n", "out", "kn"),
    ),
    event="layers.affine",
)
RELU = StepKind(
    "layers.relu",
    "ReLU: negative numbers become 0",
    "Without the ReLU, two layers would equal one linear layer.",
    ("relu_layer forward 2",),
    "Fig. 2, caption",
    "relu_layer-R2",
    ("mindref.ops.relu_layer:forward@relu_layer-R2",),
    (OutputSpec("x[t]", "relu(y[t]:kn)", "out", "kn"),),
    (check_bounds("no number is negative", "x[t]", 0, float("inf")),),
    event="layers.rectified",
)
ACTIVE = StepKind(
    "interests.active",
    "the interests; inactive interests are set to 0",
    "Bias and profile would give an inactive interest a non-zero vector.",
    ("model interests 6",),
    "not in the paper",
    "model-R6",
    (f"{MIND}:interests@model-R6",),
    (OutputSpec("v", "active:k {last}:kd", "out", "kd"),),
    (check_zero("an inactive interest is 0", "v:kd", "active:k"),),
    variants=("inactive-interests-revived",),
)

FORWARD = (IDS, HISTORY, PROFILE, COUNT, *ROUNDS, JOIN, AFFINE, RELU, ACTIVE)
