"""Options that say how a log is read; shared by train and evaluate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mindref.errors import ConfigError, say

FORMATS = (
    "movielens",
    "movielens-tab",
    "recbole",
    "delimited",
    "pairs",
    "sequences",
    "sessions",
    "jsonl",
    "parquet",
)
FILE = click.Path(path_type=Path, dir_okay=False)
OPTIONS = (
    click.option(
        "--format",
        type=click.Choice(["auto", *FORMATS]),
        help="Form of the log [default: recognised].",
    ),
    click.option("--user", metavar="COL", help="Column of the user: a name, or a position from 1."),
    click.option("--item", metavar="COL", help="Column of the item."),
    click.option("--time", metavar="COL", help="Column of the time."),
    click.option("--title", metavar="COL", help="Column of the item's title."),
    click.option(
        "--item-column",
        metavar="NAME=COL",
        multiple=True,
        help="An item feature and its column; several times for several.",
    ),
    click.option(
        "--user-column",
        metavar="NAME=COL",
        multiple=True,
        help="A user feature and its column; several times for several.",
    ),
    click.option(
        "--keep", metavar="COL=V,...", multiple=True, help="Keep only rows with these values."
    ),
    click.option(
        "--at-least",
        metavar="COL=X",
        multiple=True,
        help="Keep only rows with at least this number.",
    ),
    click.option(
        "--time-format",
        metavar="F",
        help="seconds, ms, iso, day-first, or a pattern such as %d/%m/%Y [default: recognised].",
    ),
    click.option("--delimiter", metavar="D", help="Between columns [default: recognised]."),
    click.option("--separator", metavar="D", help="Between values of a feature [default: |]."),
    click.option(
        "--header/--no-header", default=None, help="Whether the first line names the columns."
    ),
    click.option(
        "--items",
        "item_file",
        type=FILE,
        help="Titles and features of items [default: found beside the logs of known families].",
    ),
    click.option(
        "--users",
        "user_file",
        type=FILE,
        help="Features of users [default: found beside the logs of known families].",
    ),
    click.option(
        "--max-bad-lines",
        type=click.IntRange(0),
        metavar="N",
        help="Damaged lines to pass over before stopping, from 0 [default: none in the first"
        " hundred lines, then the larger of 10 and one in a thousand].",
    ),
    click.option(
        "--keep-duplicates", is_flag=True, help="Keep rows that repeat user, item and time."
    ),
)
PLAIN = ("format", "max_bad_lines")
COLUMNS = ("user", "item", "time", "title")
OTHERS = ("time_format", "delimiter", "separator", "header")


def reading_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of reading, in the order of this file."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def reading_of(given: dict[str, Any]) -> dict[str, Any]:
    """Take the options of reading out of `given`; return what the reader wants, as plain values."""
    columns: dict[str, Any] = {kind: given.pop(kind) for kind in COLUMNS}
    columns |= {name: given.pop(name) for name in OTHERS}
    columns |= {
        "item_features": pairs("--item-column", given.pop("item_column")),
        "user_features": pairs("--user-column", given.pop("user_column")),
        "keep": {k: v.split(",") for k, v in pairs("--keep", given.pop("keep")).items()},
        "at_least": numbers("--at-least", given.pop("at_least")),
    }
    reading = {name: given.pop(name) for name in PLAIN}
    for name in ("item_file", "user_file"):
        path = given.pop(name)
        reading[name] = None if path is None else str(path.resolve())
    reading["keep_duplicates"] = given.pop("keep_duplicates") or None
    wanted = {name: value for name, value in columns.items() if value not in (None, {})}
    reading["columns"] = wanted or None
    return {name: value for name, value in reading.items() if value is not None}


def pairs(option: str, words: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE words as a mapping. Raises ConfigError."""
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ConfigError(say(option, "NAME=VALUE", repr(word)))
        found[name] = value
    return found


def numbers(option: str, words: tuple[str, ...]) -> dict[str, float]:
    """Return NAME=NUMBER words as a mapping. Raises ConfigError."""
    try:
        return {name: float(value) for name, value in pairs(option, words).items()}
    except ValueError as error:
        raise ConfigError(say(option, "NAME=NUMBER", error)) from error
