"""Lines of a screen: widths of texts in a terminal, truncating, aligning, wrapping, and colours.

A title is arbitrary text: a character may take two columns, or none (a combining accent), and it
may be a control character that moves the cursor. This module needs the standard library only.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple, TextIO

JOINERS = "\u200c\u200d"  # join letters, or the parts of an emoji
WIDE_FORM = "\ufe0f"  # prints the character before it as an emoji, two columns wide
DOTTED_CIRCLE = "\u25cc"  # base character of a combining mark without one
NO_TITLE = "(no title)"
WORDS = re.compile(r"( *)([^ ]+)")


def escape_title(text: str) -> str:
    """Return a text with control characters escaped and every space a plain space."""
    out = ""
    for character in text:
        if unicodedata.category(character) == "Zs":
            out += " "
        elif character.isprintable() or (character in JOINERS and out[-1:].strip()):
            needs_base = is_combining(character) and not out.strip()
            out += DOTTED_CIRCLE + character if needs_base else character
        else:
            out += repr(character)[1:-1]
    return out.strip() or NO_TITLE


def is_combining(character: str) -> bool:
    """Return whether a character belongs to the character before it."""
    accent = unicodedata.category(character) in ("Mn", "Me", "Mc")
    skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    hangul_part = "\u1160" <= character <= "\u11ff"
    return accent or skin_tone or hangul_part or character in JOINERS


def split_clusters(text: str) -> Iterator[str]:
    """Yield the grapheme clusters, each displayed as one character."""
    cluster = ""
    for character in text:
        flag = is_flag_half(character) and len(cluster) == 1 and is_flag_half(cluster)
        if cluster and not (is_combining(character) or cluster[-1] == "\u200d" or flag):
            yield cluster
            cluster = ""
        cluster += character
    if cluster:
        yield cluster


def is_flag_half(character: str) -> bool:
    """Return whether a character is a regional indicator, half of a flag."""
    return "\U0001f1e6" <= character <= "\U0001f1ff"


@lru_cache(maxsize=4096)
def display_width(text: str) -> int:
    """Return the largest number of columns that a terminal uses for an escaped text."""
    if text.isascii():
        return len(text)
    return sum(measure_cluster(cluster) for cluster in split_clusters(text))


def measure_cluster(cluster: str) -> int:
    """Return the columns of a grapheme cluster; the parts of a joined emoji are added up.

    Some terminals print the parts separately, and a short line is better than a long one.
    """
    if is_flag_half(cluster[0]) or (WIDE_FORM in cluster and "\u200d" not in cluster):
        return 2
    return sum(map(measure_character, cluster))


def measure_character(character: str) -> int:
    """Return the columns of a single character."""
    if character == WIDE_FORM:
        return 1
    hangul_part = "\u1160" <= character <= "\u11ff"
    if hangul_part or character in JOINERS or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    counting_rod = "\U0001d360" <= character <= "\U0001d376"  # wide from Unicode 16 on
    return 2 if counting_rod or unicodedata.east_asian_width(character) in "WF" else 1


def take_columns(text: str, columns: int) -> str:
    """Return the longest prefix of whole clusters that fits."""
    if text.isascii():
        return text[: max(columns, 0)]
    out = ""
    for cluster in split_clusters(text):
        columns -= measure_cluster(cluster)
        if columns < 0:
            break
        out += cluster
    return out


def truncate_text(text: str, columns: int) -> str:
    """Return a text that fits, with "…" at its end if it is truncated."""
    if display_width(text) <= columns:
        return text
    return take_columns(text, columns - 1).rstrip() + "…" if columns > 0 else ""


def align_left(text: str, columns: int) -> str:
    """Return a text truncated and padded to a number of columns, flush left."""
    short = truncate_text(text, columns)
    return short + " " * (columns - display_width(short))


def align_right(text: str, columns: int) -> str:
    """Return a text padded to a number of columns, flush right."""
    return " " * (columns - display_width(text)) + text


def wrap_text(text: str, columns: int, indent: str = "") -> list[str]:
    """Return a text as lines of at most `columns` columns, broken at spaces where possible.

    Every line after the first begins with the indent. Runs of several spaces are unchanged, so
    "n next  p back" is unchanged; a word that is too long is split.
    """
    lines, line = [], ""
    for gap, word in WORDS.findall(text):
        if line.strip() and display_width(line + gap + word) > columns:
            lines.append(line)
            line = indent + word
        else:
            line += gap + word
        while display_width(line) > columns:
            piece = take_columns(line, columns) or next(split_clusters(line))
            lines.append(piece)
            line = line[len(piece) :]
    return [*lines, line]


def replace_unencodable(text: str, encoding: str) -> str:
    """Return a text of the same width with "?" for each cluster outside an encoding.

    A minus sign becomes a hyphen.
    """
    if is_encodable(text, encoding):
        return text
    clusters = split_clusters(text.replace("−", "-"))
    return "".join(c if is_encodable(c, encoding) else "?" * measure_cluster(c) for c in clusters)


def is_encodable(text: str, encoding: str) -> bool:
    """Return whether an encoding has every character of a text."""
    return text.encode(encoding, "ignore").decode(encoding) == text


class Line(NamedTuple):
    """Text without control characters, and a style of `CODES`."""

    text: str
    style: str = ""


def fit_lines(lines: Iterable[Line], columns: int) -> list[Line]:
    """Return lines no wider than the terminal. In practice this truncates titles only."""
    return [Line(truncate_text(line.text.rstrip(), columns), line.style) for line in lines]


def wrap_lines(text: str, columns: int, style: str = "", indent: int = 1) -> list[Line]:
    """Return a text as wrapped lines with the same indent."""
    room = max(columns - indent, 1)
    return [Line(" " * indent + piece, style) for piece in wrap_text(text, room)]


def label_lines(name: str, text: str, columns: int, style: str = "") -> list[Line]:
    """Return a text as wrapped lines after a label, as "code  mindref/ops/routing.py:88-91"."""
    margin = len(name) + 3
    first, *following = wrap_text(text, max(columns - margin, 8))
    lines = [Line(f" {name}  {first}", style)]
    return lines + [Line(" " * margin + piece, style) for piece in following]


CODES = {"title": "1;36", "bold": "1", "dim": "2", "ok": "32", "bad": "1;31", "ask": "1;33"}
LARGEST = re.compile(r"\S+(?: [░▒▓█ ]{2})? \^")


def supports_colour(stream: TextIO) -> bool:
    """Return whether a stream is a terminal and colours are not disabled (no-color.org)."""
    dumb = os.environ.get("TERM") == "dumb"
    return stream.isatty() and not os.environ.get("NO_COLOR") and not dumb


def render_lines(lines: Iterable[Line], colours: bool) -> str:
    """Return lines as one text, with or without colour codes."""
    return "".join((render_line(line) if colours else line.text) + "\n" for line in lines)


def render_line(line: Line) -> str:
    """Return a line with colour codes; without a style, the largest number of a row is bold."""
    if line.style:
        return f"\x1b[{CODES[line.style]}m{line.text}\x1b[0m"
    return LARGEST.sub(lambda match: f"\x1b[1m{match[0]}\x1b[0m", line.text)
