"""No line is wider than the terminal; titles are truncated by display width."""

import unicodedata

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from mindref.study.terminal.lookup import find_step, format_cell, parse_cell
from mindref.study.terminal.screen import format_screen
from mindref.study.terminal.text import (
    align_left,
    display_width,
    escape_title,
    split_clusters,
    truncate_text,
    wrap_text,
)
from tests.assertions import nonempty

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
def test_the_width_of_a_text_is_that_of_terminals(text, columns):
    assert display_width(text) == columns


@given(st.text(max_size=40))
@example("\U0001d360")
def test_the_width_of_a_text_is_at_least_that_of_rich(text):
    """rich has tables of a newer Unicode than Python 3.11; only characters of both are compared."""
    common = "".join(
        s for s in escape_title(text) if unicodedata.category(s) not in ("Mc", "Lo", "So")
    )
    assert display_width(common) >= cell_len(common)


@given(st.text(max_size=40), st.integers(0, 30))
def test_a_truncated_text_fits_and_has_complete_characters(text, columns):
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
def test_no_character_is_split(character, columns):
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
def test_control_characters_of_a_title_are_escaped(text, escaped):
    assert escape_title(text) == escaped


@given(st.text(max_size=60))
def test_an_escaped_title_is_printable_and_is_not_escaped_again(text):
    escaped = escape_title(text)
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in escaped)
    assert escape_title(escaped) == escaped
    escaped.encode()


@given(st.text(alphabet="ab 映\u0301 " + FLAG, max_size=60), st.integers(2, 20))
def test_wrapped_lines_fit_and_have_every_character(text, columns):
    escaped = escape_title(text)
    lines = wrap_text(escaped, columns)
    assert all(display_width(line) <= columns for line in lines)
    assert "".join(lines).replace(" ", "") == escaped.replace(" ", "")


WALK = ("l", "g routing[2].weights", "d", "x", "all", "?", "1", "g serve.top", "x", "b", "h", "q")


@pytest.mark.parametrize("columns", [20, 33, 40, 60, 79, 80, 81, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(columns, hostile, run_commands):
    for user in nonempty((hostile, None)):
        for line in run_commands(*WALK, columns=columns, user=user).splitlines():
            assert display_width(line) <= columns, line


@pytest.mark.parametrize("columns", [24, 80])
@pytest.mark.parametrize("all_", [False, True])
def test_every_screen_fits_and_has_no_control_characters(columns, all_, hostile):
    for step_index in nonempty(range(len(hostile.trace.steps))):
        for line in format_screen(hostile.trace, step_index, columns, all_):
            assert display_width(line.text) <= columns
            assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in line.text)
            assert "\u202e" not in line.text


def test_columns_align_whatever_the_titles_are(hostile):
    """The numbers of a row end below the end of the heading, in columns of the terminal."""
    step_index = find_step(hostile.trace, "routing[2].weights")
    lines = [line.text for line in format_screen(hostile.trace, step_index, 100, all_=True)]
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("film"))
    count = len(hostile.trace.labels["behaviour"])
    ends = [
        display_width(line.partition(" ^")[0].rstrip())
        for line in lines[head + 1 : head + 1 + count]
    ]
    assert max(ends) <= display_width(lines[head])
    assert len(set(ends)) <= 5  # a number or a zero, in one of four columns


def test_every_printed_cell_name_can_be_parsed(hostile, film_club):
    for trace in (hostile.trace, film_club.trace):
        for name in ("w[2]", "Se", "h", "loss", "score", "d_w[1]", "history.rows", "d_items"):
            tensor = trace.tensors[name]
            for index in list(np.ndindex(tensor.values.shape))[::7]:
                cell = parse_cell(trace, 0, format_cell(trace, tensor, index))
                assert (cell.tensor.name, cell.position) == (name, index)


@pytest.mark.parametrize(
    ("text", "name", "index"),
    [
        ("w[3, 2]", "w[2]", (2, 1)),
        ("w[2][3, 2]", "w[2]", (2, 1)),
        ("w[3][3, 2]", "w[3]", (2, 1)),
        ("w[the sheriff of copper creek, interest 2]", "w[2]", (0, 1)),
        ("w['Sheriff', 2]", "w[2]", (0, 1)),
        ("w[sheriff,2]", "w[2]", (0, 1)),
        ("h[2]", "h", (1,)),
        ("loss", "loss", ()),
        ("prob[4]", "prob", (3,)),
        ("W[1][2, 3]", "W[1]", (1, 2)),
    ],
)
def test_a_cell_is_parsed_by_number_or_title(text, name, index, film_club):
    cell = parse_cell(film_club.trace, find_step(film_club.trace, "routing[2].weights"), text)
    assert (cell.tensor.name, cell.position) == (name, index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w[Night Fairy, 3]", "closest: "),
        ("w[copper, 3]", "it could be 1 or 2"),
        ("Se[3]", "2 positions, film, width"),
        ("w[3, 9]", "interest: expected a number from 1 to 4"),
        ("w[3, 2", "cell such as"),
        ("Se[1, 2, 3]", "expected"),
        ("loss[1]", "0 positions"),
    ],
)
def test_an_unknown_cell_is_an_error_with_the_valid_positions(text, message, run_commands):
    assert message in run_commands("g routing[2].weights", f"x {text}", columns=200)
