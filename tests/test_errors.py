"""Messages: one grammar, and nothing in them that a terminal would obey."""

from __future__ import annotations

import pytest

from mindref.errors import MOST, say, visible, written


def test_a_message_names_place_expectation_and_what_came() -> None:
    assert say("x", "a", 1) == "x: expected a, got 1"
    assert say("x", "a", "") == "x: expected a, got nothing"
    assert say("x", "a", None, "do b") == "x: expected a, got None; do b"


@pytest.mark.parametrize("char", ["\x1b", "\0", "\r", "\x9b", "\u202e", "\u2028", "\ud800", "\n"])
def test_whatever_is_quoted_can_be_shown(char: str) -> None:
    text = say(f"a{char}", f"b{char}", f"c{char}", f"d{char}")
    escaped = repr(char)[1:-1]
    last = char if char == "\n" else escaped  # what there is to do may be several lines
    assert text == f"a{escaped}: expected b{escaped}, got c{escaped}; d{last}"


def test_a_message_has_an_end() -> None:
    assert visible("x" * (MOST + 1)) == "x" * MOST + "..."
    assert len(say("x", "a", "y" * 10**6)) < MOST + 100


def test_a_number_that_python_cannot_write_is_said() -> None:
    assert say("x", "a", 10**5000) == "x: expected a, got int that is too large to be shown"
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    for value in ([10**5000], deep):
        assert written(value, quoted=True) == "list that is too large to be shown"
    assert written("é", quoted=True) == "'é'"
