"""A field of a TSV line can contain any id or title."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.run.tsv import escape, unescape

NASTY = st.text(st.sampled_from("\\\t\n\rtnrud8\ud800\udfffé\x85\u2028 "), max_size=12)
ANY = st.text(st.characters(), max_size=20)  # surrogates among them


@given(NASTY | ANY)
def test_a_field_is_in_one_line_of_utf8_and_returns_its_text(text):
    field = escape(text)
    assert unescape(field) == text
    assert not any(unicodedata.category(char) == "Cc" for char in field)
    field.encode("utf-8")


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
