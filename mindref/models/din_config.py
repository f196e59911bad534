"""Every setting of DIN, the ranking stage, with unit, range and source.

Spec: specs/din.md. As `mindref.config.Config`, which has the settings of the recall stage. Item and
user features are those of the recall run.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mindref.config import check, choice, coerce, number, plain
from mindref.errors import ConfigError, say


@dataclass(frozen=True)
class DinConfig:
    """The settings of one ranking stage."""

    width: int = number(64, 1, 4096, "d, width of items")
    window: int = number(50, 1, 10_000, "L, most recent behaviours that are attended to")
    attention_hidden: tuple[int, ...] = plain((32,), "widths of the activation unit's layers")
    hidden: tuple[int, ...] = plain((64, 32), "widths of the layers before the logit")
    normalise_attention: bool = plain(False, "softmax of the attention over the behaviours")
    product: bool = plain(False, "the product of user and candidate is an input of the layers")
    profile_width: int = number(8, 1, 4096, "width of the vector of a user feature")

    start: str = choice("drawn", ("drawn", "recall"), "item table at first: drawn, or the run's")
    depth: int = number(200, 1, 1_000_000, "n, candidates that are recalled for a history")
    recalled: int = number(15, 0, 1_000_000, "negatives of a sample from what is recalled")
    popular: int = number(4, 0, 1_000_000, "negatives of a sample drawn by popularity")
    alpha: float = number(0.75, 0, 10, "popularity: power of the item's count")
    batch: int = number(128, 1, 1_000_000, "samples of a step")
    steps: int = number(3000, 0, 1_000_000_000, "steps of training")
    learning_rate: float = number(1e-3, 0, 100, "of Adam at the first step")
    decay: str = choice("linear", ("linear", "none"), "learning rate over the steps")
    seed: int = number(0, 0, 2**63 - 1, "of everything random")
    dtype: str = choice("float32", ("float32", "float64"), "type of parameters and arithmetic")

    def __post_init__(self) -> None:
        for setting in dataclasses.fields(self):
            value = coerce(setting, getattr(self, setting.name))
            object.__setattr__(self, setting.name, value)  # frozen, but not yet given away
            check(setting, value)  # din-R13
        if self.recalled + self.popular < 1:  # din-R13: a positive alone teaches nothing
            raise ConfigError(say("recalled and popular", "at least one negative", "none"))

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> DinConfig:
        """Return the defaults with changes. Raises ConfigError for an unknown name."""
        known = {setting.name: setting for setting in dataclasses.fields(cls)}
        for name in settings:
            if name not in known:  # din-R22
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
                raise ConfigError(say("din", "a setting of the ranking stage", name, hint))
        return cls(**settings)
