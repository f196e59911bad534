"""Recognise the form of a log by its first lines (specs/data.md, Reading)."""

from __future__ import annotations

from collections.abc import Sequence

from mindref.data.readers import jsonl, parquet, recbole
from mindref.data.readers.columns import Columns, usual
from mindref.data.readers.lines import sample
from mindref.data.readers.pairs import words_of
from mindref.data.readers.place import Place
from mindref.data.readers.records import fields_of, guess
from mindref.data.shown import shown
from mindref.errors import DataError, say

FORMATS = {
    "movielens": "user::item::rating::time",
    "movielens-tab": "user, item, rating, time between tabs (u.data)",
    "recbole": "tabs under a header of name:type (.inter)",
    "delimited": "fields between delimiters, columns known by a header or named by options",
    "pairs": "user item",
    "sequences": "user item item ...",
    "sessions": "item item ...",
    "jsonl": "a JSON object a line",
    "parquet": "a Parquet file",
}


def recognise(place: Place, columns: Columns) -> str:
    """Return the name of a form. Errors: DataError when none fits, or several do."""
    forms = candidates(place, columns)
    if len(forms) == 1:
        return forms[0]
    check_text(place)
    known = "\n".join(f"  {name:14} {line}" for name, line in FORMATS.items())
    what = f"one form, not {' or '.join(forms)}" if forms else "a known form"
    first = next(iter(first_lines(place)), "")
    todo = f"name it with --format, or its columns with --user, --item, --time\n{known}"
    raise DataError(say(str(place), what, f"the first line {shown(first, 200)}", todo))  # data-R21


def candidates(place: Place, columns: Columns) -> list[str]:
    """Return the forms that the first bytes and lines allow."""
    if starts_with(place, parquet.MAGIC):
        return ["parquet"]
    lines = first_lines(place)
    if not lines:
        return []
    if jsonl.parsed(lines[0]) is not None:
        return ["jsonl"]
    if recbole.is_header(lines[0]):
        return ["recbole"]
    if columns.named:
        return ["delimited"]
    return known_table(lines[0]) or words(lines)


def first_lines(place: Place) -> list[str]:
    """Return the first lines, none for an empty or a binary file."""
    lines = sample(place)
    return [] if is_binary(lines) else lines


def is_binary(lines: Sequence[str]) -> bool:
    """Tell whether lines hold a zero byte, or many bytes that are no text."""
    letters = "".join(lines)
    return "\0" in letters or letters.count("\ufffd") > len(letters) // 4


def check_text(place: Place) -> None:
    """Raise DataError for a file without lines or with bytes that are no text."""
    check_lines(place)
    if is_binary(sample(place)):
        raise DataError(say(str(place), "text in UTF-8", "a binary file or another encoding"))


def check_lines(place: Place) -> None:
    """Raise DataError for a file without lines."""
    if not sample(place):
        raise DataError(say(str(place), "a log", "an empty file"))


def starts_with(place: Place, magic: bytes) -> bool:
    """Tell whether the unpacked file begins with some bytes."""
    with place.open() as stream:
        return stream.read(len(magic)) == magic


def known_table(line: str) -> list[str]:
    """Return the table that a first line belongs to."""
    dots, tabs = line.split("::"), line.split("\t")
    if len(dots) == 4 and number(dots[2]) and number(dots[3]):
        return ["movielens"]
    if len(tabs) == 4 and all(map(number, tabs)):
        return ["movielens-tab"]
    header = fields_of(line, guess(line))
    if len(usual("user", header)) == 1 and len(usual("item", header)) == 1:
        return ["delimited"]
    return []


def words(lines: Sequence[str]) -> list[str]:
    """Return the forms of words between spaces that the lines allow."""
    if any(mark in line for line in lines for mark in (",", ";", "|", "::", '"')):
        return []
    rows = [words_of(line) for line in lines]
    if all(len(row) == 2 for row in rows):
        return ["pairs"]  # data-R22
    if any("\t" in line for line in lines):
        return []
    firsts = [row[0] for row in rows]
    return ["sequences"] if len(set(firsts)) == len(firsts) else ["sequences", "sessions"]


def number(text: str) -> bool:
    """Tell whether a field is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True
