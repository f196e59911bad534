"""T3: titles are cut by what they take on the screen, and never within a character."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from mindref.study.terminal.widths import clusters, cut, left, safe, width, wrapped

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
        (FAMILY, 6),  # some terminals draw the three apart
        (FLAG, 2),
        (HEART, 2),
        ("한국", 4),
        ("\u1112\u1161\u11ab", 2),  # the same syllable in its letters
        ("ｈａｌｆ", 8),
        ("", 0),
    ],
)
def test_t3_a_text_takes_what_terminals_give_it(text: str, columns: int) -> None:
    assert width(text) == columns


@given(st.text(max_size=40))
def test_t3_a_text_takes_at_least_what_rich_gives_it(text: str) -> None:
    """rich counts by its own tables, of a newer Unicode than Python 3.11's: signs both know."""
    known = "".join(s for s in safe(text) if unicodedata.category(s) not in ("Mc", "Lo", "So"))
    assert width(known) >= cell_len(known)


@given(st.text(max_size=40), st.integers(0, 30))
def test_t3_a_cut_text_fits_and_has_whole_characters_only(text: str, columns: int) -> None:
    shown = safe(text)
    short = cut(shown, columns)
    assert width(short) <= columns
    if short != shown and short:
        whole = list(clusters(shown))
        kept = list(clusters(short.removesuffix("…")))
        assert short.endswith("…")
        assert kept == whole[: len(kept)]
    assert width(left(shown, columns)) == columns


@pytest.mark.parametrize(
    "sign", [FAMILY, FLAG, THUMB, HEART, "e\u0301", "映", "\u1112\u1161\u11ab"]
)
@pytest.mark.parametrize("columns", range(1, 12))
def test_t3_no_character_is_cut_in_two(sign: str, columns: int) -> None:
    short = cut("a" + sign * 5, columns).removesuffix("…")
    assert short in ["a" + sign * times for times in range(6)] + [""]


@pytest.mark.parametrize(
    ("text", "seen"),
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
def test_t3_a_title_moves_no_cursor(text: str, seen: str) -> None:
    assert safe(text) == seen


@given(st.text(max_size=60))
def test_t3_what_is_safe_has_no_control_signs_and_stays_as_it_is(text: str) -> None:
    shown = safe(text)
    assert all(unicodedata.category(sign) not in ("Cc", "Cs", "Zl", "Zp") for sign in shown)
    assert safe(shown) == shown
    shown.encode()


@given(st.text(alphabet="ab 映\u0301 " + FLAG, max_size=60), st.integers(2, 20))
def test_t3_wrapping_loses_nothing_and_fits(text: str, columns: int) -> None:
    shown = safe(text)
    lines = wrapped(shown, columns)
    assert all(width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == shown.replace(" ", "")
