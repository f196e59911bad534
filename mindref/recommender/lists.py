"""Recommended lists as a table, TSV, JSON lines or one JSON value."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, TextIO

from mindref.errors import printable
from mindref.evaluation.evaluate import COLUMNS, line
from mindref.run import atomic, lock
from mindref.run.tsv import escape

if TYPE_CHECKING:
    from mindref.recall import Index
    from mindref.recommender.bulk import Answer

HEADER = line(*COLUMNS, "title")


class Frame(NamedTuple):
    """What stands around the lists of a form: a file is head, lists with `between`, and tail."""

    head: str = ""
    between: str = ""
    tail: str = ""


FRAMES = {
    "table": Frame(),
    "tsv": Frame(head=HEADER),
    "jsonl": Frame(),
    "json": Frame("[", ", ", "]\n"),
}


def write(stream: TextIO, answers: Iterable[Answer], index: Index, form: str) -> None:
    """Write every list to a stream, one user after the other."""
    frame = FRAMES[form]
    stream.write(frame.head)
    for number, answer in enumerate(answers):
        stream.write(frame.between if number else "")
        write_one(stream, answer, index, form)
    stream.write(frame.tail)


def write_one(stream: TextIO, answer: Answer, index: Index, form: str) -> None:
    """Write one list."""
    if form == "table":
        table(stream, answer)
    elif form == "tsv":
        stream.writelines(rows(answer))
    else:
        json.dump(as_json(answer, index), stream)
        stream.write("\n" if form == "jsonl" else "")


def save(path: Path, answers: Iterable[Answer], index: Index, form: str) -> list[str]:
    """Write every list to a file, which appears whole or not at all; return what must be said.

    Raises RunError, also where another process is writing it.
    """
    with lock.making(path) as said, atomic.writing(path) as raw:
        save_to(raw, answers, index, form)
    return [said] if said else []


def save_to(raw: BinaryIO, answers: Iterable[Answer], index: Index, form: str) -> None:
    """Write every list to a stream of bytes, and leave it open."""
    stream = io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", newline="\n")
    try:
        write(stream, answers, index, form)
    finally:
        stream.detach()  # flushed


def as_json(answer: Answer, index: Index) -> dict[str, Any]:
    """Return a list as plain values, with the index it comes from."""
    items = [
        {"rank": rank, "item": x.item, "title": x.title, "score": x.score, "interest": x.interest}
        for rank, x in enumerate(answer.items, 1)
    ]
    return {
        "user": answer.user,
        "interests": answer.interests,
        "unknown": answer.unknown,
        "index": {"kind": index.kind, "recall": index.recall},
        "items": items,
    }


def rows(answer: Answer) -> list[str]:
    """Return a list as lines of TSV; tabs and line ends in ids and titles are escaped."""
    user = escape(answer.user)
    return [
        line(user, rank, escape(x.item), f"{x.score:.6g}", x.interest, escape(x.title))
        for rank, x in enumerate(answer.items, 1)
    ]


def table(stream: TextIO, answer: Answer) -> None:
    """Write a list for people: what the user had, then the items of each interest."""
    who = f"user {printable(answer.user)}" if answer.user else "this history"
    by_scores = answer.interests == 0  # of a family without vectors; others have at least one
    how = "scored without interests" if by_scores else f"{answer.interests} interests"
    stream.write(f"{who}: {answer.length} behaviours, {how}\n")
    if answer.recent:
        stream.write(f"  most recent: {'; '.join(printable(x) for x in answer.recent)}\n")
    if answer.unknown:
        stream.write(f"  not in the catalogue: {', '.join(map(printable, answer.unknown))}\n")
    ranked = list(enumerate(answer.items, 1))
    wide = max((len(printable(x.item)) for x in answer.items), default=0)
    for interest in sorted({x.interest for x in answer.items}):
        if not by_scores:
            stream.write(f"interest {interest}\n")
        for rank, x in ranked:
            if x.interest == interest:
                name = f"{printable(x.item):<{wide}}  {printable(x.title)}".rstrip()
                stream.write(f"  {rank:>4}  {x.score:>8.3f}  {name}\n")
