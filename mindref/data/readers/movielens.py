"""MovieLens as GroupLens hands it out: 1M and 10M with `::`, 100K with tabs.

Their texts are ISO-8859-1; genres are an item feature, gender, age and occupation those of users.
"""

from __future__ import annotations

from collections.abc import Iterator

from mindref.data.assemble import Reading
from mindref.data.readers import table
from mindref.data.readers.columns import Columns
from mindref.data.readers.lines import LATIN, read_lines
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.side import Side

RATINGS = ["user", "item", "rating", "time"]
# the order of the flags in u.item
GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read `user::item::rating::time`."""
    return ratings("::", place, columns, tally, items, users)


def read_tab(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read user, item, rating and time between tabs."""
    return ratings("\t", place, columns, tally, items, users)


def ratings(
    separator: str, place: Place, columns: Columns, tally: Tally, items: Side, users: Side
) -> Reading:
    """Read ratings between separators."""
    layout = table.plan(columns, RATINGS, len(RATINGS), tally.file)
    return table.reading(split(place, tally, separator), layout, columns, tally, items, users)


def split(place: Place, tally: Tally, separator: str, most: int = -1) -> Iterator[table.Record]:
    """Yield the fields of every line."""
    for number, text in read_lines(place, tally, LATIN):
        yield number, text.split(separator, most)


def read_movies(place: Place, tally: Tally) -> Side:
    """Read `item::title::genre|genre`; a title may hold colons."""
    side = Side()
    for number, fields in split(place, tally, "::", 1):
        title, mark, genres = fields[-1].rpartition("::")
        if len(fields) != 2 or not fields[0] or not mark:
            tally.damaged(number, "not item::title::genres")
            continue
        side.enlist(fields[0])
        side.title(fields[0], title)
        side.add("genres", fields[0], genres.split("|"))
    return side


def read_u_item(place: Place, tally: Tally) -> Side:
    """Read item, title, two dates, address and nineteen flags between bars."""
    side = Side()
    for number, fields in split(place, tally, "|"):
        if len(fields) != 5 + len(GENRES) or not fields[0]:
            tally.damaged(number, f"{len(fields)} fields instead of {5 + len(GENRES)}")
            continue
        side.enlist(fields[0])
        side.title(fields[0], fields[1])
        flags = zip(GENRES, fields[5:], strict=True)
        side.add("genres", fields[0], [genre for genre, flag in flags if flag == "1"])
    return side


def read_users(place: Place, tally: Tally) -> Side:
    """Read `user::gender::age::occupation::zip`."""
    return profiles(place, tally, "::", {"gender": 1, "age": 2, "occupation": 3})


def read_u_user(place: Place, tally: Tally) -> Side:
    """Read user, age, gender, occupation and zip between bars."""
    return profiles(place, tally, "|", {"gender": 2, "age": 1, "occupation": 3})


def profiles(place: Place, tally: Tally, separator: str, at: dict[str, int]) -> Side:
    """Read profiles of five fields."""
    side = Side()
    for number, fields in split(place, tally, separator):
        if len(fields) != 5 or not fields[0]:
            tally.damaged(number, f"{len(fields)} fields instead of 5")
            continue
        side.enlist(fields[0])
        for name, column in at.items():
            side.add(name, fields[0], [fields[column]])
    return side
