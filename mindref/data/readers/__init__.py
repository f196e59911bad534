"""Read a raw log: find it, recognise its form, read it, and lay it out (specs/data.md, Reading)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from mindref.data.assemble import NOTES, NoEvents, Reading, assemble
from mindref.data.log import InteractionLog
from mindref.data.readers import delimited as delimited_text
from mindref.data.readers import jsonl, movielens, pairs, parquet, recbole, sequences, side_files
from mindref.data.readers.columns import Columns, refuse
from mindref.data.readers.detect import FORMATS, check_lines, recognise
from mindref.data.readers.folder import beside, find_log
from mindref.data.readers.place import Place
from mindref.data.readers.tally import AUTO, Tally, check_limit
from mindref.data.side import Side
from mindref.errors import ConfigError, DataError, say

__all__ = ["read_log", "Columns", "FORMATS"]

Reader = Callable[[Place, Columns, Tally, Side, Side], Reading]
SideReader = Callable[[Place, Columns, Tally], Side]

READERS: dict[str, Reader] = {
    "movielens": movielens.read,
    "movielens-tab": movielens.read_tab,
    "recbole": recbole.read,
    "delimited": delimited_text.read,
    "pairs": pairs.read,
    "sequences": sequences.read,
    "sessions": sequences.read_sessions,
    "jsonl": jsonl.read,
    "parquet": parquet.read,
}
# form -> options that have no effect on it
WITHOUT_COLUMNS = tuple(one.name for one in fields(Columns))
WITHOUT_EFFECT = {
    **dict.fromkeys(("pairs", "sequences", "sessions"), WITHOUT_COLUMNS),
    **dict.fromkeys(
        ("movielens", "movielens-tab", "recbole", "jsonl", "parquet"), ("delimiter", "header")
    ),
}


def read_log(
    path: str | Path,
    *,
    format: str = AUTO,
    columns: Columns | Mapping[str, Any] | None = None,
    item_file: str | Path | None = None,
    user_file: str | Path | None = None,
    max_bad_lines: int | str = AUTO,
    keep_duplicates: bool = False,
) -> InteractionLog:
    """Read the log at a path: a file (plain, gzip, zip), a folder, or `archive.zip:inner/name`.

    Spec: data. `format` is a name of `FORMATS` or "auto"; `columns` a `Columns` or its fields as a
    mapping; `max_bad_lines` is "auto" or a number from 0, for each file. Item and user files that
    a known family keeps beside its log are read too, unless others are named.
    Errors: DataError for data that cannot be used, ConfigError for an option that cannot.
    """
    if format not in (AUTO, *FORMATS):
        raise ConfigError(say("format", f"{AUTO} or {' or '.join(FORMATS)}", repr(format)))
    limit = check_limit(max_bad_lines)
    wanted = Columns.of(columns)
    place = find_log(Place.of(path), wanted).only()
    form = recognise(place, wanted) if format == AUTO else format
    item_place, user_place = beside(place, form)
    if form != "parquet":
        check_lines(place)
    items, items_tally = side(item_file, item_place, side_files.read_items, wanted, limit)
    users, users_tally = side(user_file, user_place, side_files.read_users, wanted, limit)
    wanted = side_files.remaining(wanted, items, users)
    heeded = items.used | users.used
    refuse(wanted, [name for name in WITHOUT_EFFECT.get(form, ()) if name not in heeded], form)
    tally = Tally(str(place), limit)
    try:
        log = assemble(READERS[form](place, wanted, tally, items, users), keep_duplicates)
    except NoEvents as error:
        raise no_events(tally) from error
    return with_tallies(log, tally, [tally, items_tally, users_tally])


def side(
    given: str | Path | None,
    found: Place | None,
    read: SideReader,
    columns: Columns,
    limit: int | str,
) -> tuple[Side, Tally]:
    """Read the item (or user) file that is given, or else the one that was found."""
    place = Place.of(given).only() if given is not None else found
    tally = Tally(str(place), limit)
    return (Side() if place is None else read(place, columns, tally)), tally


def no_events(tally: Tally) -> DataError:
    """Return the error of a log of which nothing is left, with what was met in it."""
    met = {"filtered": tally.counts["filtered"], "damaged": tally.bad}
    got = ", ".join(
        [f"none: {tally.lines} lines read", *(f"{n} {name}" for name, n in met.items())]
    )
    return DataError(
        say(tally.file, "at least one event", got, "check format, columns and filters")
    )


def with_tallies(log: InteractionLog, own: Tally, tallies: list[Tally]) -> InteractionLog:
    """Add what the readers counted; `own` is the tally of the log."""
    notes = Counter(log.notes) + own.counts
    notes["lines"] = own.lines
    notes["bad_lines"] = sum(tally.bad for tally in tallies)
    return replace(
        log,
        notes={name: notes[name] for name in NOTES},
        bad_lines=tuple(line for tally in tallies for line in tally.examples),
    )
