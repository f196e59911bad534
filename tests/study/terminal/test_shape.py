"""T3: no line is wider than the terminal, whatever the titles are."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest

from mindref.study.terminal.cells import format_cell, parse_cell
from mindref.study.terminal.lookup import find_step
from mindref.study.terminal.screen import format_screen
from mindref.study.terminal.widths import display_width
from tests.study.terminal.conftest import RunCommands, TracedUser

WALK = ("l", "g routing[2].weights", "d", "x", "all", "?", "1", "g serve.top", "x", "b", "h", "q")


@pytest.mark.parametrize("columns", [20, 33, 40, 60, 79, 80, 81, 100, 120, 200])
def test_t3_no_line_is_wider_than_the_terminal(
    columns: int, hostile: TracedUser, run_commands: RunCommands
) -> None:
    for user in (hostile, None):
        for line in run_commands(*WALK, columns=columns, user=user).splitlines():
            assert display_width(line) <= columns, line


@pytest.mark.parametrize("columns", [24, 80])
@pytest.mark.parametrize("all_", [False, True])
def test_t3_every_screen_fits_and_has_no_control_characters(
    columns: int, all_: bool, hostile: TracedUser
) -> None:
    for step_index in range(len(hostile.trace.steps)):
        for line in format_screen(hostile.trace, step_index, columns, all_):
            assert display_width(line.text) <= columns
            assert all(unicodedata.category(c) not in ("Cc", "Cs") for c in line.text)
            assert "\u202e" not in line.text


def test_t3_columns_align_whatever_the_titles_are(hostile: TracedUser) -> None:
    """The numbers of a row end below the end of the heading, in columns of the terminal."""
    step_index = find_step(hostile.trace, "routing[2].weights")
    lines = [line.text for line in format_screen(hostile.trace, step_index, 100, all_=True)]
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("behaviour"))
    count = len(hostile.trace.labels["behaviour"])
    ends = [
        display_width(line.partition(" ^")[0].rstrip())
        for line in lines[head + 1 : head + 1 + count]
    ]
    assert max(ends) <= display_width(lines[head])
    assert len(set(ends)) <= 5  # a number or a zero, in one of four columns


def test_t3_every_printed_cell_name_can_be_parsed(
    hostile: TracedUser, film_club: TracedUser
) -> None:
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
def test_t3_a_cell_is_parsed_by_number_or_title(
    text: str, name: str, index: tuple[int, ...], film_club: TracedUser
) -> None:
    cell = parse_cell(film_club.trace, find_step(film_club.trace, "routing[2].weights"), text)
    assert (cell.tensor.name, cell.position) == (name, index)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("w[Night Fairy, 3]", "closest: "),
        ("w[copper, 3]", "it could be 1 or 2"),
        ("Se[3]", "2 positions, behaviour, width"),
        ("w[3, 9]", "interest: expected a number from 1 to 4"),
        ("w[3, 2", "cell such as"),
        ("Se[1, 2, 3]", "expected"),
        ("loss[1]", "0 positions"),
    ],
)
def test_t3_an_unknown_cell_is_an_error_with_the_valid_positions(
    text: str, message: str, run_commands: RunCommands
) -> None:
    assert message in run_commands("g routing[2].weights", f"x {text}", columns=200)
