"""Files that describe items and users, of whatever form (specs/data.md, Reading)."""

from __future__ import annotations

from dataclasses import replace

from mindref.data.readers import delimited, movielens, recbole, sequences
from mindref.data.readers.columns import Column, Columns, find
from mindref.data.readers.lines import sample
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.shown import listed
from mindref.data.side import Side
from mindref.errors import DataError, say


def read_items(place: Place, columns: Columns, tally: Tally) -> Side:
    """Read an item file: MovieLens's, RecBole's, S3-Rec's, or a table with a header."""
    if place.name.endswith(".json"):
        return sequences.read_attributes(place, tally)
    first = next(iter(sample(place)), "")
    if recbole.is_header(first):
        return recbole.read_side(place, "item", columns, tally)
    if first.count("::") >= 2:
        return movielens.read_movies(place, tally)
    if first.count("|") == 4 + len(movielens.GENRES):
        return movielens.read_u_item(place, tally)
    return read_table(place, "item", columns, tally)


def read_users(place: Place, columns: Columns, tally: Tally) -> Side:
    """Read a user file: MovieLens's, RecBole's, or a table with a header."""
    first = next(iter(sample(place)), "")
    if recbole.is_header(first):
        return recbole.read_side(place, "user", columns, tally)
    if first.count("::") == 4:
        return movielens.read_users(place, tally)
    if first.count("|") == 4 and first.split("|")[2] in ("M", "F"):
        return movielens.read_u_user(place, tally)
    return read_table(place, "user", columns, tally)


def read_table(place: Place, kind: str, columns: Columns, tally: Tally) -> Side:
    """Read the title and the named features of a table with a header."""
    delimiter, header = delimited.opening(place, columns)
    given = columns.item if kind == "item" else columns.user
    key = find(kind, given if given in header else None, header, len(header), tally.file)
    if key < 0:
        raise DataError(say(tally.file, f"a header with a column of the {kind}", listed(header)))
    wanted = columns.item_features if kind == "item" else columns.user_features
    features = [(name, header.index(str(at))) for name, at in wanted.items() if at in header]
    title = recbole.title_of(header, columns) if kind == "item" else -1
    side = Side(values={name: {} for name, _ in features})
    side.used = {"delimiter", "separator", *recbole.heeded(header, kind, columns)}
    for number, fields in delimited.body(place, delimiter, True, tally):
        if len(fields) < len(header) or any(fields[len(header) :]) or not fields[key]:
            tally.damaged(number, f"not {len(header)} fields with an id of the {kind}")
            continue
        side.enlist(fields[key])
        if title >= 0:
            side.title(fields[key], fields[title])
        for name, at in features:
            side.add(name, fields[key], fields[at].split(columns.separator))
    return side


def remaining(columns: Columns, items: Side, users: Side) -> Columns:
    """Return what is still to be found in the log itself.

    A title column that is named and that the item file lacks takes the place of the file's titles.
    """
    if columns.title is not None and "title" not in items.used:
        items.titles.clear()

    def open_ones(wanted: dict[str, Column], side: Side) -> dict[str, Column]:
        return {name: at for name, at in wanted.items() if name not in side.values}

    return replace(
        columns,
        title=None if "title" in items.used else columns.title,
        item_features=open_ones(dict(columns.item_features), items),
        user_features=open_ones(dict(columns.user_features), users),
    )
