"""The counts of the table of diagnosed mutants."""

import pytest

from tests.conformance.diagnosed_mutants import Diagnosed, diagnose_mutant, make_table, verdict

OWN = "your result equals the reference with this mistake: ... [a, squash-R1] (100.0 % ...)"


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ([OWN], "its name"),
        ([OWN.replace("[a,", "[b,")], "another name"),
        ([OWN.replace("[a,", "[b,"), OWN], "its name"),
        (["no match among the known mistakes. Right at L = 4, wrong at L = 5: ..."], "where"),
        (["no match among the known mistakes; mistakes that break [a, ...]"], "neither"),
        ([""], "neither"),
    ],
)
def test_the_verdict_of_diagnoses(texts, says):
    assert verdict("a", texts) == says


def test_a_table_counts_the_mutants_of_each_page():
    rows = [("squash", "a", "its name"), ("squash", "b", "where"), ("routing", "c", "neither")]
    lines = make_table([*(Diagnosed(*row) for row in rows), Diagnosed("routing", "d", "")])
    assert lines[2:] == [
        "| squash | 2 | 1 | 0 | 1 | 0 |",
        "| routing | 1 | 0 | 0 | 0 | 1 |",
        "| all | 3 | 1 | 0 | 1 | 1 |",
        "",
        "- `b`: where",
        "- `c`: neither",
    ]


def test_a_mutant_is_named_by_the_diagnosis():
    assert diagnose_mutant("softmax-base-two").says == "its name"
