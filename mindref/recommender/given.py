"""Whatever `fit` was given -> a log, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mindref.data.log import InteractionLog
from mindref.errors import ConfigError, say
from mindref.run.source import IN_MEMORY, Loaded, Source

# what `fit` may be told of each kind of data
OF_ARRAYS = ("titles", "item_features", "user_features", "keep_duplicates")
OF_TABLES = ("user", "item", "time", "title", "item_features", "user_features", "keep_duplicates")
OF_FILES = ("format", "columns", "item_file", "user_file", "max_bad_lines", "keep_duplicates")


def open_data(data: Any, items: Any, times: Any, reading: dict[str, Any]) -> tuple[Source, Loaded]:
    """Return the source and the log of whatever `fit` was given."""
    table = isinstance(data, Mapping) or hasattr(data, "columns") or hasattr(data, "column_names")
    whole = data is None or table or isinstance(data, str | Path | InteractionLog)
    if whole and not (items is None and times is None):
        got = "none" if data is None else type(data).__name__
        raise ConfigError(say("fit: data", "users beside the items", got))
    if data is None or isinstance(data, str | Path):
        source = Source.of(data, reading if data is None else of_file(reading))
        return source, source.read()
    if isinstance(data, InteractionLog):
        check_known("a log", reading, ())
        return Source(IN_MEMORY), Loaded(data)
    from mindref.data.frames import from_arrays, from_dataframe

    if table:
        check_known("a table", reading, OF_TABLES)
        return Source(IN_MEMORY), Loaded(from_dataframe(data, **reading))
    if items is not None:
        check_known("arrays", reading, OF_ARRAYS)
        return Source(IN_MEMORY), Loaded(from_arrays(data, items, times, **reading))
    expected = "a path, a DataFrame, an InteractionLog, or users with items beside them"
    raise ConfigError(say("fit: data", expected, type(data).__name__))


def of_file(reading: dict[str, Any]) -> dict[str, Any]:
    """Return options of `read_log`, those of `Columns` that stand among them put into `columns`."""
    from mindref.data.readers.columns import Columns

    of_columns = tuple(asdict(Columns()))
    check_known("a file", reading, (*OF_FILES, *of_columns))
    options = {name: value for name, value in reading.items() if name not in of_columns}
    named = {name: value for name, value in reading.items() if name in of_columns}
    if named:
        options["columns"] = {**asdict(Columns.of(options.get("columns"))), **named}
    return options


def check_known(kind: str, reading: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise ConfigError for an option that this kind of data has no use for."""
    for name in reading:
        if name not in known:
            some = " or ".join(known) or "no option"
            raise ConfigError(say(f"fit: options of {kind}", some, repr(name)))
