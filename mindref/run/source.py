"""Where a log comes from, how to read it again, and whether it is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.run.tsv import escape

BUILT_IN = "built-in"  # the synthetic catalogue
IN_MEMORY = "memory"  # arrays or a DataFrame that nobody can read again
SYNTHETIC = ("seed", "users", "items")  # options of the built-in catalogue


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
        return cls(place, {name: plain(value) for name, value in (options or {}).items()})

    def moved(self, path: Path) -> Source:
        """Return the source at the path where the log lies now, read as before."""
        return Source.of(path, {} if self.place in (BUILT_IN, IN_MEMORY) else self.options)

    def again(self) -> Loaded:
        """Read the log of a run again. Raises as `read` does, with a word on logs that moved."""
        try:
            return self.read()
        except DataError as error:
            raise DataError(
                f"{error}; if the log of the run has moved, name it with --data"
            ) from error

    def read(self) -> Loaded:
        """Read the log. Raises DataError for bad data, RunError if it cannot be read again."""
        if self.place == IN_MEMORY:
            todo = "name the log with --data"
            raise RunError(say("data of the run", "a file", "arrays given in memory", todo))
        if self.place == BUILT_IN:
            from mindref.data.synthetic import synthetic

            unknown = [name for name in self.options if name not in SYNTHETIC]
            if unknown:
                got = f"none, and {', '.join(unknown)}"
                raise ConfigError(say("data", "a log for the options of reading", got))
            made = synthetic(**self.options)
            return Loaded(made.log, made.planted)
        from mindref.data.readers import read_log

        return Loaded(read_log(self.place, **self.options))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for config.json."""
        return {"place": self.place, "options": dict(self.options)}


def plain(value: Any) -> Any:
    """Return an option as JSON can hold it, a path made absolute."""
    if isinstance(value, Path):
        return str(value.resolve())
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def fingerprint(log: InteractionLog) -> str:
    """Return the sha256 of all that training sees of a log, the same on every machine."""
    found = hashlib.sha256()

    def add(*arrays: Any) -> None:
        for x in arrays:
            found.update(f"{len(x)} ".encode() + x.astype(x.dtype.newbyteorder("<")).tobytes())

    def add_words(words: Sequence[str]) -> None:
        found.update("\n".join(map(escape, [str(len(words)), *words, ""])).encode())

    add(*log.events, *([] if log.times is None else [log.times]))
    add_words(log.user_ids)
    add_words(log.item_ids)
    for feature in (*log.item_features, *log.user_features):
        add_words([feature.name, *feature.values])
        add(*feature.codes)
    return found.hexdigest()


def translate(rows: Ragged, log: InteractionLog, item_ids: list[str]) -> tuple[Ragged, int]:
    """Return rows in the ids of a catalogue, without items it lacks, and the count of those."""
    if list(log.item_ids) == item_ids:
        return rows, 0
    place = {name: i for i, name in enumerate(item_ids)}
    new: Ints = np.array([place.get(name, -1) for name in log.item_ids], np.int64)
    values = new[rows.values]
    known = values >= 0
    running = np.concatenate([[0], np.cumsum(known)])
    return Ragged(running[rows.offsets], values[known]), int(np.count_nonzero(~known))
