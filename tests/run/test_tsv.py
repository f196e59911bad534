"""A field of a TSV line holds whatever an id or a title holds."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.run.tsv import escape, unescape

NASTY = st.text(st.sampled_from("\\\t\n\rtnrud8\ud800\udfffé\x85\u2028 "), max_size=12)
ANY = st.text(st.characters(), max_size=20)  # surrogates among them


@given(NASTY | ANY)
def test_a_field_gives_back_its_text(text):
    assert unescape(escape(text)) == text


@given(NASTY | ANY)
def test_a_field_stays_in_its_line_and_can_be_written(text):
    field = escape(text)
    assert not any(unicodedata.category(char) == "Cc" for char in field)
    field.encode("utf-8")


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", ""),
        ("a b", "a b"),
        ("a\tb", r"a\tb"),
        ("\n\r", r"\n\r"),
        ("\\t", r"\\t"),
        ("\\", "\\\\"),
        ("\ud800", r"\ud800"),
        ("\\ud800", r"\\ud800"),
        ("\x1b[2J\x9b\x7f\x00", r"\u001b[2J\u009b\u007f\u0000"),
        ("\\u001b", r"\\u001b"),
        ("Amélie 🎬", "Amélie 🎬"),
    ],
)
def test_a_field_is_written_so(text, field):
    assert escape(text) == field
    assert unescape(field) == text
