"""Recommended lists as a table, TSV, JSON lines or one JSON value."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mindref import atomic
from mindref.cli.settings import check_writable
from mindref.errors import ConfigError, say
from mindref.evaluate import COLUMNS, line
from mindref.tsv import escape

if TYPE_CHECKING:
    from mindref.recall import Index
    from mindref.recommender.bulk import Answer, Answers

HEADER = line(*COLUMNS, "title")


def write(stream: TextIO, answers: Answers, form: str) -> None:
    """Write every list to a stream, one user after the other."""
    if form == "json":
        json.dump([as_json(answer, answers.index) for answer in answers], stream)
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
            stream.write(json.dumps(as_json(answer, answers.index)) + "\n")


def check_file(option: str, path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, unless a file can be made at a path."""
    check_writable(option, path)
    if path is not None and not path.absolute().parent.is_dir():  # no folder is made for a file
        raise ConfigError(say(option, "a file in a folder that exists", path, "make the folder"))


def save(path: Path, answers: Answers, form: str) -> None:
    """Write every list to a file, which appears whole or not at all."""
    with atomic.writing(path) as raw:
        stream = io.TextIOWrapper(raw, "utf-8", errors="backslashreplace", newline="\n")
        write(stream, answers, form)
        stream.detach()  # flushed, and left to `writing` to close


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
    stream.write(f"{who}: {answer.length} behaviours, {answer.interests} interests\n")
    if answer.recent:
        stream.write(f"  most recent: {'; '.join(printable(x) for x in answer.recent)}\n")
    if answer.unknown:
        stream.write(f"  not in the catalogue: {', '.join(map(printable, answer.unknown))}\n")
    ranked = list(enumerate(answer.items, 1))
    wide = max((len(printable(x.item)) for x in answer.items), default=0)
    for interest in sorted({x.interest for x in answer.items}):
        stream.write(f"interest {interest}\n")
        for rank, x in ranked:
            if x.interest == interest:
                name = f"{printable(x.item):<{wide}}  {printable(x.title)}".rstrip()
                stream.write(f"  {rank:>4}  {x.score:>8.3f}  {name}\n")


def printable(text: str) -> str:
    """Return text without control characters, which a terminal would obey."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
