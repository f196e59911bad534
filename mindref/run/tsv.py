r"""Escapes in fields of a TSV line, so that an id or a title cannot end a field or a line.

Backslash, tab and line ends are written as two characters (`\\`, `\t`, `\n`, `\r`). A lone
surrogate, which JSON allows and UTF-8 does not, is written as `\udXXX`. Other control characters,
which a terminal would execute (security-R12), are written as `\u00XX`.
"""

from __future__ import annotations

import re

ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}
PLAIN = {written: char for char, written in ESCAPES.items()}
UNSAFE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
WRITTEN = re.compile(r"\\u(d[89a-f][0-9a-f]{2}|00[0189][0-9a-f]|007f)|\\[\\tnr]")


def escape(text: str) -> str:
    r"""Return text as a field.

    >>> print(escape("a\tb"))
    a\tb
    """
    return UNSAFE.sub(lambda match: ESCAPES.get(match[0]) or rf"\u{ord(match[0]):04x}", text)


def unescape(field: str) -> str:
    """Return the text that `escape` wrote as this field."""
    return WRITTEN.sub(lambda match: chr(int(match[1], 16)) if match[1] else PLAIN[match[0]], field)


def tsv_line(*fields: object) -> str:
    """Return fields, whose texts are escaped already, as a line of TSV."""
    return "\t".join(map(str, fields)) + "\n"
