"""The settings of the reranker DIN: default, range and help text of each.

Spec: specs/din.md. `mindref.config.Config` has the settings of the recall families. DIN uses the
item and user features of the recall run, which is the run whose items DIN reranks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mindref.errors import ConfigError, say
from mindref.settings import (
    MAX_STEPS,
    check_names,
    choice_setting,
    coerce_fields,
    free_setting,
    number_setting,
)


@dataclass(frozen=True)
class DinConfig:
    """The settings of one DIN reranker."""

    model: ClassVar[str] = "din"
    evaluate_every: ClassVar[int] = 200  # steps after which the state is saved
    patience: ClassVar[int] = 0  # no validation, so no early stop
    beta1: ClassVar[float] = 0.9  # settings of Adam: beta1, beta2, epsilon
    beta2: ClassVar[float] = 0.999
    epsilon: ClassVar[float] = 1e-8
    adam: ClassVar[str] = "lazy"
    dense_rate: ClassVar[float] = 1.0

    width: int = number_setting(64, 1, 4096, "d, width of item vectors")
    window: int = number_setting(
        50, 1, 10_000, "L, history length: the attention reads the L most recent items of a user"
    )
    attention_hidden: tuple[int, ...] = free_setting(
        (32,), "widths of the hidden layers that compute attention weights, separated by commas"
    )
    hidden: tuple[int, ...] = free_setting((64, 32), "widths of the hidden layers of the score")
    normalise_attention: bool = free_setting(False, "normalise attention weights by softmax")
    product: bool = free_setting(
        False, "the layers also read the componentwise product of user and candidate vector"
    )
    profile_width: int = number_setting(8, 1, 4096, "width of the vector of each user feature")

    init_items: str = choice_setting(
        "random",
        ("random", "recall"),
        "initial item vectors: random, or copied from the recall run",
    )
    candidates: int = number_setting(200, 1, 1_000_000,
        "n, number of candidates: for each history, DIN reranks the top n items of the recall"
        " run")  # fmt: skip
    recalled_negatives: int = number_setting(15, 0, 1_000_000,
        "number of negatives per example, drawn from the top n items of the recall run (n:"
        " --candidates)")  # fmt: skip
    popular_negatives: int = number_setting(
        4, 0, 1_000_000, "number of negatives per example, drawn from all items by popularity"
    )
    alpha: float = number_setting(0.75, 0, 10, "exponent of the item count for popular negatives")
    batch: int = number_setting(128, 1, 1_000_000, "number of training examples per step")
    steps: int = number_setting(3000, 0, MAX_STEPS, "maximum number of training steps")
    learning_rate: float = number_setting(1e-3, 0, 100, "learning rate of Adam at the first step")
    decay: str = choice_setting("linear", ("linear", "none"), "decay of the learning rate")
    seed: int = number_setting(0, 0, 2**63 - 1, "seed of all random numbers")
    dtype: str = choice_setting(
        "float32", ("float32", "float64"), "dtype of parameters and arithmetic"
    )

    def __post_init__(self) -> None:
        list(coerce_fields(self))  # din-R13
        if self.recalled_negatives + self.popular_negatives < 1:  # din-R13
            names = "recalled_negatives and popular_negatives"
            raise ConfigError(say(names, "at least one negative", "none"))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> DinConfig:
        """Return the defaults with changes. Raises ConfigError for an unknown name."""
        check_names(cls, settings, "din", "a setting of din")  # din-R22
        return cls(**settings)

    @classmethod
    def restored(cls, settings: Mapping[str, Any]) -> DinConfig:
        """Return the settings of a file. Raises ConfigError for an unknown name."""
        return cls.of({name: value for name, value in settings.items() if name != "model"})

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, the name of the family first."""
        return {"model": self.model, **dataclasses.asdict(self)}

    def family_settings(self) -> dict[str, Any]:
        """Return the settings that a file stores: all of them."""
        return self.to_dict()
