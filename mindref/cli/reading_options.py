"""Options that describe the format of a log, shared by several commands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from mindref.cli.settings import FILE, Function
from mindref.data.formats import FORMATS
from mindref.errors import ConfigError, say
from mindref.run.files import real_path

OPTIONS = (
    click.option(
        "--format", type=click.Choice(["auto", *FORMATS]),
        help="Format of the log; auto detects the format [default: auto].",
    ),
    click.option(
        "--user", metavar="COL", help="Column of the user id: name, or position from 1."
    ),
    click.option("--item", metavar="COL", help="Column of the item id: name, or position from 1."),
    click.option("--time", metavar="COL", help="Column of the time: name, or position from 1."),
    click.option("--title", metavar="COL", help="Column of item titles: name, or position from 1."),
    click.option(
        "--item-column", metavar="NAME=COL", multiple=True,
        help="Read the item feature NAME from column COL. Repeat the option for more features.",
    ),
    click.option(
        "--user-column", metavar="NAME=COL", multiple=True,
        help="Read the user feature NAME from column COL. Repeat the option for more features.",
    ),
    click.option("--keep", metavar="COL=V,...", multiple=True,
        help="Use only the rows of the log whose value in column COL is one of the values V,...",
    ),
    click.option("--at-least", metavar="COL=X", multiple=True,
        help="Use only the rows of the log whose value in column COL is at least X.",
    ),
    click.option("--time-format", metavar="F",
        help="Format of the times: seconds, ms (milliseconds), iso, day-first, or a pattern such as"
        " %d/%m/%Y [default: detected].",
    ),
    click.option("--delimiter", metavar="D", help="Text between two columns [default: detected]."),
    click.option("--separator", metavar="D",
        help="Text between several feature values in one cell, as in Comedy|Drama [default: |].",
    ),
    click.option("--header/--no-header", default=None,
        help="Whether the first line contains column names [default: detected].",
    ),
    click.option("--items", "item_file", type=FILE,
        help="File with item titles and item features [default: for MovieLens, RecBole and S3-Rec"
        " data, the item file in the folder of the log].",
    ),
    click.option("--users", "user_file", type=FILE,
        help="File with user features [default: for MovieLens and RecBole data, the user file in"
        " the folder of the log].",
    ),
    click.option(
        "--max-bad-lines", type=click.IntRange(0), metavar="N",
        help="Maximum number of damaged lines to skip per file [from 0; default: 0 within the"
        " first 100 lines; then 10 or 0.1 % of the lines read, whichever is more].",
    ),
    click.option(
        "--min-user-interactions", type=click.IntRange(1), metavar="N",
        help="Drop users with fewer than N interactions; duplicates are not counted. This option"
        " and the next two are applied repeatedly until all users and items have enough [from 1;"
        " default: 1].",
    ),
    click.option(
        "--min-item-interactions", type=click.IntRange(1), metavar="N",
        help="Drop items with fewer than N interactions [from 1; default: 1].",
    ),
    click.option(
        "--min-item-users", type=click.IntRange(1), metavar="N",
        help="Drop items with fewer than N different users [from 1; default: 1].",
    ),
    click.option("--keep-duplicates", is_flag=True,
        help="Keep all rows with the same user, item and time [default: keep only the first].",
    ),
    click.option("--keep-unused-items", is_flag=True,
        help="Keep the items of the item file that have no interaction. They are recommended if"
        " trained features give them a vector (--item-features) [default: leave them out].",
    ),
)  # fmt: skip
PLAIN = (
    "format", "max_bad_lines", "min_user_interactions", "min_item_interactions", "min_item_users",
)  # fmt: skip
LOG_COLUMNS = ("user", "item", "time", "title")
COLUMN_FORMATS = ("time_format", "delimiter", "separator", "header")


def reading_options(function: Function) -> Function:
    """Add the options of this module."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def parse_reading(values: Mapping[str, Any]) -> dict[str, object]:
    """Return the arguments of the reader for the values of the reading options."""
    allowed = parse_pairs("--keep", values["keep"])
    columns: dict[str, object] = {
        **{name: values[name] for name in (*LOG_COLUMNS, *COLUMN_FORMATS)},
        "item_features": parse_pairs("--item-column", values["item_column"]),
        "user_features": parse_pairs("--user-column", values["user_column"]),
        "keep": {name: texts.split(",") for name, texts in allowed.items()},
        "at_least": parse_numbers("--at-least", values["at_least"]),
    }
    reading: dict[str, object] = {name: values[name] for name in PLAIN}
    for name in ("item_file", "user_file"):
        reading[name] = None if values[name] is None else str(real_path(values[name]))
    for name in ("keep_duplicates", "keep_unused_items"):
        reading[name] = values[name] or None
    reading["columns"] = {name: x for name, x in columns.items() if x not in (None, {})} or None
    return {name: value for name, value in reading.items() if value is not None}


def parse_pairs(option: str, words: tuple[str, ...]) -> dict[str, str]:
    """Return NAME=VALUE texts as a mapping. Raises ConfigError."""
    pairs = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and value):
            raise ConfigError(say(option, "NAME=VALUE", repr(word)))
        pairs[name] = value
    return pairs


def parse_numbers(option: str, words: tuple[str, ...]) -> dict[str, float]:
    """Return NAME=NUMBER texts as a mapping. Raises ConfigError."""
    try:
        return {name: float(value) for name, value in parse_pairs(option, words).items()}
    except ValueError as error:
        raise ConfigError(say(option, "NAME=NUMBER", error)) from error
