"""Formats `movielens` (1M and 10M, `::`) and `movielens-tab` (100K), as GroupLens publishes them.

Text is ISO-8859-1. Genres are an item feature; gender, age and occupation are user features.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from mindref.data.assemble import RawLog
from mindref.data.readers import table
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.lines import LATIN1, Head, Lines, read_first_lines, read_text_lines
from mindref.data.readers.plain_text import TextFormat, read_plain_text
from mindref.data.readers.table import ReaderInput
from mindref.data.readers.tally import Tally
from mindref.data.side_info import SideInfo

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


def read_movielens(source: ReaderInput) -> RawLog:
    """Read `user::item::rating::time`."""
    return read_ratings("::", source)


def read_movielens_tab(source: ReaderInput) -> RawLog:
    """Read user, item, rating and time, separated by tabs."""
    return read_ratings("\t", source)


def read_ratings(separator: str, source: ReaderInput) -> RawLog:
    """Read lines of user, item, rating and time."""
    rows = [line.split(separator) for line in read_first_lines(source.file)]
    layout = table.resolve_columns(source, RATINGS, len(RATINGS), rows)
    text_format = TextFormat(partial(split_rating_lines, delimiter=separator), separator, LATIN1)
    return read_plain_text(text_format, layout, source)


def split_rating_lines(lines: Lines, tally: Tally, *, delimiter: str) -> Iterator[table.Record]:
    """Yield the fields of lines without quotes; no line is damaged here."""
    for number, text in lines:
        yield number, text.split(delimiter)


def split_lines(
    file: DataFile, tally: Tally, separator: str, max_splits: int = -1
) -> Iterator[table.Record]:
    """Yield the fields of every line."""
    for number, text in read_text_lines(file, tally, LATIN1):
        yield number, text.split(separator, max_splits)


def read_movies_dat(file: DataFile, tally: Tally) -> SideInfo:
    """Read `item::title::genre|genre`. A title may contain colons."""
    side = SideInfo()
    for number, fields in split_lines(file, tally, "::", 1):
        title, separator, genres = fields[-1].rpartition("::")
        if len(fields) != 2 or not fields[0] or not separator:
            tally.add_damaged(number, "not item::title::genres")
            continue
        side.add_id(fields[0])
        side.add_title(fields[0], title)
        side.add_values("genres", fields[0], genres.split("|"))
    return side


def read_u_item(file: DataFile, tally: Tally) -> SideInfo:
    """Read item, title, two dates, address and 19 genre flags, separated by `|`."""
    side = SideInfo()
    for number, fields in split_lines(file, tally, "|"):
        if len(fields) != 5 + len(GENRES) or not fields[0]:
            tally.add_damaged(number, f"{len(fields)} fields instead of {5 + len(GENRES)}")
            continue
        side.add_id(fields[0])
        side.add_title(fields[0], fields[1])
        flags = zip(GENRES, fields[5:], strict=True)
        side.add_values("genres", fields[0], [genre for genre, flag in flags if flag == "1"])
    return side


def read_users_dat(file: DataFile, tally: Tally) -> SideInfo:
    """Read `user::gender::age::occupation::zip`."""
    return read_profiles(file, tally, "::", {"gender": 1, "age": 2, "occupation": 3})


def read_u_user(file: DataFile, tally: Tally) -> SideInfo:
    """Read user, age, gender, occupation and zip code, separated by `|`."""
    return read_profiles(file, tally, "|", {"gender": 2, "age": 1, "occupation": 3})


def read_profiles(
    file: DataFile, tally: Tally, separator: str, columns: dict[str, int]
) -> SideInfo:
    """Read user profiles of five fields. `columns`: feature -> index of its field."""
    side = SideInfo()
    for number, fields in split_lines(file, tally, separator):
        if len(fields) != 5 or not fields[0]:
            tally.add_damaged(number, f"{len(fields)} fields instead of 5")
            continue
        side.add_id(fields[0])
        for name, column in columns.items():
            side.add_values(name, fields[0], [fields[column]])
    return side
