"""The table of the mutants that the suite kills."""

import pytest

from mindref.conformance.mutants.loader import suite_mutants
from tests import status
from tests.assertions import nonempty
from tests.conformance import mutant_kills


def test_a_check_of_its_rule_kills_a_mutant():
    """`pytest --mutants` tests every mutant."""
    mutant = next(x for x in suite_mutants() if x.name == "softmax-base-two")
    assert mutant_kills.killer(mutant, mutant_kills.PRECISIONS[0]).startswith("softmax/")


def test_every_checked_rule_has_a_row_in_the_table():
    text = mutant_kills.TABLE.read_text(encoding="utf-8")
    for page in nonempty(mutant_kills.judged_pages()):
        for rule in mutant_kills.rules_of(page):
            wrong = sum(v.rule == rule for v in suite_mutants())
            dead = mutant_kills.Row(rule, len(mutant_kills.citing(rule)), wrong, (wrong, wrong))
            command = "python -m tests.conformance.mutant_kills --write"
            assert mutant_kills.line(dead) in text, f"run: {command}"


def test_the_index_table_counts_the_rows():
    rows = [
        mutant_kills.Row("squash-R1", 3, 2, (2, 2)),
        mutant_kills.Row("squash-R2", 1, 3, (3, 1)),
    ]
    text = "\n".join(map(mutant_kills.line, [*rows, mutant_kills.Row("softmax-R1", 1, 0, (0, 0))]))
    assert status.kills(text) == {"squash": [5, 3, "1 of 2"], "softmax": [0, 0, "0 of 1"]}


def test_a_rule_without_a_mutant_is_not_covered():
    assert not mutant_kills.Row("squash-R1", 3, 0, (0, 0)).covered
    assert not mutant_kills.Row("squash-R1", 3, 2, (2, 1)).covered
    assert mutant_kills.Row("squash-R1", 3, 2, (2, 2)).covered


@pytest.mark.parametrize("name", ["kills", "false alarms"])
def test_a_section_is_written_between_its_marks(name, tmp_path):
    sample = """<!-- kills: begin -->
old kills
<!-- kills: end -->
between
<!-- false alarms: begin -->
old false alarms
<!-- false alarms: end -->
after
"""
    page = tmp_path / "coverage.md"
    page.write_text(sample, encoding="utf-8")
    mutant_kills.write_section(name, ["new", "table"], page)
    assert page.read_text(encoding="utf-8") == sample.replace(f"old {name}", "new\ntable")
