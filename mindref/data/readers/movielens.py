"""Formats `movielens` (1M and 10M, `::`) and `movielens-tab` (100K), as GroupLens publishes them.

Text is ISO-8859-1. Genres are an item feature; gender, age and occupation are user features.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from mindref.data.assemble import RawLog
from mindref.data.readers.columns import ReaderInput, resolve_columns
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.interactions import Record, field_values, read_side_records
from mindref.data.readers.lines import LATIN1, Head, read_first_lines
from mindref.data.readers.tally import Tally
from mindref.data.readers.text import TextFormat, read_text
from mindref.data.side_info import SideInfo

COLONS, TABS, BARS = (TextFormat(mark, LATIN1) for mark in ("::", "\t", "|"))
RATINGS = ["user", "item", "rating", "time"]
# the order of the flags in u.item
GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime",
    "Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery",
    "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip


def is_movielens(head: Head) -> bool:
    """Return whether the first line has four fields, the last two numbers (no named columns)."""
    fields = head.first_line.split("::")
    matches = len(fields) == 4 and is_float(fields[2]) and is_float(fields[3])
    return matches and not head.columns.has_user_and_item


def is_movielens_tab(head: Head) -> bool:
    """Return whether the first line has four numbers, and no column is named."""
    fields = head.first_line.split("\t")
    matches = len(fields) == 4 and all(map(is_float, fields))
    return matches and not head.columns.has_user_and_item


def is_float(text: str) -> bool:
    """Return whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def read_ratings(text_format: TextFormat, source: ReaderInput) -> RawLog:
    """Read lines of user, item, rating and time."""
    rows = [line.split(text_format.delimiter) for line in read_first_lines(source.file)]
    layout = resolve_columns(source, RATINGS, len(RATINGS), rows)
    return read_text(text_format, layout, source)


read_movielens, read_movielens_tab = partial(read_ratings, COLONS), partial(read_ratings, TABS)


def read_movies_dat(file: DataFile, tally: Tally) -> SideInfo:
    """Read `item::title::genre|genre`. A title may contain colons."""

    def split_titles() -> Iterator[Record]:
        for number, (item, *following) in COLONS.read(file, tally):
            title, mark, genres = "::".join(following).rpartition("::")
            yield number, [item, title, genres] if mark else [item, *following]

    features = {"genres": field_values(2, "|")}
    return read_side_records(split_titles(), tally, "item", 3, title=1, features=features)


def read_u_item(file: DataFile, tally: Tally) -> SideInfo:
    """Read item, title, two dates, address and 19 genre flags, separated by `|`."""

    def flagged_genres(fields: Sequence[str]) -> list[str]:
        return [genre for genre, flag in zip(GENRES, fields[5:], strict=False) if flag == "1"]

    records, width = BARS.read(file, tally), 5 + len(GENRES)
    features = {"genres": flagged_genres}
    return read_side_records(records, tally, "item", width, title=1, features=features)


def read_users_dat(file: DataFile, tally: Tally) -> SideInfo:
    """Read `user::gender::age::occupation::zip`."""
    features = {"gender": field_values(1), "age": field_values(2), "occupation": field_values(3)}
    return read_side_records(COLONS.read(file, tally), tally, "user", 5, features=features)


def read_u_user(file: DataFile, tally: Tally) -> SideInfo:
    """Read user, age, gender, occupation and zip code, separated by `|`."""
    features = {"gender": field_values(2), "age": field_values(1), "occupation": field_values(3)}
    return read_side_records(BARS.read(file, tally), tally, "user", 5, features=features)
