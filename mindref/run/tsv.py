r"""A field of a TSV line: whatever an id or a title holds, it ends neither a field nor a line.

Backslash, tab and line ends are written as two characters (`\\`, `\t`, `\n`, `\r`); a lone
surrogate, which JSON can bring and UTF-8 cannot hold, as `\udXXX`, and other control characters,
which a terminal would obey (security-R12), as `\u00XX`.
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
    return UNSAFE.sub(lambda found: ESCAPES.get(found[0]) or rf"\u{ord(found[0]):04x}", text)


def unescape(field: str) -> str:
    """Return the text that `escape` wrote as this field."""
    return WRITTEN.sub(lambda found: chr(int(found[1], 16)) if found[1] else PLAIN[found[0]], field)
