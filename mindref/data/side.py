"""Titles and features, gathered by external id while a file is read (specs/data.md, Reading)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from mindref.data.log import Feature, Ragged


@dataclass
class Side:
    """What is known of items (or users); `listed` holds the ids of their own file, if any."""

    titles: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # feature -> id -> values
    listed: set[str] | None = None
    used: set[str] = field(default_factory=set)  # options of reading that their file heeded

    def title(self, name: str, title: str) -> None:
        """Note the title of an id; the first one that is not empty stays."""
        if title:
            self.titles.setdefault(name, title)

    def add(self, feature: str, name: str, values: Iterable[str]) -> None:
        """Note values of a feature of an id; each is kept once."""
        of = self.values.setdefault(feature, {}).setdefault(name, [])
        of.extend(value for value in dict.fromkeys(values) if value and value not in of)  # data-R9

    def enlist(self, name: str) -> None:
        """Note that the file of the items (or users) has this id."""
        if self.listed is None:
            self.listed = set()
        self.listed.add(name)

    def titles_of(self, ids: Sequence[str]) -> list[str] | None:
        """Return the title of every id, empty where unknown; None where nothing has a title."""
        return [self.titles.get(name, "") for name in ids] if self.titles else None  # data-R7

    def features_of(self, ids: Sequence[str]) -> tuple[Feature, ...]:
        """Lay the features out for these ids; codes in order of first appearance among them."""
        return tuple(feature(name, known, ids) for name, known in self.values.items())


def feature(name: str, known: dict[str, list[str]], ids: Sequence[str]) -> Feature:
    """Lay one feature out: row i holds the values of `ids[i]`."""
    code_of: dict[str, int] = {}
    codes: list[int] = []
    offsets = np.zeros(len(ids) + 1, np.int64)
    for row, one in enumerate(ids):
        codes.extend(code_of.setdefault(value, len(code_of)) for value in known.get(one, ()))
        offsets[row + 1] = len(codes)
    return Feature(name, list(code_of), Ragged(offsets, np.array(codes, np.int64)))
