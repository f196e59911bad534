"""Make the status table of specs/README.md: python -m tests.status --write."""

import re
import sys
from collections import Counter

from tests import spec_pages

INDEX = spec_pages.SPECS / "README.md"
BEGIN, END = "<!-- status: begin -->", "<!-- status: end -->"


def table() -> str:
    """Return one row per page: rules by force, and the rules that tests and code cite."""
    from tests.test_mirror import cited_by_code, cited_by_tests

    tests, code = cited_by_tests(), cited_by_code()
    heads = ["page", "must", "should", "optional feature", "with a test", "at a line of code"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for page in reading_order():
        rules = spec_pages.rules(page)
        force = Counter(rules.values())
        shares = [sum(rule in cited for rule in rules) for cited in (tests, code)]
        cells = [force["must"], force["should"], force["optional feature"], *shares]
        lines.append(f"| [{page}]({page}.md) | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def reading_order() -> list[str]:
    return re.findall(r"^\d+\. \[([a-z_]+)\]", INDEX.read_text(encoding="utf-8"), re.M)


def write() -> None:
    text = INDEX.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    INDEX.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.status --write")
    write()
