"""A writer of user towers that needs no framework: the reference, behind the same functions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from mindref.models import mind, tower
from mindref.models.family import family_of
from mindref.models.parameters import catalogue_of_ids
from mindref.models.tower import UserTower
from mindref.ops import squash
from mindref.shapes import Array, Bools, Ints

Answers = tuple[Array, Bools]
FILE = "user_tower.test"


class Writer:
    """What an exporter offers; `spoil` changes what a file answers."""

    FAMILIES = tower.FAMILIES

    def __init__(self, spoil: Callable[..., Any] = lambda *answers: answers) -> None:
        self.spoil = spoil
        self.parts: UserTower | None = None

    def write(self, parts: UserTower, folder: Path) -> dict[str, Any]:
        """Write a file, and keep the parts."""
        self.parts = parts
        (folder / FILE).write_bytes(b"a tower")
        return {"file": FILE}

    def open_file(self, path: Path) -> Callable[..., Answers]:
        """Return a function from arrays to arrays."""
        assert path.read_bytes() == b"a tower"
        parts = self.parts
        return lambda *arrays: self.spoil(*answers(parts, *arrays))


def answers(parts: UserTower, items: Ints, mask: Bools, profile: Ints | None = None) -> Answers:
    """Return interests and which are active, by the operators of the reference."""
    so_far = mask.cumsum(1)
    mask = mask & (so_far > mask.sum(1, keepdims=True) - parts.config.window)
    items = np.where(mask, items, 0)
    rows = np.zeros((len(items), 0), np.int64) if profile is None else profile
    family = family_of(parts.config.model)
    params = family.params(*(getattr(parts, name) for name in family.params._fields))
    users = mind.Histories(items, mask, parts.logits[items], rows)
    catalogue = catalogue_of_ids(len(parts.items), "float32")
    vectors, active, _ = family.interests(params, users, catalogue, parts.config)
    return squash.forward(vectors, kind="unit")[0] if parts.config.normalise else vectors, active
