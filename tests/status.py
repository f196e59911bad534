"""Make the status table of specs/README.md: python -m tests.status --write."""

import re
import sys
from collections import Counter

from tests import spec_pages

INDEX = spec_pages.SPECS / "README.md"
COVERAGE = spec_pages.SPECS / "coverage.md"
KILLS = re.compile(r"^\| ([a-z_]+)-R\d+ \| \d+ \| (\d+) \| (\d+) \| (\d+) \| (yes|no) \|$", re.M)
"""A row of coverage.md: page, mutants, killed in float64, killed in float32, covered or not."""
UNJUDGED = ("", "", "")
BEGIN, END = "<!-- status: begin -->", "<!-- status: end -->"


def table() -> str:
    """Return one row per page: rules by force, tests and code that cite the rules, mutants."""
    from tests.test_mirror import cited_by_code, cited_by_tests

    tests, code = cited_by_tests(), cited_by_code()
    judged = kills(COVERAGE.read_text(encoding="utf-8"))
    heads = ["page", "must", "should", "optional feature", "with a test", "at a line of code"]
    heads += ["mutants of the suite", "killed", "rules covered"]
    lines = [f"| {' | '.join(heads)} |", "|---|" + "--:|" * (len(heads) - 1)]
    for page in reading_order():
        rules = spec_pages.rules(page)
        force = Counter(rules.values())
        shares = [sum(rule in cited for rule in rules) for cited in (tests, code)]
        numbers = [force["must"], force["should"], force["optional feature"], *shares]
        cells = [*numbers, *judged.get(page, UNJUDGED)]
        lines.append(f"| [{page}]({page}.md) | " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def reading_order() -> list[str]:
    return re.findall(r"^\d+\. \[([a-z_]+)\]", INDEX.read_text(encoding="utf-8"), re.M)


def kills(text: str) -> dict[str, list[int | str]]:
    """Return page -> mutants, mutants killed in both types, rules covered of the rules checked."""
    found = {}
    for page, *numbers, covered in KILLS.findall(text):
        variants, *killed = map(int, numbers)
        found.setdefault(page, []).append((variants, min(killed), covered == "yes"))
    return {page: totals(rules) for page, rules in found.items()}


def totals(rules: list[tuple[int, int, bool]]) -> list[int | str]:
    variants, killed, covered = (sum(column) for column in zip(*rules, strict=True))
    return [variants, killed, f"{covered} of {len(rules)}"]


def write() -> None:
    text = INDEX.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    tail = rest.split(END)[1]
    INDEX.write_text(f"{head}{BEGIN}\n{table()}\n{END}{tail}", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.status --write")
    write()
