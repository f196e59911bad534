"""The settings of DIN, with range and help.

Spec: specs/din.md. `mindref.config.Config` has the settings of the recall families. Item and user
features are those of the recall run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mindref.errors import ConfigError, say
from mindref.settings import (
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

    width: int = number_setting(64, 1, 4096, "d, width of items")
    window: int = number_setting(
        50, 1, 10_000, "L, number of most recent behaviours in the attention"
    )
    attention_hidden: tuple[int, ...] = free_setting(
        (32,), "widths of the activation unit's layers"
    )
    hidden: tuple[int, ...] = free_setting((64, 32), "widths of the layers before the logit")
    normalise_attention: bool = free_setting(False, "softmax of the attention over the behaviours")
    product: bool = free_setting(
        False, "the product of user and candidate is an input of the layers"
    )
    profile_width: int = number_setting(8, 1, 4096, "width of the vector of a user feature")

    start: str = choice_setting(
        "drawn",
        ("drawn", "recall"),
        "initial item table: random numbers (drawn), or a copy of the recall run's table (recall)",
    )
    depth: int = number_setting(
        200, 1, 1_000_000, "n, number of candidates that the recall run returns for a history"
    )
    recalled: int = number_setting(
        15, 0, 1_000_000, "number of negatives per example from the recalled items"
    )
    popular: int = number_setting(
        4, 0, 1_000_000, "number of negatives per example drawn by popularity"
    )
    alpha: float = number_setting(0.75, 0, 10, "popularity: power of the item's count")
    batch: int = number_setting(128, 1, 1_000_000, "examples per step")
    steps: int = number_setting(3000, 0, 1_000_000_000, "steps of training")
    learning_rate: float = number_setting(1e-3, 0, 100, "of Adam at the first step")
    decay: str = choice_setting("linear", ("linear", "none"), "learning rate schedule")
    seed: int = number_setting(0, 0, 2**63 - 1, "seed of all random numbers")
    dtype: str = choice_setting(
        "float32", ("float32", "float64"), "dtype of parameters and arithmetic"
    )

    def __post_init__(self) -> None:
        list(coerce_fields(self))  # din-R13
        if self.recalled + self.popular < 1:  # din-R13: positives without negatives give no order
            raise ConfigError(say("recalled and popular", "at least one negative", "none"))

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
