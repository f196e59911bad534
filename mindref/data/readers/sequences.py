"""One user a line, or one session a line: items between spaces, oldest first."""

from __future__ import annotations

import json
from collections.abc import Iterator

from mindref.data.assemble import Event, Reading
from mindref.data.readers.columns import Columns
from mindref.data.readers.lines import read_lines
from mindref.data.readers.pairs import words_of
from mindref.data.readers.place import Place
from mindref.data.readers.tally import Tally
from mindref.data.side import Side
from mindref.errors import DataError, say

PLENTY = 1 << 22  # bytes of JSON that any file may hold: as values they take thirty times that
RATIO = 10  # beyond these, bytes for each byte on disk; text packs about so well


def read(place: Place, columns: Columns, tally: Tally, items: Side, users: Side) -> Reading:
    """Read `user item item ...`."""
    return Reading(of_users(place, tally), False, items, users)


def read_sessions(
    place: Place, columns: Columns, tally: Tally, items: Side, users: Side
) -> Reading:
    """Read `item item ...`; the user of a line is its number."""
    return Reading(of_sessions(place, tally), False, items, users)


def of_users(place: Place, tally: Tally) -> Iterator[Event]:
    """Yield the events of every line whose user has not had one."""
    seen: set[str] = set()
    for number, text in read_lines(place, tally):
        user, *items = words_of(text)
        if user in seen:
            tally.damaged(number, f"user {user!r} had a line before (or are these sessions?)")
            continue
        seen.add(user)
        tally.counts["empty_rows"] += not items
        for item in items:
            yield user, item, 0.0


def of_sessions(place: Place, tally: Tally) -> Iterator[Event]:
    """Yield the events of every line."""
    for number, text in read_lines(place, tally):
        for item in words_of(text):
            yield str(number), item, 0.0


def read_attributes(place: Place, tally: Tally) -> Side:
    """Read S3-Rec's `item2attributes.json`: an object of item -> list of attributes."""
    most = max(PLENTY, RATIO * place.path.stat().st_size)
    with place.open() as stream:
        text = stream.read(most + 1)
        if len(text) > most:  # data-R80
            expected = f"at most {PLENTY >> 20} MiB of JSON, or {RATIO} times the file's size"
            raise DataError(say(tally.file, expected, "more", "unpack it yourself"))
        try:
            known = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise DataError(say(tally.file, "a JSON object", error)) from error
    if not isinstance(known, dict) or not all(isinstance(row, list) for row in known.values()):
        raise DataError(say(tally.file, "an object of item -> list of attributes", "other JSON"))
    side = Side()
    for item, attributes in known.items():
        side.enlist(item)
        side.add("attributes", item, [str(one) for one in attributes])
    return side
