"""T3: titles are truncated by their width on the screen, and never inside a character."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mindref.study.terminal.widths import (
    align_left,
    display_width,
    escape_title,
    split_clusters,
    truncate_text,
    wrap_text,
)

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
FLAG = "\U0001f1ec\U0001f1e7"
THUMB = "\U0001f44d\U0001f3fd"
HEART = "\u2764\ufe0f"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Night Ferry", 11),
        ("映画", 4),
        ("e\u0301te\u0301", 3),
        (FAMILY, 6),  # some terminals print three separate emoji
        (FLAG, 2),
        (HEART, 2),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),  # the same syllable as separate letters
        ("ｈａｌｆ", 8),
        ("", 0),
    ],
)
def test_t3_the_width_of_a_text_is_that_of_terminals(text: str, columns: int) -> None:
    assert display_width(text) == columns


@given(st.text(max_size=40))
def test_t3_the_width_of_a_text_is_at_least_that_of_rich(text: str) -> None:
    """rich has tables of a newer Unicode than Python 3.11; only characters of both are compared."""
    common = "".join(
        s for s in escape_title(text) if unicodedata.category(s) not in ("Mc", "Lo", "So")
    )
    assert display_width(common) >= cell_len(common)


@given(st.text(max_size=40), st.integers(0, 30))
def test_t3_a_truncated_text_fits_and_has_complete_characters(text: str, columns: int) -> None:
    escaped = escape_title(text)
    short = truncate_text(escaped, columns)
    assert display_width(short) <= columns
    if short != escaped and short:
        every = list(split_clusters(escaped))
        remaining = list(split_clusters(short.removesuffix("…")))
        assert short.endswith("…")
        assert remaining == every[: len(remaining)]
    assert display_width(align_left(escaped, columns)) == columns


@pytest.mark.parametrize(
    "character", [FAMILY, FLAG, THUMB, HEART, "e\u0301", "映", "\u1112\u1161\u11ab"]
)
@pytest.mark.parametrize("columns", range(1, 12))
def test_t3_no_character_is_split(character: str, columns: int) -> None:
    short = truncate_text("a" + character * 5, columns).removesuffix("…")
    assert short in ["a" + character * times for times in range(6)] + [""]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("red \x1b[31m title", "red \\x1b[31m title"),
        ("two\nlines\ttab", "two\\nlines\\ttab"),
        ("right \u202eto left", "right \\u202eto left"),
        ("bell\x07 \x9b2J", "bell\\x07 \\x9b2J"),
        ("no\xa0break\u3000wide", "no break wide"),
        ("\u0301lonely", "\u25cc\u0301lonely"),
        ("\u200dhidden", "\\u200dhidden"),
        ("half \ud800 pair", "half \\ud800 pair"),
        ("", "(no title)"),
        (" \u2003 ", "(no title)"),
        ("</script> [bold]x[/bold]", "</script> [bold]x[/bold]"),
    ],
)
def test_t3_control_characters_of_a_title_are_escaped(text: str, escaped: str) -> None:
    assert escape_title(text) == escaped


@given(st.text(max_size=60))
def test_t3_an_escaped_title_is_printable_and_is_not_escaped_again(text: str) -> None:
    escaped = escape_title(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in escaped)
    assert escape_title(escaped) == escaped
    escaped.encode()


@given(st.text(alphabet="ab 映\u0301 " + FLAG, max_size=60), st.integers(2, 20))
def test_t3_wrapped_lines_fit_and_have_every_character(text: str, columns: int) -> None:
    escaped = escape_title(text)
    lines = wrap_text(escaped, columns)
    assert all(display_width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == escaped.replace(" ", "")
