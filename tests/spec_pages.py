"""Read the specification pages: their rules and their worked examples."""

import json
import re
from pathlib import Path
from typing import Any

SPECS = Path(__file__).parent.parent / "specs"
FORCE = r"must|should|optional feature"
RULE = re.compile(rf"^- \*\*(?P<label>[a-z_]+-R\d+)\*\* \((?P<force>{FORCE})\)", re.M)
EXAMPLE = re.compile(r"^```json worked-example\n(?P<body>.*?)^```$", re.M | re.S)


TABLES = ("README", "coverage", "evidence", "field", "paper", "scale", "speed", "study")
"""Files of specs/ that state no rules, such as the index, generated tables and measurements."""


def names() -> list[str]:
    """Return the stems of all pages that state rules."""
    return sorted(path.stem for path in SPECS.glob("*.md") if path.stem not in TABLES)


def text(page: str) -> str:
    return (SPECS / f"{page}.md").read_text(encoding="utf-8")


def rules(page: str) -> dict[str, str]:
    """Return label -> must, should or optional feature, in the order of the page."""
    return {m["label"]: m["force"] for m in RULE.finditer(text(page))}


def examples(page: str) -> list[dict[str, Any]]:
    return [json.loads(m["body"]) for m in EXAMPLE.finditer(text(page))]
