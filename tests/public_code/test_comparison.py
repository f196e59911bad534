"""The comparison of public implementations agrees with the mutants and with the page."""

import re

import pytest

from tests.measure import public_cost
from tests.mutants import MUTANTS
from tests.public_code import comparison
from tests.public_code.comparison import BY_NAME, COLUMNS, KINDS, read_deviations
from tests.public_code.table import PAGE, split_page

DEVIATIONS = read_deviations()
NOT_COMPARED = {  # mutant -> why its implementations are no deviations of the table
    "last-layer-never-rectified": "a linear last layer is the default of the rules",
    "relu-layer-never-rectified": "a linear last layer is the default of the rules",
}
GENERAL = "public code"
"""Part of the text `seen` if all or most public code has the mistake."""


def test_every_deviation_is_a_mutant_with_a_known_kind_and_a_place():
    for one in DEVIATIONS:
        assert one.mutant in BY_NAME, one
        assert one.kind in KINDS, one
        assert one.place, one


def test_each_mutant_is_seen_in_the_implementations_of_its_row():
    unseen = [
        (one.mutant, one.column)
        for one in DEVIATIONS
        if GENERAL not in BY_NAME[one.mutant].seen
        and not comparison.is_seen(BY_NAME[one.mutant], one.column)
    ]
    assert unseen == []


def test_every_implementation_that_a_mutant_names_is_in_the_table():
    cells = {(one.mutant, comparison.project_of(one.column)) for one in DEVIATIONS}
    projects = {comparison.project_of(column) for column in COLUMNS}
    missing = [
        (mutant.name, project)
        for mutant in MUTANTS
        for project in sorted(projects)
        if comparison.is_seen(mutant, project)
        and (mutant.name, project) not in cells
        and mutant.name not in NOT_COMPARED
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("part", "lines"),
    [("comparison", comparison.comparison_table), ("places", comparison.place_table)],
)
def test_the_tables_of_the_page_are_those_of_the_command(part, lines):
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), part)
    assert body == "\n".join(lines()) + "\n", "run: python -m tests.public_code.comparison --write"


def test_the_costs_on_the_page_are_of_mutants_in_the_table():
    measured = {name for group in public_cost.GROUPS for name in group.mutants}
    assert measured - {public_cost.REFERENCE} <= {one.mutant for one in DEVIATIONS}
    _, body, _ = split_page(PAGE.read_text(encoding="utf-8"), "cost")
    assert set(re.findall(r"`([a-z0-9-]+)` \|", body)) <= measured
    command = public_cost.TRAIN.removesuffix(" --threads 1")
    assert command in PAGE.read_text(encoding="utf-8")


def test_the_limits_of_chance_on_the_page_follow_from_the_seeds():
    page = PAGE.read_text(encoding="utf-8")
    _, body, _ = split_page(page, "cost")
    (text,) = re.findall(r"^- \*difference\*:.*?(?=^- )", page, re.M | re.S)
    limits = []
    for group in public_cost.GROUPS:
        label = f"`{group.options}`" if group.options else ""
        right = rf"^\| {re.escape(label)} \| right, numba, seed \d \| ([\d.]+)"
        values = [float(value) for value in re.findall(right, body, re.M)]
        limits.append(f"{100 * public_cost.chance_limit(values):.1f}")
    assert re.findall(r"limit is ([\d.]+) %", text) == limits


def test_a_name_in_another_name_is_not_seen():
    others = BY_NAME["count-of-one-more"]._replace(
        seen="TorchEasyRec, pytorch_ComiRec, DeepMatch-Torch, DeepMatch before 0.2.1"
    )
    assert not any(comparison.is_seen(others, column) for column in COLUMNS)
    both = others._replace(seen="EasyRec (its default), DeepMatch 0.3.2; PaddleRec with 1e-8")
    seen = [column for column in COLUMNS if comparison.is_seen(both, column)]
    assert seen == ["EasyRec", "PaddleRec-2021", "PaddleRec-HEAD", "DeepMatch"]
