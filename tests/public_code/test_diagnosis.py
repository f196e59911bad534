"""The table of public bugs in specs/field.md is up to date, and at least ten bugs are named."""

import re

import pytest

from mindref.conformance.mutants.loader import suite_mutants
from tests.public_code.bugs import BUGS
from tests.public_code.naming import rerun_check
from tests.public_code.table import PACKAGES, PAGE, read_bugs, split_page

MIN_NAMED = 10
UNNAMED = {  # bug -> reason
    "LogitsStored": "the stored logits depend on all earlier calls, so no mutant is equivalent",
    "BiasedVotes": "the mutant has another bias",
    "EpsilonSquash": "the mutant changes only forward, and not for long capsules",
    "PowerBeforeArgmax": "the mutant uses the power 100, and only for p = infinity",
}
NAMED = [bug for bug in BUGS if bug.__name__ not in UNNAMED]


def table_row(bug):
    columns = ("what", "seen_in", "rule", "check", "names", "right")
    return dict(zip(columns, read_bugs()[bug.__name__], strict=True))


def mutants_of_cell(cell):
    """Return the mutants in a cell, without the mutants of other failures."""
    mutants = cell.partition(", elsewhere ")[0]
    return set() if mutants == "nothing" else set(mutants.split(" or "))


def test_the_table_has_one_row_per_bug():
    assert list(read_bugs()) == [bug.__name__ for bug in BUGS]
    for bug in BUGS:
        columns = [table_row(bug)[column] for column in ("what", "seen_in", "rule")]
        assert columns == [bug.deviation, bug.seen_in, bug.rule]


def test_equivalent_mutants_are_in_the_catalogue():
    names = {mutant.name for mutant in suite_mutants()}
    assert {name for bug in BUGS for name in bug.mutants} <= names


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.slow(every=3)
def test_the_diagnosis_matches_the_table_and_names_the_bug(bug):
    row = table_row(bug)
    mutants = set(rerun_check(bug, row["check"]))
    assert mutants == mutants_of_cell(row["names"])
    assert (row["right"] == "yes") == (bug in NAMED)
    assert mutants & set(bug.mutants) or bug not in NAMED


def test_at_least_ten_bugs_are_named():
    right = [bug for bug in BUGS if table_row(bug)["right"] == "yes"]
    assert right == NAMED
    assert len(right) >= MIN_NAMED
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), "bugs")
    assert body.startswith(f"{len(right)} of {len(BUGS)} are named.")


@pytest.mark.parametrize("package", PACKAGES)
def test_each_failure_of_a_package_has_an_effect(package):
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), package.name)
    assert f"--backend {package.backend} " in body
    rows = [re.split(r" \| ", line.strip("| ")) for line in body.splitlines() if "-R" in line[:22]]
    failed = [cells for cells in rows if "failed" in " ".join(cells[1:3])]
    assert failed
    assert all(len(cells) == 5 and cells[4] for cells in failed)
