"""Source of a log: where it was read from, how to read it again, and its fingerprint."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.arguments import check_path_argument
from mindref.config import Config
from mindref.data.assemble import KEEP_NAMES
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.errors import ConfigError, DataError, say
from mindref.run.checkpoint import run_identity
from mindref.run.files import real_path
from mindref.run.stored_log import MissingLogError, StoredLog
from mindref.run.tsv import escape

BUILT_IN = "built-in"  # the synthetic catalogue
IN_MEMORY = "memory"  # arrays or a DataFrame, which cannot be read again
SYNTHETIC = {"seed": 0, "users": 2000, "items": 1000}
"""Options of the built-in catalogue, with their defaults."""


class LoadedLog(NamedTuple):
    """A log, and the true interest of each interaction if the log is synthetic."""

    log: InteractionLog
    true_interests: Ragged | None = None


@dataclass(frozen=True)
class Source:
    """Path of a log or the built-in catalogue, with the options of the reader."""

    location: str = BUILT_IN
    options: Mapping[str, Any] = field(default_factory=dict)
    is_from_run: bool = field(default=False, compare=False)
    """Whether config.json of a run names the log, and not the user."""
    stored: StoredLog | None = field(default=None, compare=False)  # of a run

    @classmethod
    def of_run(cls, run: Path, config: Config, facts: Mapping[str, Any]) -> Source:
        """Return the source that `config.json` of a run names, or its stored log."""
        source, stored = facts["source"], StoredLog(run, run_identity(config, facts))
        return cls(source["place"], source["options"], is_from_run=True, stored=stored)

    @classmethod
    def of(cls, path: str | Path | None, options: Mapping[str, Any] | None = None) -> Source:
        """Return the source of a path, made absolute, or the built-in catalogue for None."""
        location = BUILT_IN if path is None else str(real_path(path))
        return cls(location, {name: json_option(x) for name, x in (options or {}).items()})

    def moved(self, path: Path) -> Source:
        """Return the source with a new path and the same reading options."""
        return Source.of(path, {} if self.location == BUILT_IN else self.options)

    def again(self) -> LoadedLog:
        """Read the log of a run again. Raises as `read`, with advice for a log that has moved."""
        try:
            return self.read()
        except DataError as error:
            if not self.is_from_run:
                raise
            todo = "if the log of the run has moved, name it with --data"
            raise DataError(f"{error}; {todo}") from error

    def read(self, config: Config | None = None) -> LoadedLog:
        """Read the log; check before that it has the features of `config`.

        Raises DataError for bad data, RunError if it cannot be read again, ConfigError for an
        unknown feature.
        """
        if self.location == IN_MEMORY:
            if self.stored is None:
                raise MissingLogError
            return LoadedLog(self.stored.read())
        if self.location == BUILT_IN:
            from mindref.data.synthetic import make_synthetic_log

            unknown = [name for name in self.options if name not in SYNTHETIC]
            if unknown:
                got = f"none, and {', '.join(unknown)}"
                raise ConfigError(say("data", "a log for the reading options", got))
            numbers = {**SYNTHETIC, **self.options}
            synthetic = make_synthetic_log(
                seed=numbers["seed"], users=numbers["users"], items=numbers["items"]
            )
            return LoadedLog(synthetic.log, synthetic.true_interests)
        from mindref.data.readers import FeatureNames, read_log

        names = (config.item_features, config.user_features) if config else ()
        try:
            log = read_log(self.location, **self.options, features=FeatureNames(*names))
        except (ConfigError, DataError) as error:
            if self.is_from_run and os.path.exists(self.location):
                got = "a file that cannot be read as that log"
                raise DataError(say(self.location, "the log of the run", got)) from None
            raise error
        # security-R18: nothing is quoted from a file that only the run names
        return LoadedLog(replace(log, bad_lines=(), hints=()) if self.is_from_run else log)

    def size(self) -> int | None:
        """Return the bytes of the log if it is a single file, else None."""
        path = Path(self.location)
        is_path = self.location not in (BUILT_IN, IN_MEMORY)
        return path.stat().st_size if is_path and path.is_file() else None

    def to_dict(self) -> dict[str, object]:
        """Return plain values for config.json."""
        return {"place": self.location, "options": dict(self.options)}


def is_in_memory(facts: Mapping[str, Any]) -> bool:
    """Return whether the facts of a run have no path of its log, which was data in memory."""
    return bool(facts.get("source", {}).get("place") == IN_MEMORY)


def json_option(value: object) -> object:
    """Return an option as a JSON value; a path is made absolute."""
    if isinstance(value, np.generic):  # JSON has no numbers of NumPy
        return value.item()
    if isinstance(value, Path):
        check_path_argument("a path among the reading options", value)
        return str(real_path(value))
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def fingerprint(log: InteractionLog) -> str:
    """Return the sha256 of everything that training uses of a log, equal on every machine."""
    sha256 = hashlib.sha256()

    def add(*arrays: npt.NDArray[np.generic]) -> None:
        for x in arrays:
            sha256.update(f"{len(x)} ".encode() + x.astype(x.dtype.newbyteorder("<")).tobytes())

    def add_words(words: Sequence[str]) -> None:
        sha256.update("\n".join(map(escape, [str(len(words)), *words, ""])).encode())

    add(*log.interactions, *([] if log.times is None else [log.times]))
    add_words(log.user_ids)
    add_words(log.item_ids)
    for feature in (*log.item_features, *log.user_features):
        add_words([feature.name, *feature.values])
        add(*feature.codes)
    return sha256.hexdigest()


def translate_items(rows: Ragged, log: InteractionLog, item_ids: list[str]) -> tuple[Ragged, int]:
    """Return rows in dense ids of a catalogue, and the number of unknown items (removed)."""
    if list(log.item_ids) == item_ids:
        return rows, 0
    dense_id = {name: i for i, name in enumerate(item_ids)}
    new: Ints = np.array([dense_id.get(name, -1) for name in log.item_ids], np.int64)
    values = new[rows.values]
    is_known = values >= 0
    known_rows = Ragged(rows.offsets, values).where(is_known)
    return known_rows, int(np.count_nonzero(~is_known))


# options of `fit` for each kind of data
NAMED_COLUMNS, KEEP_ROWS = ("user", "item", "time", "title"), KEEP_NAMES[:-1]
OF_ARRAYS = ("titles", "item_features", "user_features", *KEEP_NAMES)
OF_TABLES = (*NAMED_COLUMNS, *OF_ARRAYS[1:-1])  # a table has no unused items
OF_FILES = ("format", "columns", "item_file", "user_file", "max_bad_lines", *KEEP_NAMES)


def open_fit_data(
    data: Any, items: Any, times: Any, reading: dict[str, Any], config: Config | None = None
) -> tuple[Source, LoadedLog]:
    """Return the source and the log of the data passed to `fit`, whose settings are `config`."""
    is_file = data is None or isinstance(data, str | Path)
    is_table = (
        isinstance(data, Mapping) or hasattr(data, "columns") or hasattr(data, "column_names")
    )
    is_log = isinstance(data, InteractionLog)
    if (is_file or is_table or is_log) and not (items is None and times is None):
        got = "none" if data is None else type(data).__name__
        raise ConfigError(say("data", "users beside the items", got))
    if is_file:
        if data is not None:
            check_path_argument("data", data)
        source = Source.of(data, reading if data is None else file_options(reading))
        return source, source.read(config)
    if is_log:
        check_options("a log", reading, ())
        return Source(IN_MEMORY), LoadedLog(data)
    from mindref.data.frames import from_arrays, from_dataframe

    if is_table:
        check_options("a table", reading, OF_TABLES)
        return memory_source(reading), LoadedLog(from_dataframe(data, **reading))
    if items is not None:
        check_options("arrays", reading, OF_ARRAYS)
        return memory_source(reading), LoadedLog(from_arrays(data, items, times, **reading))
    expected = "a path, a DataFrame, an InteractionLog, or users with items beside them"
    raise ConfigError(say("data", expected, type(data).__name__))


def memory_source(reading: Mapping[str, Any]) -> Source:
    """Return the source of data in memory, with the options to read a file of the same columns."""
    options = {name: json_option(reading[name]) for name in KEEP_ROWS if name in reading}
    columns = {name: reading[name] for name in NAMED_COLUMNS if reading.get(name) is not None}
    for kind in ("item_features", "user_features"):
        if not isinstance(names := reading.get(kind, ()), Mapping) and names:
            columns[kind] = {str(name): str(name) for name in names}
    return Source(IN_MEMORY, {**options, **({"columns": columns} if columns else {})})


def stored_reading(source: Source, data: Any, items: Any) -> dict[str, Any]:
    """Return the reading options of a source as arguments of `open_fit_data` for other data."""
    if isinstance(data, InteractionLog) or data is None or source.location == BUILT_IN:
        return {}
    options = dict(source.options)
    if isinstance(data, str | Path):
        return options
    values = {**options, **(options.pop("columns", None) or {})}
    names = OF_TABLES if items is None else KEEP_ROWS
    lists = {name: list(x) if isinstance(x, Mapping) else x for name, x in values.items()}
    return {name: x for name, x in lists.items() if name in names and x}


def file_options(reading: dict[str, Any]) -> dict[str, Any]:
    """Return options of `read_log`, with the options of `Columns` moved into `columns`."""
    from mindref.data.readers.columns import Columns

    of_columns = tuple(asdict(Columns()))
    check_options("a file", reading, (*OF_FILES, *of_columns))
    options = {name: value for name, value in reading.items() if name not in of_columns}
    column_options = {name: value for name, value in reading.items() if name in of_columns}
    for name in ("item_file", "user_file"):
        if isinstance(options.get(name), str | Path):
            check_path_argument(name, options[name])
    if column_options:
        options["columns"] = {**asdict(Columns.of(options.get("columns"))), **column_options}
    return options


def check_options(kind: str, reading: Mapping[str, object], allowed: Sequence[str]) -> None:
    """Raise ConfigError for an option that this kind of data does not have."""
    for name in reading:
        if name not in allowed:
            expected = " or ".join(allowed) or "no option"
            raise ConfigError(say(f"options of {kind}", expected, repr(name)))
