"""Where a log comes from, and how to read it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.errors import RunError, say

BUILT_IN = "built-in"  # the synthetic catalogue
IN_MEMORY = "memory"  # arrays or a DataFrame that nobody can read again


class Loaded(NamedTuple):
    """A log, and the planted interest of each event where that is known."""

    log: InteractionLog
    planted: Ragged | None = None


@dataclass(frozen=True)
class Source:
    """A place to read a log from: a path, or the built-in catalogue; `options` are the reader's."""

    place: str = BUILT_IN
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, path: str | Path | None, options: Mapping[str, Any] | None = None) -> Source:
        """Return the source of a path, made absolute, or the built-in catalogue for None."""
        place = BUILT_IN if path is None else str(Path(path).resolve())
        return cls(place, dict(options or {}))

    def read(self) -> Loaded:
        """Read the log. Raises DataError for bad data, RunError if it cannot be read again."""
        if self.place == IN_MEMORY:
            todo = "name the log with --data"
            raise RunError(say("data of the run", "a file", "arrays given in memory", todo))
        if self.place == BUILT_IN:
            from mindref.data.synthetic import synthetic

            made = synthetic(**self.options)
            return Loaded(made.log, made.planted)
        from mindref.data.readers import read_log

        return Loaded(read_log(self.place, **self.options))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for config.json."""
        return {"place": self.place, "options": dict(self.options)}


def translate(rows: Ragged, log: InteractionLog, item_ids: list[str]) -> tuple[Ragged, int]:
    """Return rows in the ids of a catalogue, without items unknown to it, and the count of those."""
    if list(log.item_ids) == item_ids:
        return rows, 0
    place = {name: i for i, name in enumerate(item_ids)}
    new: Ints = np.array([place.get(name, -1) for name in log.item_ids], np.int64)
    values = new[rows.values]
    known = values >= 0
    running = np.concatenate([[0], np.cumsum(known)])
    return Ragged(running[rows.offsets], values[known]), int(np.count_nonzero(~known))
