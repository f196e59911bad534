"""The suite is judged by the catalogue: every wrong variant fails a check of the rule it breaks."""

from __future__ import annotations

import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.variants.loader import Variant, catalogue
from tests import pages, status
from tests.conformance import kills

SLOW = pytest.mark.slow


@pytest.mark.parametrize("precision", kills.PRECISIONS, ids=str)
@pytest.mark.parametrize(
    "variant",
    [  # a check of level "train" draws whole trainings, which takes seconds
        pytest.param(x, id=x.name, marks=SLOW if x.level == "train" else SLOW(every=15))
        for x in catalogue()
    ],
)
def test_a_wrong_variant_fails_a_check_that_cites_its_rule(
    variant: Variant, precision: Precision
) -> None:
    assert kills.killer(variant, precision), f"{variant.name} survives: {variant.what}"


def test_the_catalogue_is_as_large_as_promised() -> None:
    assert len(catalogue()) >= 120


def test_every_rule_that_is_judged_has_a_line_in_the_table() -> None:
    text = kills.TABLE.read_text(encoding="utf-8")
    for page in kills.judged_pages():
        for rule in kills.rules_of(page):
            wrong = sum(v.breaks == rule for v in catalogue())
            dead = kills.Row(rule, len(kills.citing(rule)), wrong, (wrong, wrong))
            assert kills.line(dead) in text, "run: python -m tests.conformance.kills --write"


def test_a_name_stands_for_one_variant() -> None:
    names = [v.name for v in catalogue()]
    assert len(set(names)) == len(names)


def test_every_variant_breaks_a_rule_of_a_page() -> None:
    assert {v.breaks for v in catalogue()} <= {r for p in pages.names() for r in pages.rules(p)}


def test_the_table_of_the_index_counts_what_the_lines_say() -> None:
    known = [kills.Row("squash-R1", 3, 2, (2, 2)), kills.Row("squash-R2", 1, 3, (3, 1))]
    text = "\n".join(map(kills.line, [*known, kills.Row("softmax-R1", 1, 0, (0, 0))]))
    assert status.kills(text) == {"squash": [5, 3, "1 of 2"], "softmax": [0, 0, "0 of 1"]}


def test_a_rule_without_a_variant_is_not_covered() -> None:
    assert not kills.Row("squash-R1", 3, 0, (0, 0)).covered
    assert not kills.Row("squash-R1", 3, 2, (2, 1)).covered
    assert kills.Row("squash-R1", 3, 2, (2, 2)).covered
    assert pages.rules("squash")
