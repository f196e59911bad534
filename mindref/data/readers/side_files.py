"""Read item and user files, in any known format (specs/data.md, Reading)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from mindref.data.quoting import join_names, quote_text
from mindref.data.readers import delimited, movielens, recbole, sequences
from mindref.data.readers.advice import MARK, column_option
from mindref.data.readers.columns import Column, Columns, find_column
from mindref.data.readers.data_file import DataFile
from mindref.data.readers.interactions import field_values, read_side_records
from mindref.data.readers.lines import read_first_lines
from mindref.data.readers.tally import Tally
from mindref.data.readers.text import TextFormat
from mindref.data.readers.usual_names import usual_columns
from mindref.data.side_info import SideInfo
from mindref.errors import ConfigError, DataError, say, value_text


def read_side_file(
    kind: str,
    path: str | Path | None,
    default_file: DataFile | None,
    columns: Columns,
    limit: int | str,
) -> tuple[SideInfo, Tally]:
    """Read the item (or user) file at `path`, or else the default file, if there is one.

    kind: "item" or "user". The file is MovieLens's, RecBole's, S3-Rec's, or a table with a header.
    """
    file = DataFile.of(path).single_file() if path is not None else default_file
    tally = Tally(str(file), limit)
    if file is None:
        return SideInfo(), tally
    if kind == "item" and file.name.endswith(".json"):
        return sequences.read_s3rec_attributes(file, tally), tally
    first = next(iter(read_first_lines(file)), "")
    colons, bars = first.count("::"), first.count("|")
    if recbole.is_typed_header(first):
        return read_side_table(file, kind, first, columns, tally), tally
    if kind == "item" and colons >= 2:
        return movielens.read_movies_dat(file, tally), tally
    if kind == "item" and bars == 4 + len(movielens.GENRES):
        return movielens.read_u_item(file, tally), tally
    if kind == "user" and colons == 4:
        return movielens.read_users_dat(file, tally), tally
    if kind == "user" and bars == 4 and first.split("|")[2] in ("M", "F"):
        return movielens.read_u_user(file, tally), tally
    return read_side_table(file, kind, first, columns, tally), tally


def read_side_table(
    file: DataFile, kind: str, first: str, columns: Columns, tally: Tally
) -> SideInfo:
    """Read the title and the features of a table with a header, whose first line is `first`.

    Features are the named columns, or the token columns of RecBole's files.
    """
    is_atomic, types = recbole.is_typed_header(first), list[str]()
    if is_atomic:
        text_format = recbole.ATOMIC
        header, types = recbole.split_header(first)
    else:
        delimiter, header = delimited.read_header(file, columns)
        text_format = TextFormat(delimiter, has_header=True, has_quotes=True)
    id_column = columns.item if kind == "item" else columns.user
    is_named = id_column in header
    key = find_column(kind, id_column if is_named else None, header, len(header), tally.file)
    if key < 0:
        name = f"{kind}_id" if id_column is None else quote_text(value_text(id_column))
        todo = f"rename the column of the ids to {name}, as in the log"  # data-R87
        expected = f"a header with a column of the {kind}"
        raise DataError(say(tally.file, expected, join_names(header), todo))
    used_options = {kind} if is_named else set()
    title = -1
    if kind == "item" and columns.title in header:
        title = header.index(str(columns.title))
        used_options.add("title")
    elif kind == "item":
        title = next(iter(usual_columns("title", header)), -1)
    if is_atomic:
        features = {
            header[i]: field_values(i, " " if types[i] == "token_seq" else "")
            for i in range(len(header))
            if i not in (key, title) and "token" in types[i]
        }
    else:
        used_options |= {"delimiter", "separator"}
        feature_columns = columns.item_features if kind == "item" else columns.user_features
        features = {
            name: field_values(header.index(str(column)), columns.separator)
            for name, column in feature_columns.items()
            if column in header
        }
    records, width = text_format.read(file, tally), len(header)
    side = read_side_records(records, tally, kind, width, key=key, title=title, features=features)
    if not is_atomic:
        side.values = {name: side.values.get(name, {}) for name in features}
    return replace(side, used_options=used_options, columns=header)


def check_matches(file: str, side: SideInfo, log_ids: Sequence[str]) -> None:
    """Raise DataError if an item file has rows, but none for an item of the log."""
    if side.file_ids and side.file_ids.keys().isdisjoint(log_ids):  # data-R90
        expected = f"ids of items of the log, such as {log_ids[0]!r}"
        got = f"no such id, but {next(iter(side.file_ids))!r}"
        raise DataError(say(file, expected, got, "compare the form of the ids in both files"))


def remaining_columns(columns: Columns, items: SideInfo, users: SideInfo) -> Columns:
    """Return the options for columns of the log, without the columns that the side files have.

    A named title column that the item file lacks replaces the titles of the file.
    """
    if columns.title is not None and "title" not in items.used_options:
        items.titles.clear()

    def missing_features(feature_columns: dict[str, Column], side: SideInfo) -> dict[str, Column]:
        return {name: column for name, column in feature_columns.items() if name not in side.values}

    return replace(
        columns,
        title=None if "title" in items.used_options else columns.title,
        item_features=missing_features(dict(columns.item_features), items),
        user_features=missing_features(dict(columns.user_features), users),
    )


class FeatureNames(NamedTuple):
    """Features that a model reads."""

    item: Sequence[str] = ()
    user: Sequence[str] = ()

    def check(self, columns: Columns, items: SideInfo, users: SideInfo) -> None:
        """Raise ConfigError for a feature that no file and no option names, before reading."""
        for kind, names, side, of_log in (
            ("item", self.item, items, columns.item_features),
            ("user", self.user, users, columns.user_features),
        ):
            names_in_data = list(dict.fromkeys([*side.values, *of_log]))
            for name in names:
                if name not in names_in_data:  # data-R87
                    raise unknown_feature_error(kind, name, names_in_data, side.columns)


NO_FEATURES = FeatureNames()


def unknown_feature_error(
    kind: str, name: str, names_in_data: Sequence[str], file_columns: Sequence[str]
) -> ConfigError:
    """Return the error of a feature that is not named, with the columns of the item (user) file."""
    expected = f"features of the data ({', '.join(names_in_data) or 'none'})"
    column = name if name in file_columns else MARK
    todo = f"name a column as a feature: {column_option(f'{kind}-column', f'{name}={column}')}"
    if file_columns:
        todo += f"; the {kind} file has the columns {join_names(file_columns)}"
    return ConfigError(say(f"{kind}_features", expected, repr(name), todo))
