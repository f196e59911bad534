"""How many columns of a terminal a text takes, and cutting it there.

A title is anybody's text: a sign may be two columns wide, or none (an accent on the sign before);
it may be a control sign that moves the cursor. Nothing here needs more than the standard library.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

JOINERS = "\u200c\u200d"  # they hold letters, or the parts of an emoji, together
WIDE_FORM = "\ufe0f"  # asks for the sign before it as an emoji, two columns wide
DOTTED_CIRCLE = "\u25cc"  # carries a mark that has nothing to stand on
NOTHING = "(no title)"
WORDS = re.compile(r"( *)([^ ]+)")


def safe(text: str) -> str:
    """Return text that moves no cursor: control signs escaped, every kind of space plain."""
    out = ""
    for sign in text:
        if unicodedata.category(sign) == "Zs":
            out += " "
        elif sign.isprintable() or (sign in JOINERS and out[-1:].strip()):
            out += DOTTED_CIRCLE + sign if hangs(sign) and not out.strip() else sign
        else:
            out += repr(sign)[1:-1]
    return out.strip() or NOTHING


def hangs(sign: str) -> bool:
    """Return whether a sign belongs to the one before it."""
    accent = unicodedata.category(sign) in ("Mn", "Me", "Mc")
    skin = "\U0001f3fb" <= sign <= "\U0001f3ff"
    rest_of_hangul = "\u1160" <= sign <= "\u11ff"
    return accent or skin or rest_of_hangul or sign in JOINERS


def clusters(text: str) -> Iterator[str]:
    """Yield what a reader takes for one character, each whole."""
    held = ""
    for sign in text:
        flag = flags(sign) and len(held) == 1 and flags(held)
        if held and not (hangs(sign) or held[-1] == "\u200d" or flag):
            yield held
            held = ""
        held += sign
    if held:
        yield held


def flags(sign: str) -> bool:
    """Return whether a sign is half of a flag."""
    return "\U0001f1e6" <= sign <= "\U0001f1ff"


@lru_cache(maxsize=4096)
def width(text: str) -> int:
    """Return the most columns that a terminal gives to text, which `safe` has made."""
    if text.isascii():
        return len(text)
    return sum(cluster_width(cluster) for cluster in clusters(text))


def cluster_width(cluster: str) -> int:
    """Return the columns of one character; parts of a joined emoji count one by one.

    Some terminals draw them apart: a line that is too short is better than one too long.
    """
    if flags(cluster[0]):
        return 2
    if WIDE_FORM in cluster and "\u200d" not in cluster:
        return 2
    return sum(1 if sign == WIDE_FORM else sign_width(sign) for sign in cluster)


def sign_width(sign: str) -> int:
    """Return the columns of a sign by itself."""
    if (
        unicodedata.category(sign) in ("Mn", "Me")
        or sign in JOINERS
        or "\u1160" <= sign <= "\u11ff"
    ):
        return 0
    return 2 if unicodedata.east_asian_width(sign) in "WF" else 1


def head(text: str, columns: int) -> str:
    """Return as many whole characters of text as fit."""
    if text.isascii():
        return text[: max(columns, 0)]
    out = ""
    for cluster in clusters(text):
        columns -= cluster_width(cluster)
        if columns < 0:
            break
        out += cluster
    return out


def cut(text: str, columns: int) -> str:
    """Return text, or as much of it as fits with "…" for what is left out."""
    if width(text) <= columns:
        return text
    return head(text, columns - 1).rstrip() + "…" if columns > 0 else ""


def left(text: str, columns: int) -> str:
    """Return text cut and filled up to a number of columns."""
    short = cut(text, columns)
    return short + " " * (columns - width(short))


def right(text: str, columns: int) -> str:
    """Return text with room before it."""
    return " " * (columns - width(text)) + text


def wrapped(text: str, columns: int, indent: str = "") -> list[str]:
    """Return text as lines of at most that many columns, broken at spaces where it can be.

    Every line but the first begins with the indent. Two spaces or more keep their number, so that
    "n next  p back" stays as it is; a word that is too long is cut into pieces.
    """
    lines, line = [], ""
    for gap, word in WORDS.findall(text):
        if line.strip() and width(line + gap + word) > columns:
            lines.append(line)
            line = indent + word
        else:
            line += gap + word
        while width(line) > columns:
            piece = head(line, columns) or next(clusters(line))
            lines.append(piece)
            line = line[len(piece) :]
    return [*lines, line]
