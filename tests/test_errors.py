"""Error messages: their parts, and escaped control characters."""

import pytest

from mindref.errors import MAX_LENGTH, printable_excerpt, say, value_text


def test_a_message_has_location_expectation_and_value():
    assert say("x", "a", 1) == "x: expected a, got 1"
    assert say("x", "a", "") == "x: expected a, got nothing"
    assert say("x", "a", None, "do b") == "x: expected a, got None; do b"


@pytest.mark.parametrize("char", ["\x1b", "\0", "\r", "\x9b", "\u202e", "\u2028", "\ud800", "\n"])
def test_quoted_text_is_printable(char):
    text = say(f"a{char}", f"b{char}", f"c{char}", f"d{char}")
    escaped = repr(char)[1:-1]
    last = char if char == "\n" else escaped  # what there is to do may be several lines
    assert text == f"a{escaped}: expected b{escaped}, got c{escaped}; d{last}"


def test_a_long_value_is_cut():
    assert printable_excerpt("x" * (MAX_LENGTH + 1)) == "x" * MAX_LENGTH + "..."
    assert len(say("x", "a", "y" * 10**6)) < MAX_LENGTH + 100


def test_an_integer_too_long_to_print_is_described():
    assert say("x", "a", 10**5000) == "x: expected a, got int that cannot be printed"
    deep = []
    for _ in range(5000):
        deep = [deep]
    for value in ([10**5000], deep):
        assert value_text(value, quoted=True) == "list that cannot be printed"
    assert value_text("é", quoted=True) == "'é'"
