"""The verdict of a soak: which numbers have grown beyond their bounds after the warm-up."""

import pytest

from tests.pictures import soak as picture
from tests.soak import verdict

SECONDS = 2 * 60 * 60  # of the shortest soak whose picture is shown

NUMBER, SIZE = "threads", "MB of this process"


def parts(warming, first, middle, last):
    """Return twelve values: two of the warm-up, and three, four and three of the rest."""
    return [warming] * 2 + [first] * 3 + [middle] * 4 + [last] * 3


@pytest.mark.parametrize(
    ("name", "values", "grows"),
    [
        *((NUMBER, parts(5, 5, 5, last), last > 5) for last in (6, 5, 4)),
        # a size grows by a share and by megabytes
        *((SIZE, parts(x, x, x, y), True) for x, y in ((100, 104.5), (1000, 1020.5))),
        *((SIZE, parts(x, x, x, y), False) for x, y in ((100, 103.9), (1000, 1020), (100, 50))),
        # what grows in the warm-up alone does not grow, and what was larger in it hides nothing
        *((NUMBER, parts(*values), values[3] > 5) for values in ((1, 5, 5, 5), (9, 5, 5, 6))),
        (NUMBER, parts(5, 5, 9, 5), False),  # a temporary increase
        # one sample counts of a number and not of a size
        *(
            (name, [*parts(100, 100, 100, 100)[:-1], 200], name == NUMBER)
            for name in (NUMBER, SIZE)
        ),
        # of few samples the first and the last are compared
        *((NUMBER, [5] * (count - 1) + [6], True) for count in (2, 4)),
    ],
)
def test_growth(name, values, grows):
    samples = [{"seconds": at, name: x} for at, x in enumerate(values, start=1)]
    (row,) = verdict(samples)
    assert (row["name"], row["word"]) == (name, "GROWS" if grows else "")


def test_the_picture_is_of_a_long_soak_in_which_nothing_grew():
    content = picture.read()
    assert [row["name"] for row in content["verdict"] if row["word"]] == []
    assert content["samples"][-1]["seconds"] >= SECONDS


def test_every_number_has_a_row_and_the_time_has_none():
    samples = [{"seconds": x, NUMBER: x, SIZE: 50, "children": 0} for x in (1.0, 2.0, 3.0)]
    rows = [(row["name"], row["before"], row["after"], row["word"]) for row in verdict(samples)]
    assert rows == [(SIZE, 50, 50, ""), ("children", 0, 0, ""), (NUMBER, 1.0, 3.0, "GROWS")]
