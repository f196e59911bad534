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


def test_the_table_of_the_page_is_that_of_the_command():
    command = "python -m tests.public_code.page --write comparison"
    assert page.split_page("comparison")[1] == "\n".join(page.comparison_table()) + "\n", command


def test_every_deviation_has_a_cost_or_a_reason_of_the_page_why_there_is_none():
    reasons = re.findall(r"^- \*([a-z ]+)\*: ", PAGE.read_text(encoding="utf-8"), re.M)
    _, costs = page.read_table()
    assert set(costs) == {x.mutant for x in DEVIATIONS}
    for mutant, cost in costs.items():
        same = cost.removeprefix("as `").removesuffix("`")
        measured = re.fullmatch(r"[+-][\d.]+ %", costs.get(same, cost))
        assert measured or cost in reasons, f"{mutant}: {cost}"
    assert sum(cost.endswith("%") for cost in costs.values()) > 35


def test_the_check_of_places_finds_a_line_without_its_word(tmp_path):
    (file,) = {x.place for x in DEVIATIONS if x.mutant == "count-of-one-more"}
    source, word = file.split("#")
    path, line = source.split(":")
    copy = tmp_path / "DeepMatch" / path
    copy.parent.mkdir(parents=True)
    copy.write_text("\n" * (int(line) - 1) + word, encoding="utf-8")
    others = {x.place.split(":")[0] for x in DEVIATIONS if x.column == "DeepMatch"} - {path}
    for other in others:
        (copy.parent.parent / other).parent.mkdir(exist_ok=True)
        (copy.parent.parent / other).write_text("", encoding="utf-8")
    wrong, right = page.check_places(tmp_path)
    assert right == 1
    assert len(wrong) == sum(x.column == "DeepMatch" for x in DEVIATIONS) - 1


def test_the_limits_of_chance_follow_from_the_seeds():
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| ([\d., ]+) \| ([\d.]+) % \| ([\d.]+) % \|$", text, re.M)
    assert len(rows) == 3
    for seeds, deviation, limit in rows:
        values = [float(value) for value in seeds.split(", ")]
        spread = 100 * statistics.stdev(values) / statistics.mean(values)
        quantile = stats.t.ppf(0.975, len(values) - 1)
        assert f"{spread:.1f}" == deviation
        assert f"{quantile * spread * (1 + 1 / len(values)) ** 0.5:.1f}" == limit


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
