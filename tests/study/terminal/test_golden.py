"""Scripted sessions print their golden texts."""

import sys

import pytest

from mindref.study.terminal.text import CODES, display_width
from tests.study.terminal import golden
from tests.study.terminal.conftest import Terminal
from tests.study.terminal.golden import ONCE, SCRIPTS, golden_path, make_text, remove_rounding

NAMES = (*SCRIPTS, *ONCE)
RENEW = "read the difference, then run: python -m tests.study.terminal.golden --write"


@pytest.mark.parametrize("name", NAMES)
def test_a_session_prints_its_golden_text(name, film_club):
    expected = golden_path(name).read_text(encoding="utf-8")
    actual = make_text(name, film_club)
    assert remove_rounding(actual) == remove_rounding(expected), RENEW
    assert all(display_width(line) <= golden.COLUMNS for line in actual.splitlines())


def test_every_golden_text_belongs_to_a_session():
    expected = {golden_path(name).name for name in NAMES}
    assert {path.name for path in golden.FOLDER.iterdir()} == expected


def test_commands_of_a_file_and_typed_commands_print_the_same(run_commands):
    typed = run_commands("n", "g 5", "x Se[2, 3]", "q")
    lines = ["# a walk\n", "n\n", "\n", "g 5\r\n", "x Se[2, 3]", "q\n", "n\n"]
    assert run_commands(*lines) == typed
    assert run_commands("n n n") == run_commands("n", "n", "n")  # several letters on one line


def test_colour_codes_are_the_only_difference_of_a_coloured_text(run_commands, monkeypatch):
    commands = ("g routing[2].weights", "?", "q")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    plain = run_commands(*commands)
    coloured = run_commands(*commands, stdout=Terminal())
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    for code in {"0", *CODES.values()}:
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain
    for name, value in (("NO_COLOR", "1"), ("TERM", "dumb")):
        with monkeypatch.context() as environment:
            environment.setenv(name, value)
            assert run_commands(*commands, stdout=Terminal()) == plain


def test_golden_texts_are_never_written_in_ci(monkeypatch):
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(sys, "argv", ["golden", "--write"])
    with pytest.raises(SystemExit, match="never written"):
        golden.main()
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "argv", ["golden"])
    with pytest.raises(SystemExit, match="usage"):
        golden.main()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("(residual 2.2e-16)", "(residual 4.4e-16)", True),
        ("total  0.35579543489722687", "total  0.35579543489722665", True),
        ("total  0.355795436", "total  0.355795434", False),
        ("0.368 ^", "0.369 ^", False),
        ("ops/squash.py:12  rules", "ops/squash.py:13  rules", True),
        ("ops/squash.py:12  rules", "ops/softmax.py:12  rules", False),
    ],
)
def test_only_residuals_last_digits_and_line_numbers_may_differ(one, other, equal):
    assert (remove_rounding(one) == remove_rounding(other)) is equal
