"""The table of the public bugs on specs/field.md: true today, and at least ten are named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mindref.conformance.mutants.loader import suite_mutants
from tests.public_code.bugs import BUGS
from tests.public_code.naming import SAME, again, same
from tests.public_code.table import PACKAGES, PAGE, part_of, read_bugs

ENOUGH = 10
UNNAMED = {  # bug -> why the diagnosis is silent
    "LogitsStored": "what is stored depends on every call before, so no mutant holds the same",
    "BiasedVotes": "the bias of the catalogue has another size",
    "EpsilonSquash": "the one of the catalogue is in forward alone, and not for long capsules",
    "PowerBeforeArgmax": "the one of the catalogue takes the power 100, and for p = infinity alone",
    "AlwaysHard": "no mutant does this",
}
NAMED = [bug for bug in BUGS if bug.__name__ not in UNNAMED]


def row(bug: Any) -> dict[str, str]:
    columns = ("what", "family", "rule", "check", "names", "right")
    return dict(zip(columns, read_bugs()[bug.__name__], strict=True))


def words(cell: str) -> set[str]:
    """The mutants that a cell names, those of other failures left out."""
    named = cell.partition(", elsewhere ")[0]
    return set() if named == "nothing" else set(named.split(" or "))


def test_every_bug_has_its_row_and_no_other_has() -> None:
    assert list(read_bugs()) == [bug.__name__ for bug in BUGS]
    for bug in BUGS:
        assert [row(bug)[column] for column in ("what", "family", "rule")] == list(bug.bug)


def test_what_counts_as_the_same_mistake_is_in_the_catalogue() -> None:
    assert set(SAME) == {bug.__name__ for bug in BUGS}
    assert {name for names in SAME.values() for name in names} <= {v.name for v in suite_mutants()}


@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.slow(every=4)
def test_the_diagnosis_says_today_what_the_table_says(bug: Any) -> None:
    assert set(again(bug, row(bug)["check"])) == words(row(bug)["names"])


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize("bug", NAMED)
@pytest.mark.slow(every=3)
def test_a_public_bug_is_named(bug: Any) -> None:
    assert row(bug)["right"] == "yes"
    assert set(again(bug, row(bug)["check"])) & set(same(bug))


def test_at_least_ten_are_named_and_who_is_not_is_said() -> None:
    right = [bug for bug in BUGS if row(bug)["right"] == "yes"]
    assert right == NAMED
    assert len(right) >= ENOUGH
    _, body, _ = part_of(PAGE.read_text(encoding="utf-8"), "bugs")
    assert body.startswith(f"{len(right)} of {len(BUGS)} are named.")


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_its_part_and_each_failure_an_effect(package: Any) -> None:
    _, body, _ = part_of(PAGE.read_text(encoding="utf-8"), package.name)
    assert f"--backend {package.backend} " in body
    rows = [re.split(r" \| ", line.strip("| ")) for line in body.splitlines() if "-R" in line[:22]]
    failed = [cells for cells in rows if "failed" in " ".join(cells[1:3])]
    assert failed
    assert all(len(cells) == 5 and cells[4] for cells in failed)
