"""Side information: titles and features by external id (specs/data.md, Reading)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from mindref.data.log import Feature, Ragged


@dataclass
class SideInfo:
    """Titles and features of items (or users). `file_ids`: ids of the item (or user) file."""

    titles: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, list[str]]] = field(default_factory=dict)  # feature -> id -> values
    file_ids: dict[str, None] | None = None  # in the order of the file
    # fields of `Columns` that the file has used
    used_options: set[str] = field(default_factory=set)
    columns: list[str] = field(default_factory=list)  # names in the header of the file
    text: int = 0  # characters of the stored titles and values

    def add_title(self, name: str, title: str) -> None:
        """Store the title of an id, unless the title is empty or the id has one already."""
        if title and name not in self.titles:
            self.titles[name] = title
            self.text += len(title)

    def add_values(self, feature: str, name: str, values: Iterable[str]) -> None:
        """Store the values of a feature of an id, each value once."""
        stored = self.values.setdefault(feature, {}).setdefault(name, [])
        # data-R9
        new_values = [value for value in dict.fromkeys(values) if value and value not in stored]
        stored.extend(new_values)
        self.text += sum(map(len, new_values))

    def add_id(self, name: str) -> None:
        """Store that the item (or user) file contains this id."""
        if self.file_ids is None:
            self.file_ids = {}
        self.file_ids[name] = None

    def all_ids(self) -> list[str]:
        """Return the ids of the file; without a file, the ids with a title or a value."""
        if self.file_ids is not None:
            return list(self.file_ids)
        return list(dict.fromkeys(chain(self.titles, *self.values.values())))

    def titles_of(self, ids: Sequence[str]) -> list[str] | None:
        """Return the title of every id, "" where unknown. None if no id has a title."""
        return [self.titles.get(name, "") for name in ids] if self.titles else None  # data-R7

    def features_of(self, ids: Sequence[str]) -> tuple[Feature, ...]:
        """Return the features of these ids. Codes are in order of first appearance."""
        features = []
        for name, values_of_id in self.values.items():
            code_of: dict[str, int] = {}
            codes, offsets = list[int](), [0]
            for external_id in ids:
                values = values_of_id.get(external_id, ())
                codes.extend(code_of.setdefault(value, len(code_of)) for value in values)
                offsets.append(len(codes))
            rows = Ragged(np.array(offsets, np.int64), np.array(codes, np.int64))
            features.append(Feature(name, list(code_of), rows))
        return tuple(features)
