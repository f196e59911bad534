"""Recommended lists as a table, TSV, JSON lines or one JSON value."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mindref import atomic
from mindref.tsv import escape

if TYPE_CHECKING:
    from mindref.recommender.bulk import Answer, Answers

HEADER = "user\trank\titem\tscore\tinterest\ttitle\n"


def write(stream: TextIO, answers: Answers, form: str) -> None:
    """Write every list to a stream, one user after the other."""
    if form == "json":
        json.dump([as_json(answer) for answer in answers], stream)
        stream.write("\n")
        return
    if form == "tsv":
        stream.write(HEADER)
    for answer in answers:
        if form == "table":
            table(stream, answer)
        elif form == "tsv":
            stream.writelines(rows(answer))
        else:
            stream.write(json.dumps(as_json(answer)) + "\n")


def save(path: Path, answers: Answers, form: str) -> None:
    """Write every list to a file, which appears whole or not at all."""
    with atomic.writing(path) as raw:
        stream = io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", newline="\n")
        write(stream, answers, form)
        stream.detach()  # flushed, and left to `writing` to close


def as_json(answer: Answer) -> dict[str, Any]:
    """Return a list as plain values."""
    items = [
        {"rank": rank, "item": x.item, "title": x.title, "score": x.score, "interest": x.interest}
        for rank, x in enumerate(answer.items, 1)
    ]
    return {
        "user": answer.user,
        "interests": answer.interests,
        "unknown": answer.unknown,
        "items": items,
    }


def rows(answer: Answer) -> list[str]:
    """Return a list as lines of TSV; tabs and line ends in ids and titles are escaped."""
    return [
        f"{escape(answer.user)}\t{rank}\t{escape(x.item)}\t{x.score:.6g}\t{x.interest}\t{escape(x.title)}\n"
        for rank, x in enumerate(answer.items, 1)
    ]


def table(stream: TextIO, answer: Answer) -> None:
    """Write a list for people: what the user had, then the items of each interest."""
    who = f"user {printable(answer.user)}" if answer.user else "this history"
    stream.write(f"{who}: {answer.length} behaviours, {answer.interests} interests\n")
    if answer.recent:
        stream.write(f"  most recent: {'; '.join(printable(x) for x in answer.recent)}\n")
    if answer.unknown:
        stream.write(f"  not in the catalogue: {', '.join(map(printable, answer.unknown))}\n")
    ranked = list(enumerate(answer.items, 1))
    for interest in sorted({x.interest for x in answer.items}):
        stream.write(f"interest {interest}\n")
        for rank, x in ranked:
            if x.interest == interest:
                name = printable(x.title or x.item)
                stream.write(f"  {rank:>4}  {x.score:>8.3f}  {name}\n")


def printable(text: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
