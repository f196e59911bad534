"""T1: scripted sessions give the text that is kept, at two widths."""

from __future__ import annotations

import sys

import pytest

from mindref.study.terminal import paint
from mindref.study.terminal.widths import width
from tests.study.terminal import golden
from tests.study.terminal.conftest import Said, Studied, Terminal
from tests.study.terminal.golden import FOLDER, ONCE, SCRIPTS, WIDTHS, path_of, settled, text_of

NAMES = (*SCRIPTS, *ONCE)
RENEW = "read the difference, then: python -m tests.study.terminal.golden --write"


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("name", NAMES)
def test_t1_a_session_gives_the_text_that_is_kept(
    name: str, columns: int, film_club: Studied
) -> None:
    kept = path_of(name, columns).read_text(encoding="utf-8")
    found = text_of(name, columns, film_club)
    assert settled(found) == settled(kept), RENEW
    assert all(width(line) <= columns for line in found.splitlines())


def test_t1_every_kept_text_is_of_a_session() -> None:
    expected = {path_of(name, columns).name for name in NAMES for columns in WIDTHS}
    assert {path.name for path in FOLDER.iterdir()} == expected


def test_t1_commands_come_from_a_file_as_they_are_typed(said: Said) -> None:
    typed = said("n", "g 5", "x m[2, 3]", "q")
    lines = ["# a walk\n", "n\n", "\n", "g 5\r\n", "x m[2, 3]", "q\n", "n\n"]
    assert said(*lines) == typed
    assert said("n n n") == said("n", "n", "n")  # several letters on one line


def test_t1_without_colours_and_with_them_it_is_the_same_text(
    said: Said, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = ("g routing[2].weights", "?", "q")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    plain = said(*commands)
    coloured = said(*commands, stdout=Terminal())
    assert "\x1b[" not in plain
    assert "\x1b[" in coloured
    for code in {"0", *paint.CODES.values()}:
        coloured = coloured.replace(f"\x1b[{code}m", "")
    assert coloured == plain
    monkeypatch.setenv("NO_COLOR", "1")
    assert said(*commands, stdout=Terminal()) == plain
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert said(*commands, stdout=Terminal()) == plain


def test_t1_texts_are_not_renewed_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr(sys, "argv", ["golden", "--write"])
    with pytest.raises(SystemExit, match="never written"):
        golden.main()
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "argv", ["golden"])
    with pytest.raises(SystemExit, match="usage"):
        golden.main()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("(residual 2.2e-16)", "(residual 4.4e-16)", True),
        ("total  0.35579543489722687", "total  0.35579543489722665", True),
        ("total  0.355795436", "total  0.355795434", False),
        ("0.368 ^", "0.369 ^", False),
    ],
)
def test_t1_only_last_digits_may_differ(one: str, other: str, same: bool) -> None:
    assert (settled(one) == settled(other)) is same
