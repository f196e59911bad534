"""Recommended lists as a table, TSV, JSON lines or one JSON value.

`mindref recall` prints them or writes them to a file.
"""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from mindref.data.quoting import quantity_text
from mindref.errors import printable
from mindref.recall.index import Index
from mindref.run import atomic, lock
from mindref.run.tsv import escape, tsv_line

COLUMNS = ("user", "rank", "item", "score", "interest")  # of lists in TSV files
HEADER = tsv_line(*COLUMNS, "title")
FORMATS = ("table", "tsv", "jsonl", "json")


class Recommendation(NamedTuple):
    """An item of a list, and the interest that has its best score."""

    item: str | int  # external id; an integer if it was one in the data of `fit`
    title: str  # empty where unknown
    score: float
    interest: int  # from 0; -1: a popular item, because nothing is known of the user


class UserList(NamedTuple):
    """The recommended list of one user."""

    user: str | int  # external id; empty for a history
    length: int  # behaviours known to the catalogue
    interests: int  # active ones
    recent: list[str]  # titles of the last behaviours
    unknown: list[str]  # items of the history that the catalogue lacks
    items: list[Recommendation]


class SimilarList(NamedTuple):
    """The items that are similar to an item."""

    item: str | int  # external id
    title: str
    items: list[Recommendation]  # score: cosine


def write_lists(stream: TextIO, answers: Iterable[UserList], index: Index, form: str) -> None:
    """Write every list to a stream, one user after the other."""
    between, tail = (", ", "]\n") if form == "json" else ("", "")
    stream.write({"tsv": HEADER, "json": "["}.get(form, ""))
    for number, answer in enumerate(answers):
        stream.write(between if number else "")
        if form == "table":
            write_table(stream, answer)
        elif form == "tsv":
            stream.writelines(list_to_tsv(answer))
        else:
            json.dump(list_to_json(answer, index), stream)
            stream.write("\n" if form == "jsonl" else "")
    stream.write(tail)


@contextmanager
def open_output(path: Path | None) -> Iterator[tuple[TextIO, list[str]]]:
    """Yield a text stream of a file that gets its name at the end, and warnings.

    Without a path, the stream is standard output. Raises RunError, also if another process writes
    this file.
    """
    if path is None:
        yield sys.stdout, []
        return
    with lock.lock_output(path) as warning, atomic.open_atomic(path) as raw:  # recall-R36, R38
        stream = io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", newline="\n")
        try:
            yield stream, [warning] if warning else []
        finally:
            stream.detach()  # flushed; the byte stream stays open


def list_to_json(answer: UserList, index: Index) -> dict[str, Any]:
    """Return a list as JSON values, with the kind and recall of the index."""
    items = [{"rank": rank, **x._asdict()} for rank, x in enumerate(answer.items, 1)]
    is_popular = any(x.interest < 0 for x in answer.items)
    return {
        "user": answer.user,
        "interests": answer.interests,
        "unknown": answer.unknown,
        "index": {"kind": index.kind, "recall": index.recall},
        "items": items,
        **({"fallback": "popular"} if is_popular else {}),  # recall-R51
    }


def list_to_tsv(answer: UserList) -> list[str]:
    """Return a list as lines of TSV; tabs and line ends in ids and titles are escaped."""
    user = escape(str(answer.user))
    return [
        tsv_line(user, rank, escape(str(x.item)), f"{x.score:.6g}", x.interest, escape(x.title))
        for rank, x in enumerate(answer.items, 1)
    ]


def write_table(stream: TextIO, answer: UserList) -> None:
    """Write a list as a table: the recent behaviours, then the items of each interest."""
    user_label = f"user {printable(str(answer.user))}" if answer.user != "" else "this history"
    by_scores = answer.interests == 0  # of a family without vectors; others have at least one
    interest_label = (
        "scored without interests" if by_scores else quantity_text(answer.interests, "interest")
    )
    behaviours = quantity_text(answer.length, "behaviour")
    stream.write(f"{user_label}: {behaviours}, {interest_label}\n")
    if answer.recent:
        stream.write(f"  most recent: {'; '.join(printable(x) for x in answer.recent)}\n")
    if answer.unknown:
        stream.write(
            f"  not in the catalogue or untrained: {', '.join(map(printable, answer.unknown))}\n"
        )
    if not answer.items:
        stream.write("  no items: no allowed item\n")
    ranked = list(enumerate(answer.items, 1))
    wide = id_width(answer.items)
    for interest in sorted({x.interest for x in answer.items}):
        if interest < 0:
            stream.write("  popular items, because no behaviour is known\n")  # recall-R51
        elif not by_scores:
            stream.write(f"interest {interest}\n")
        write_rows(stream, [(rank, x) for rank, x in ranked if x.interest == interest], wide)


def id_width(items: Iterable[Recommendation]) -> int:
    """Return the number of characters of the longest id."""
    return max((len(printable(str(x.item))) for x in items), default=0)


def write_rows(stream: TextIO, rows: Iterable[tuple[int, Recommendation]], wide: int) -> None:
    """Write rank, score, id and title of items as lines of a table. wide: width of the ids."""
    for rank, x in rows:
        name = f"{printable(str(x.item)):<{wide}}  {printable(x.title)}".rstrip()
        stream.write(f"  {rank:>4}  {x.score:>8.3f}  {name}\n")


def similar_to_json(answer: SimilarList) -> dict[str, Any]:
    """Return a list of similar items as JSON values."""
    rows = [
        {"rank": rank, "item": x.item, "title": x.title, "score": x.score}
        for rank, x in enumerate(answer.items, 1)
    ]
    return {"item": answer.item, "title": answer.title, "items": rows}


def write_similar(stream: TextIO, answer: SimilarList, *, as_json: bool) -> None:
    """Write a list of similar items as a table or as JSON."""
    if as_json:
        json.dump(similar_to_json(answer), stream)
        stream.write("\n")
    else:
        head = f"similar to {printable(str(answer.item))}  {printable(answer.title)}".rstrip()
        stream.write(f"{head}\n")
        write_rows(stream, enumerate(answer.items, 1), id_width(answer.items))
