"""A field of a TSV line can contain any id or title."""

import pytest

from mindref.run.tsv import escape, unescape


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("a\tb", r"a\tb"),
        ("\n\r", r"\n\r"),
        ("\\t", r"\\t"),
        ("\\", "\\\\"),
        ("\ud800", r"\ud800"),
        ("\\ud800", r"\\ud800"),
        ("\x1b[2J\x9b\x7f\x00", r"\u001b[2J\u009b\u007f\u0000"),
        ("Amélie 🎬", "Amélie 🎬"),
    ],
)
def test_the_escapes_of_a_field(text, field):
    assert escape(text) == field
    assert unescape(field) == text
