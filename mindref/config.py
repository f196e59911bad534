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

from mindref.errors import ConfigError, say
from mindref.models import registry
from mindref.presets import PRESETS
from mindref.settings import (
    check_names,
    choice_setting,
    coerce_fields,
    free_setting,
    number_setting,
)


@dataclass(frozen=True)
class Config:
    """The settings of one run. Defaults follow specs/evidence.md; preset `paper` follows the paper.

    Each setting has the effect that its help text describes (model-R29).
    """

    # the model (specs/model.md)
    model: str = choice_setting("mind", registry.RECALL_FAMILIES, "model family (specs/README.md)")
    interests: int = number_setting(4, 1, 64, "K, maximum number of interests per user")
    width: int = number_setting(64, 1, 4096, "d, width of item vectors and interests")
    window: int = number_setting(
        10, 1, 10_000, "L, number of most recent behaviours that routing uses"
    )
    iterations: int = number_setting(6, 1, 100, "r, routing iterations")
    sigma: float = number_setting(0.1, 0, 1e6, "standard deviation of the initial logits")
    logits: str = choice_setting(
        "keyed",
        ("keyed", "fixed", "per_call"),
        "initial routing logits. keyed: a new draw in each training step; in serving a function of"
        " seed, item and interest. fixed: this function in training too. per_call: a new draw in"
        " each training step and each call",
    )
    interest_count: str = choice_setting(
        "log2", ("log2", "fixed"), "number of active interests: log2 of the history length, or K"
    )
    routing: str = choice_setting(
        "dynamic", ("dynamic", "uniform"), "coupling weights: updated by routing, or all equal"
    )
    routing_axis: str = choice_setting(
        "interests", ("interests", "behaviours"), "axis of the softmax over the routing logits"
    )
    routing_gradient: str = choice_setting(
        "last", ("last", "all"), "routing iterations to differentiate: the last one, or all"
    )
    squash: str = choice_setting(
        "squash", ("squash", "unit", "none"), "capsule length: squashed, one, or unchanged"
    )
    hidden: tuple[int, ...] = free_setting(
        (256,),
        "widths of the hidden ReLU layers, comma separated: up to 64 layers, each 1 to 65536",
    )
    last_relu: bool = free_setting(False, "apply ReLU after the last layer too")
    attention: str = choice_setting(
        "label",
        ("label", "mean", "pooled"),
        "how training combines interests into a user vector: label-aware attention, mean,"
        " or pooled (mind_plus only)",
    )
    power: float = number_setting(
        float("inf"), 0, float("inf"), "p, exponent of label-aware attention"
    )
    sharpness: float = number_setting(
        1.0,
        0,
        float("inf"),
        "with attention=pooled: 0 pools the interests by their mean, inf by their maximum",
    )
    recency: str = choice_setting(
        "none",
        ("none", "shared", "interests"),
        "learned weights by age of a behaviour: none, shared by all interests, or per interest",
    )
    votes: str = choice_setting(
        "matrix",
        ("matrix", "items"),
        "votes of routing: item vectors times the matrix S, or the item vectors",
    )
    head: str = choice_setting(
        "layers",
        ("layers", "residual", "none"),
        "how an interest is computed from its capsule: layers, layers plus capsule (residual), or"
        " the capsule itself (none)",
    )
    contexts: int = number_setting(
        0, 0, 64, "number of pooled history vectors concatenated to each capsule"
    )
    dropout: float = number_setting(
        0.0, 0, 0.99, "fraction of behaviour vector entries set to 0 in training"
    )
    score: str = choice_setting(
        "max", ("max", "sum"), "serving: item score as maximum or sum over the interests"
    )
    loss: str = choice_setting(
        "sampled", ("sampled", "full"), "softmax over sampled negatives, or the whole catalogue"
    )
    temperature: float = number_setting(1.0, 1e-6, 1e6, "divisor of the inner products in the loss")
    normalise: bool = free_setting(False, "normalise user and item vectors to length 1")
    pair_loss: str = choice_setting(
        "warp", ("warp", "auc"), "loss of an item pair: weighted by the rank, or unweighted"
    )
    similarity: str = choice_setting(
        "bm25",
        ("bm25", "tfidf", "cosine"),
        "weights of the user-item matrix before item similarities",
    )
    neighbours: int = number_setting(500, 1, 1_000_000, "most similar items stored per item")
    k1: float = number_setting(
        1.2, 0, 1e6, "bm25: how much a popular item loses weight; 0: not at all"
    )
    b: float = number_setting(
        0.25, 0, 1, "bm25: how much the weight depends on the popularity (0: not at all, 1: fully)"
    )
    regularization: float = number_setting(10.0, 0, 1e6, "L2 regularisation of least squares")
    confidence: float = number_setting(
        10.0, 0, 1e6, "weight of an interaction in least squares; any other item has weight 1"
    )
    sweeps: int = number_setting(15, 1, 10_000, "sweeps of alternating least squares")
    history_decay: float = number_setting(
        1.0, 1e-6, 1, "a behaviour followed by n others has the weight history_decay^n"
    )
    item_features: tuple[str, ...] = free_setting((), "item features averaged into the item vector")
    user_features: tuple[str, ...] = free_setting((), "user features joined to each capsule")
    profile_width: int = number_setting(8, 1, 4096, "width of a user feature's vector")

    # negatives and training (specs/data.md, specs/optimiser.md)
    negatives: int = number_setting(512, 1, 10_000_000, "sampled negatives shared by a batch")
    sampler: str = choice_setting(
        "unigram", ("unigram", "log_uniform", "uniform", "in_batch"), "distribution of negatives"
    )
    alpha: float = number_setting(0.75, 0, 10, "sampler=unigram: exponent of the item count")
    target_sampling: str = choice_setting(
        "interaction",
        ("interaction", "user"),
        "training targets. interaction: every interaction has the same chance. user: every user has"
        " the same chance, and then every interaction of the user",
    )
    batch: int = number_setting(512, 1, 1_000_000, "training examples per step")
    steps: int = number_setting(3000, 1, 1_000_000_000, "maximum number of training steps")
    learning_rate: float = number_setting(5e-3, 0, 100, "learning rate of Adam at the first step")
    decay: str = choice_setting(
        "linear", ("linear", "none"), "learning rate: linear decay to 0, or constant"
    )
    beta1: float = number_setting(0.9, 0, 0.999999, "Adam: decay of the first moment")
    beta2: float = number_setting(0.999, 0, 0.9999999, "Adam: decay of the second moment")
    epsilon: float = number_setting(
        1e-8, 1e-30, 1, "Adam: added to the square root of the second moment"
    )
    init_scale: float = number_setting(
        1.0,
        0,
        1e3,
        "scale of the initial item vectors and of the routing matrix S, in units of 1 / sqrt(d)",
    )
    evaluate_every: int = number_setting(
        500, 1, 1_000_000_000, "steps between validations, each with a checkpoint"
    )
    patience: int = number_setting(
        0, 0, 1_000_000, "stop after this many validations without improvement; 0: never stop"
    )
    metric: str = free_setting("hit_rate@50", "validation metric that selects the best checkpoint")
    validation_users: int = number_setting(
        10_000, 1, 1_000_000_000, "maximum number of users in the validation set"
    )
    seed: int = number_setting(0, 0, 2**63 - 1, "seed of all random numbers")
    dtype: str = choice_setting(
        "float32", ("float32", "float64"), "dtype of parameters and arithmetic"
    )
    backend: str = free_setting("numba", "backend that computes: installed name or module:object")

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
        self.check_values()

    def check_values(self) -> None:
        """Raise ConfigError for a value of a common setting that the family does not allow."""
        for setting in dataclasses.fields(self):
            name, value = setting.name, getattr(self, setting.name)
            if not registry.allows_value(self.model, name, value):
                families = " or ".join(registry.families_allowing(name, value))
                common = [
                    x
                    for x in setting.metadata["options"]
                    if not registry.families_allowing(name, x)
                ]
                expected = f"{' or '.join(common)}, or --model {families}"
                raise ConfigError(say(name, expected, value))

    @classmethod
    def of(cls, preset: str = "default", changes: Mapping[str, Any] | None = None) -> Config:
        """Return a preset with changes. Raises ConfigError for an unknown name or a bad value."""
        if preset not in PRESETS:
            raise ConfigError(say("preset", " or ".join(PRESETS), preset))
        settings = {**PRESETS[preset], **(changes or {})}
        check_names(cls, settings, "configuration", "a known setting")
        return cls(**settings)

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> Config:
        """Return the settings stored in a file. Settings the family does not use get defaults.

        Such a default may have changed since the file was written, without effect on the run.
        """
        used = known_settings(settings.get("model", cls.model))
        foreign = {x.name for x in dataclasses.fields(cls)} - used
        return cls.of("default", {k: x for k, x in settings.items() if k not in foreign})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON; infinity is written "inf"."""
        values = dataclasses.asdict(self)
        return {k: "inf" if v == float("inf") else v for k, v in values.items()}  # model-R28

    def family_settings(self) -> dict[str, Any]:
        """Return plain values of the settings that the family uses, for a file."""
        used = known_settings(self.model)
        return {name: value for name, value in self.to_dict().items() if name in used}


def known_settings(model: str) -> set[str]:
    """Return the names of the settings that a model family uses."""
    return {x.name for x in dataclasses.fields(Config) if registry.uses_setting(model, x.name)}
