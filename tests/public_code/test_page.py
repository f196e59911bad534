"""The tables of specs/field.md agree with the mutants, with the bugs and with one another."""

import re
import statistics

import pytest
from scipy import stats

from mindref.conformance.mutants.loader import suite_mutants
from tests.mutants import MUTANTS
from tests.public_code import page
from tests.public_code.bugs import BUGS
from tests.public_code.page import BY_NAME, COLUMNS, PAGE, is_seen, project_of

DEVIATIONS = page.read_deviations()
NOT_COMPARED = {  # mutants whose implementations are no deviations of the table
    # a linear last layer is the default of the rules
    "last-layer-never-rectified",
    "relu-layer-never-rectified",
}
GENERAL = "public code"
"""Part of the text `seen` if all or most public code has the mistake."""
MIN_NAMED = 10
UNNAMED = {  # bug -> reason
    "LogitsStored": "the stored logits depend on all earlier calls, so no mutant is equivalent",
    "BiasedVotes": "the mutant has another bias",
    "EpsilonSquash": "the mutant changes only forward, and not for long capsules",
    "PowerBeforeArgmax": "the mutant uses the power 100, and only for p = infinity",
}
NAMED = [bug.__name__ for bug in BUGS if bug.__name__ not in UNNAMED]


def test_every_deviation_is_a_mutant_with_a_known_kind_and_a_place():
    assert len(DEVIATIONS) > 100
    assert [x for x in DEVIATIONS if x.mutant not in BY_NAME or x.kind not in page.KINDS] == []
    assert [x for x in DEVIATIONS if not x.place] == []


def test_the_deviations_are_those_that_the_mutants_name():
    unseen = [
        (x.mutant, x.column)
        for x in DEVIATIONS
        if GENERAL not in BY_NAME[x.mutant].seen and not is_seen(BY_NAME[x.mutant], x.column)
    ]
    assert unseen == []
    cells = {(x.mutant, project_of(x.column)) for x in DEVIATIONS}
    missing = [
        (mutant.name, project)
        for mutant in MUTANTS
        for project in sorted(set(map(project_of, COLUMNS)))
        if is_seen(mutant, project) and (mutant.name, project) not in cells
    ]
    assert [x for x in missing if x[0] not in NOT_COMPARED] == []


def test_a_name_in_another_name_is_not_seen():
    others = BY_NAME["count-of-one-more"]._replace(
        seen="TorchEasyRec, pytorch_ComiRec, DeepMatch-Torch, DeepMatch before 0.2.1"
    )
    assert not any(is_seen(others, column) for column in COLUMNS)
    both = others._replace(seen="EasyRec (its default), DeepMatch 0.3.2; PaddleRec with 1e-8")
    seen = [column for column in COLUMNS if is_seen(both, column)]
    assert seen == ["EasyRec", "PaddleRec-2021", "PaddleRec-HEAD", "DeepMatch"]


@pytest.mark.parametrize("part", ["comparison", "places"])
def test_the_tables_of_the_page_are_those_of_the_command(part):
    command = f"python -m tests.public_code.page --write {part}"
    assert page.split_page(part)[1] == "\n".join(page.PARTS[part]()) + "\n", f"run: {command}"


def test_the_costs_are_of_deviations_and_the_limits_of_chance_follow_from_the_seeds():
    _, body, _ = page.split_page("cost")
    measured = set(re.findall(r"\| `([a-z0-9-]+)` \|", body))
    assert len(measured) > 30
    assert measured <= {x.mutant for x in DEVIATIONS}
    limits = []
    for options in dict.fromkeys(re.findall(r"^\| (.*?) ?\| right, numba, seed 0", body, re.M)):
        right = rf"^\| {re.escape(options)} ?\| right, numba, seed \d \| ([\d.]+)"
        values = [float(value) for value in re.findall(right, body, re.M)]
        spread = statistics.stdev(values) / statistics.mean(values)
        quantile = stats.t.ppf(0.975, len(values) - 1)
        limits.append(f"{100 * quantile * spread * (1 + 1 / len(values)) ** 0.5:.1f}")
    text = PAGE.read_text(encoding="utf-8")
    (sentence,) = re.findall(r"^- \*difference\*:.*?(?=^- )", text, re.M | re.S)
    assert re.findall(r"limit is ([\d.]+) %", sentence) == limits


def test_every_bug_has_a_row_and_mutants_of_the_suite():
    rows = page.read_bugs()
    assert list(rows) == [bug.__name__ for bug in BUGS]
    names = {mutant.name for mutant in suite_mutants()}
    for bug in BUGS:
        assert bug.mutants
        assert set(bug.mutants) <= names
        assert rows[bug.__name__]["rule"] == BY_NAME[bug.mutants[0]].rule


def test_at_least_ten_bugs_are_named():
    right = [name for name, row in page.read_bugs().items() if row["right"] == "yes"]
    assert right == NAMED
    assert len(right) >= MIN_NAMED
    assert page.split_page("bugs")[1].startswith(f"{len(right)} of {len(BUGS)} are named.")


@pytest.mark.rules("conformance-R16")
@pytest.mark.parametrize("bug", BUGS)
@pytest.mark.slow(every=3)
def test_the_diagnosis_matches_the_table_and_names_the_bug(bug):
    row = page.read_bugs()[bug.__name__]
    mutants = set(page.repeat_diagnosis(bug, row["check"]))
    names = row["names"].partition(", elsewhere ")[0]
    assert mutants == (set() if names == "nothing" else set(names.split(" or ")))
    assert mutants & set(bug.mutants) or bug.__name__ not in NAMED
