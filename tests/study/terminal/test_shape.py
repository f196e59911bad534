"""T3: nothing is wider than the terminal, and no title does harm."""

from __future__ import annotations

import unicodedata

import pytest

from mindref.study.terminal.cells import cell, cell_name
from mindref.study.terminal.screen import screen
from mindref.study.terminal.widths import width
from tests.study.terminal.conftest import Said, Studied

WALK = ("l", "g routing[2].weights", "d", "x", "all", "?", "1", "g serve.top", "x", "b", "h", "q")


@pytest.mark.parametrize("columns", [20, 33, 40, 60, 79, 80, 81, 100, 120, 200])
def test_t3_no_line_is_wider_than_the_terminal(columns: int, hostile: Studied, said: Said) -> None:
    for user in (hostile, None):
        for line in said(*WALK, columns=columns, on=user).splitlines():
            assert width(line) <= columns, line


@pytest.mark.parametrize("columns", [24, 80])
@pytest.mark.parametrize("all_", [False, True])
def test_t3_every_screen_fits_and_moves_no_cursor(
    columns: int, all_: bool, hostile: Studied
) -> None:
    for at in range(len(hostile.trace.steps)):
        for line in screen(hostile.trace, at, columns, all_):
            assert width(line.text) <= columns
            assert all(unicodedata.category(sign) not in ("Cc", "Cs") for sign in line.text)
            assert "\u202e" not in line.text


def test_t3_columns_stand_below_each_other_whatever_the_titles(hostile: Studied) -> None:
    """The numbers of a row end where the heading ends, in columns of the terminal."""
    at = next(i for i, s in enumerate(hostile.trace.steps) if s.id == "routing[2].weights")
    lines = [line.text for line in screen(hostile.trace, at, 100, all_=True)]
    head = next(i for i, line in enumerate(lines) if line.lstrip().startswith("behaviour"))
    count = len(hostile.trace.labels["behaviour"])
    ends = [width(line.partition(" ^")[0].rstrip()) for line in lines[head + 1 : head + 1 + count]]
    shown = [width(line) for line in lines[head : head + 1]]
    assert max(ends) <= shown[0]
    assert len(set(ends)) <= 5  # a number or a lone zero, in one of four columns


def test_t3_every_cell_can_be_named_as_it_is_shown(hostile: Studied, film_club: Studied) -> None:
    for trace in (hostile.trace, film_club.trace):
        for name in ("w[2]", "m", "h", "loss", "score", "d_w[1]", "history.rows", "d_items"):
            tensor = trace.tensors[name]
            for flat in range(0, max(tensor.values.size, 1), 7):
                index = tuple(int(i) for i in np_index(flat, tensor.values.shape))
                found = cell(trace, 0, cell_name(trace, tensor, index))
                assert (found.tensor.name, found.place) == (name, index)


def np_index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    out = []
    for size in reversed(shape):
        flat, place = divmod(flat, size)
        out.append(place)
    return tuple(reversed(out))


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
def test_t3_a_cell_is_found_by_number_or_title(
    text: str, name: str, index: tuple[int, ...], film_club: Studied
) -> None:
    at = next(i for i, s in enumerate(film_club.trace.steps) if s.id == "routing[2].weights")
    found = cell(film_club.trace, at, text)
    assert (found.tensor.name, found.place) == (name, index)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("w[Night Fairy, 3]", "closest: "),
        ("w[copper, 3]", "it could be 1 or 2"),
        ("m[3]", "2 places, behaviour, width"),
        ("w[3, 9]", "interest: expected a number from 1 to 4"),
        ("w[3, 2", "cell such as"),
        ("m[1, 2, 3]", "expected"),
        ("loss[1]", "0 places"),
    ],
)
def test_t3_a_cell_that_is_not_there_is_told_from_one_that_is(
    text: str, words: str, film_club: Studied, said: Said
) -> None:
    answer = said("g routing[2].weights", f"x {text}", columns=200)
    assert words in answer
