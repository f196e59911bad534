"""The settings of a run: default, range and help text of each.

The meaning of a setting is in specs/model.md, specs/data.md and specs/optimiser.md. This module
owns the ranges. `Config.of` applies changes to a preset and rejects unknown names and values out
of range.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mindref.arguments import check_arguments
from mindref.errors import ConfigError, say
from mindref.models import registry
from mindref.presets import PRESETS
from mindref.settings import (
    COMPUTED,
    MAX_STEPS,
    check_exclusive,
    check_names,
    choice_setting,
    coerce_fields,
    free_setting,
    number_setting,
    override,
)


@dataclass(frozen=True)
class Config:
    """The settings of one run. Defaults follow specs/evidence.md; specs/model.md has `paper`.

    Each setting has the effect that its help text describes (model-R29).
    """

    # the model (specs/model.md)
    model: str = choice_setting(
        "mind", registry.RECALL_FAMILIES, "model family to train (see specs/README.md)"
    )
    interests: int = number_setting(4, 1, 64, "K, maximum number of interests per user")
    width: int = number_setting(64, 1, 4096, "d, width of item vectors and interests")
    window: int = number_setting(
        10, 1, 10_000, "L, history length: the model reads the L most recent items of a user"
    )
    iterations: int = number_setting(6, 1, 100, "r, number of routing iterations")
    sigma: float = number_setting(0.1, 0, 1e6, "standard deviation of the initial routing logits")
    logits: str = choice_setting("keyed", ("keyed", "fixed", "per_call"),
        "initial routing logits. keyed: new random numbers in each training step; in serving, a"
        " function of seed, item and interest. fixed: this function in training and serving."
        " per_call: new random numbers in each training step and in each serving call")  # fmt: skip
    interest_count: str = choice_setting("log2", ("log2", "fixed"),
        "number of active interests of a user. log2: log2 of the number of history items, rounded"
        " down, at least 1 and at most K. fixed: K, or 1 if the history is empty")  # fmt: skip
    routing: str = choice_setting("dynamic", ("dynamic", "uniform"),
        "coupling weights of routing. dynamic: computed by the routing iterations. uniform: the"
        " same for all active interests")  # fmt: skip
    routing_axis: str = choice_setting("interests", ("interests", "behaviours"),
        "softmax of the routing logits: over the interests for each history item, or over the"
        " history items (behaviours) for each interest")  # fmt: skip
    routing_gradient: str = choice_setting("last", ("last", "all"),
        "gradient of routing. last: only through the last iteration, with constant coupling"
        " weights. all: through all iterations")  # fmt: skip
    squash: str = choice_setting("squash", ("squash", "unit", "none"),
        "length of a capsule (the output of routing) whose sum of votes has length n. squash:"
        " n^2 / (1 + n^2). unit: 1. none: n")  # fmt: skip
    hidden: tuple[int, ...] = free_setting((256,),
        "widths of the hidden ReLU layers, separated by commas: at most 64 widths, each from 1 to"
        " 65536")  # fmt: skip
    last_relu: bool = free_setting(False, "apply ReLU after the last layer too")
    attention: str = choice_setting("label", ("label", "mean", "pooled"),
        "how training combines the interests. label: one user vector, by label-aware attention."
        " mean: one user vector, the mean. pooled: one score per item, the soft maximum of its"
        " products with the interests (mind_plus only)")  # fmt: skip
    power: float = number_setting(float("inf"), 0, float("inf"),
        "p, exponent of the scores in label-aware attention; 0: equal weights for all interests,"
        " inf: only the interest with the highest score")  # fmt: skip
    sharpness: float = number_setting(1.0, 0, float("inf"),
        "with --attention pooled: sharpness of the soft maximum of an item's products with the"
        " interests; 0: mean of the products, inf: their maximum")  # fmt: skip
    recency: str = choice_setting("none", ("none", "shared", "interests"),
        "learned weight of a history item by its age (the number of later items). none: no weight."
        " shared: the same for all interests. interests: one for each interest")  # fmt: skip
    votes: str = choice_setting("matrix", ("matrix", "items"),
        "votes, the vectors that routing adds up: item vectors times the matrix S (matrix), or item"
        " vectors (items)")  # fmt: skip
    head: str = choice_setting("layers", ("layers", "residual", "none"),
        "how an interest is computed from its capsule (the output of routing). layers: by the ReLU"
        " layers. residual: capsule plus output of the layers. none: the interest is the"
        " capsule")  # fmt: skip
    contexts: int = number_setting(0, 0, 64,
        "number of context vectors. Each is a sum of the votes of all history items, with learned"
        " weights. The layers read each capsule together with all context vectors")  # fmt: skip
    dropout: float = number_setting(
        0.0, 0, 0.99, "probability that training sets a component of a history item's vector to 0"
    )
    dropout_by_density: bool = free_setting(False,
        "set --dropout from the training interactions per item: 0.5 up to 50, 0.2 from 200, and"
        " between them linear in the logarithm. A given --dropout turns it off")  # fmt: skip
    own_counts_term: bool = free_setting(False,
        "where lists may have seen items: add to the score of an item the decayed count of the"
        " user's own interactions with it, times a weight. Validation chooses the weight, which may"
        " be 0, and the decay")  # fmt: skip
    popularity_term: bool = free_setting(False,
        "multiply the vector of an item in serving by a power of its number of training"
        " interactions. Validation chooses the exponent, which may be 0, after the last step"
    )  # fmt: skip
    score: str = choice_setting("max", ("max", "sum"),
        "score of an item in serving: the maximum, or the sum, of the inner products of item and"
        " interests")  # fmt: skip
    loss: str = choice_setting("sampled", ("sampled", "full"),
        "items in the softmax of the loss: the target and sampled negatives (sampled), or the whole"
        " catalogue (full)")  # fmt: skip
    temperature: float = number_setting(
        1.0, 1e-6, 1e6, "softmax temperature of the loss: divisor of the inner products"
    )
    normalise: bool = free_setting(
        False, "scale user and item vectors to length 1 in the loss and in serving"
    )
    pair_loss: str = choice_setting("warp", ("warp", "auc"),
        "loss of a pair of target and negative: weighted by the estimated rank of the target"
        " (warp), or unweighted (auc)")  # fmt: skip
    similarity: str = choice_setting("bm25", ("bm25", "tfidf", "cosine"),  # baselines-R12
        "weights of the user-item matrix from which item similarities are computed")  # fmt: skip
    neighbours: int = number_setting(
        500, 1, 1_000_000, "number of most similar items that are stored for each item"
    )
    k1: float = number_setting(
        1.2, 0, 1e6, "with --similarity bm25: how much a popular item loses weight; 0: not at all"
    )
    b: float = number_setting(0.5, 0, 1,
        "with --similarity bm25: how much the effect of k1 depends on the popularity of an item; 0:"
        " not at all, 1: fully")  # fmt: skip
    regularization: float = number_setting(
        10.0, 0, 1e6, "weight of the L2 regularisation in alternating least squares"
    )
    confidence: float = number_setting(10.0, 0, 1e6,
        "in alternating least squares, the weight of items that the user interacted with; all other"
        " items have weight 1")  # fmt: skip
    sweeps: int = number_setting(15, 1, 10_000, "number of passes of alternating least squares")
    history_decay: float = number_setting(1.0, 1e-6, 1,
        "in serving, a history item with n later items has the weight history_decay^n; 1: all"
        " history items have the same weight")  # fmt: skip
    item_features: tuple[str, ...] = free_setting((),
        "names of the item features to use; the vector of an item is the mean of the vectors of its"
        " id and its features")  # fmt: skip
    user_features: tuple[str, ...] = free_setting((),
        "names of the user features to use; the layers read the vectors of these features as"
        " additional inputs")  # fmt: skip
    profile_width: int = number_setting(8, 1, 4096, "width of the vector of each user feature")

    # negatives and training (specs/data.md, specs/optimiser.md)
    negatives: int = number_setting(
        512, 1, 10_000_000, "number of sampled negatives, which all examples of a batch share"
    )
    sampler: str = choice_setting("unigram", ("unigram", "log_uniform", "uniform", "in_batch"),
        "distribution of negatives. unigram: by item count to the power --alpha. log_uniform: by"
        " popularity rank. uniform: all items equally. in_batch: the negatives are the targets of"
        " the batch")  # fmt: skip
    alpha: float = number_setting(0.75, 0, 10,
        "exponent of the item count if negatives are drawn by popularity (--sampler unigram or"
        " --model din)")  # fmt: skip
    target_sampling: str = choice_setting("interaction", ("interaction", "user"),
        "how training targets are drawn. interaction: all interactions are equally likely. user:"
        " all users are equally likely, then all interactions of the drawn user")  # fmt: skip
    basket_histories: bool = free_setting(False,
        "end the history of a training example before the basket of its target: the interactions of"
        " the user at one time. On with --split last_basket")  # fmt: skip
    batch: int = number_setting(512, 1, 1_000_000, "number of training examples per step")
    steps: int = number_setting(3000, 1, MAX_STEPS,
        "maximum number of training steps")  # fmt: skip
    epochs: float = number_setting(0.0, 0, 1e6,
        "number of drawn training examples, divided by the training interactions; gives the number"
        " of steps: 1000 or more, for the epochs of a preset at most its --steps; 0: --steps. A"
        " given --steps sets it to 0")  # fmt: skip
    learning_rate: float = number_setting(5e-3, 0, 100, "learning rate of Adam at the first step")
    dense_rate: float = number_setting(1.0, 0, 1000,
        "learning rate of matrices, biases and recency weights, divided by that of the tables of"
        " items and user features")  # fmt: skip
    decay: str = choice_setting(
        "linear", ("linear", "none"), "learning rate: linear decrease to 0, or constant (none)"
    )
    beta1: float = number_setting(0.9, 0, 0.999999, "Adam: decay rate of the first moment")
    beta2: float = number_setting(0.999, 0, 0.9999999, "Adam: decay rate of the second moment")
    epsilon: float = number_setting(
        1e-8, 1e-30, 1, "Adam: number added to the square root of the second moment"
    )
    adam: str = choice_setting("lazy", ("lazy", "dense"),
        "rows of the tables of items and user features that Adam updates in a step. lazy: those"
        " with a gradient. dense: all rows, as published; for small catalogues")  # fmt: skip
    initial_matrices: str = choice_setting("random", ("random", "identity"),
        "initial matrix S and last layer. random: random numbers, as in MIND. identity: S is the"
        " identity; with --head residual the last layer is zero, so that an interest starts as its"
        " capsule")  # fmt: skip
    init_scale: float = number_setting(1.0, 0, 1e3,
        "standard deviation of the initial vectors of items and user features, and of the initial"
        " routing matrix S, in units of 1 / sqrt(d)")  # fmt: skip
    evaluate_every: int = number_setting(500, 0, 1_000_000_000,
        "number of steps between validations, which also write a checkpoint; 0: a twelfth of the"
        " steps")  # fmt: skip
    patience: int = number_setting(0, 0, 1_000_000,
        "end training after this many successive validations whose metric is not above the best; 0:"
        " never")  # fmt: skip
    metric: str = free_setting("hit_rate@50", "validation metric that selects the best checkpoint")
    validation_users: int = number_setting(
        10_000, 1, 1_000_000_000, "maximum number of users in the validation set"
    )
    test_users: int = number_setting(
        0, 0, 1_000_000_000, "maximum number of users in the test set; 0: all"
    )
    seed: int = number_setting(0, 0, 2**63 - 1, "seed of all random numbers")
    dtype: str = choice_setting(
        "float32", ("float32", "float64"), "dtype of parameters and arithmetic"
    )
    backend: str = free_setting(
        "numba", "backend that computes the model: an installed name, or module:object"
    )

    def __post_init__(self) -> None:
        for setting, value in coerce_fields(self):
            used = registry.uses_setting(self.model, setting.name)
            if value != setting.default and not used:  # model-R36
                families = " or ".join(registry.families_using(setting.name))
                expected = f"{setting.default}, or --model {families}"
                raise ConfigError(say(setting.name, expected, value))
        if self.loss == "sampled" and self.sampler == "in_batch" and self.batch == 1:
            # the only target would be the only candidate: zero loss, zero gradient
            raise ConfigError(say("batch", "at least 2 examples for the sampler in_batch", 1))
        if self.head == "none" and (self.contexts or self.user_features):  # mind_plus-R13
            expected = "layers or residual, which use contexts and user features"
            raise ConfigError(say("head", expected, "none"))
        if self.attention == "pooled" and not registry.uses_setting(self.model, "sharpness"):
            expected = f"label or mean, or --model {registry.families_using('sharpness')[0]}"
            raise ConfigError(say("attention", expected, "pooled"))

    @classmethod
    @check_arguments
    def of(
        cls,
        preset: str = "mind",
        changes: Mapping[str, Any] | None = None,
        base: Mapping[str, Any] | None = None,
    ) -> Config:
        """Return a preset with changes.

        base: settings of a run or of an experiment; they override the preset, and the changes
        override them. Raises ConfigError for an unknown name, a bad value, or two changes that
        exclude each other.
        """
        if preset not in PRESETS:
            raise ConfigError(say("preset", " or ".join(PRESETS), preset))
        changes, base = changes or {}, base or {}
        model = changes.get("model", base.get("model"))
        defaults = {**PRESETS[preset], **registry.family_defaults(model), **base}
        settings = override(defaults, changes)
        check_names(cls, settings, "configuration", "a known setting")
        config = cls(**settings)
        check_exclusive(config, changes)
        return config

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Config:
        """Return the settings stored in a file. Settings the family does not use get defaults.

        Such a default may have changed since the file was written, without effect on the run.
        """
        used = known_settings(settings.get("model", cls.model))
        foreign = {x.name for x in dataclasses.fields(cls)} - used
        return cls.of("mind", base={k: x for k, x in settings.items() if k not in foreign})

    @property
    def effective_power(self) -> float:
        """The power p of label-aware attention: 0, equal weights, if `attention` is not "label".

        The operator checks the power (label_attention-R15).
        """
        return self.power if self.attention == "label" else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinity is written "inf"."""
        values = dataclasses.asdict(self)
        return {k: "inf" if v == float("inf") else v for k, v in values.items()}  # model-R28

    def changes_from(self, preset: str) -> dict[str, Any]:
        """Return the plain values of the settings that differ from a preset with this model."""
        base, values = Config.of(preset).to_dict(), self.to_dict()
        base |= registry.family_defaults(self.model)
        changed = {
            name: x for name, x in values.items() if x != base[name] and name not in COMPUTED
        }
        if values["epochs"] == 0 != override(base, changed)["epochs"]:
            changed["steps"] = values["steps"]  # the preset's number, given
        elif values["epochs"] not in (0, base["epochs"]):
            changed["epochs"] = values["epochs"]
            changed.pop("steps", None)  # model-R68
        implied = override(base, changed)
        return {name: x for name, x in values.items() if name in changed or x != implied[name]}

    def family_settings(self) -> dict[str, Any]:
        """Return plain values of the settings that the family uses, for a file."""
        used = known_settings(self.model)
        return {name: value for name, value in self.to_dict().items() if name in used}


def known_settings(model: str) -> set[str]:
    """Return the names of the settings that a model family uses."""
    return {x.name for x in dataclasses.fields(Config) if registry.uses_setting(model, x.name)}
