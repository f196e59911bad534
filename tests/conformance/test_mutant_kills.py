"""The table of the mutants that the suite kills."""

import pytest

from mindref.conformance.mutants.loader import suite_mutants
from tests.assertions import nonempty
from tests.conformance import mutant_kills


def test_a_check_of_its_rule_kills_a_mutant():
    """`pytest --mutants` tests every mutant."""
    mutant = next(x for x in suite_mutants() if x.name == "softmax-base-two")
    assert mutant_kills.killer(mutant, mutant_kills.PRECISIONS[0]).startswith("softmax/")


def test_every_page_has_a_row_without_survivors_in_the_table():
    text = mutant_kills.TABLE.read_text(encoding="utf-8")
    for page in nonempty(mutant_kills.judged_pages()):
        dead = mutant_kills.row(page, killed=lambda *_: True)
        assert dead.covered == dead.rules
        assert mutant_kills.line(dead) in text, (
            "run: python -m tests.conformance.mutant_kills --write"
        )


def test_a_rule_with_a_survivor_is_not_covered():
    dead = mutant_kills.row("squash", killed=lambda *_: True)
    last = [x for x in suite_mutants() if x.rule in mutant_kills.rules_of("squash")][-1]
    alive = mutant_kills.row("squash", killed=lambda x, p: (x, str(p)) != (last, "float32"))
    assert alive.covered == dead.covered - 1
    assert alive.killed == (dead.mutants, dead.mutants - 1)


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
