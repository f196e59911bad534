"""Prepare docstrings for Markdown: tables of words become code, arguments become a list."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object

ROW = re.compile(r"^\S+(?: \S+)* {2,}\S")
ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): (?=\S)")


class DocstringMarkdown(Extension):
    """Changes each docstring before it is shown."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of `obj`."""
        if obj.docstring:
            obj.docstring.value = docstring_markdown(obj.docstring.value)


def docstring_markdown(text: str) -> str:
    """Return a docstring as Markdown."""
    lines, previous = [], ""
    for line in text.splitlines():
        if ROW.match(line) or (previous == "row" and line.startswith("  ")):
            lines += [""] * (previous != "row") + [f"    {line}"]
            previous = "row"
        elif match := ARGUMENT.match(line):
            lines += [""] * (previous != "argument") + [f"- **{match[1]}**: {line[match.end() :]}"]
            previous = "argument"
        elif previous == "argument" and line:
            lines.append(f"    {line}")
        else:
            lines.append(line)
            previous = ""
    return "\n".join(lines)
