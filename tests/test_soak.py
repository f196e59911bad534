"""The verdict of a soak: which numbers have grown beyond their bounds after the warm-up."""

import pytest

from tests.soak import verdict

NUMBER, SIZE = "threads", "MB of this process"
BOTH = ((NUMBER, 1), (SIZE, 100))


def said(name, values):
    """Return what is said of values that were taken down, one a second."""
    (found,) = verdict([{"seconds": at, name: x} for at, x in enumerate(values, start=1)])
    return found


def parts(warming, first, middle, last):
    """Return twelve values: two of the warm-up, and three, four and three of the rest."""
    return [warming] * 2 + [first] * 3 + [middle] * 4 + [last] * 3


@pytest.mark.parametrize(
    ("name", "values", "grows"),
    [
        *((NUMBER, parts(5, 5, 5, last), last > 5) for last in (6, 5, 4)),
        # a size grows by a share and by megabytes
        *((SIZE, parts(x, x, x, y), True) for x, y in ((100, 104.5), (100, 300), (400, 408.5))),
        (SIZE, parts(1000, 1000, 1000, 1020.5), True),
        # by one of the two, or by none
        *((SIZE, parts(x, x, x, y), False) for x, y in ((100, 103.9), (1, 5), (1000, 1010))),
        *((SIZE, parts(x, x, x, y), False) for x, y in ((1000, 1020), (100, 100), (100, 50))),
        # what grows in the warm-up alone does not grow, and what was larger in it hides nothing
        *((name, parts(by, 5 * by, 5 * by, 5 * by), False) for name, by in BOTH),
        *((name, parts(9 * by, 5 * by, 5 * by, 6 * by), True) for name, by in BOTH),
        # what came and went between
        *((name, parts(5 * by, 5 * by, 9 * by, 5 * by), False) for name, by in BOTH),
        # one sample counts of a number and not of a size
        *((name, [*parts(100, 100, 100, 100)[:-1], 200], name == NUMBER) for name, _ in BOTH),
        # of few samples the first and the last are compared
        *((NUMBER, [5] * (count - 1) + [6], True) for count in (2, 4)),
    ],
)
def test_growth(name, values, grows):
    assert said(name, values)["word"] == ("GROWS" if grows else "")


@pytest.mark.parametrize(("name", "before", "after"), [(NUMBER, 5, 6), (SIZE, 100, 104.5)])
def test_a_row_has_what_the_number_was_and_what_it_became(name, before, after):
    expected = {"name": name, "before": before, "after": after, "word": "GROWS"}
    assert said(name, parts(before, before, before, after)) == expected


def test_every_number_has_a_row_of_its_own_and_the_time_has_none():
    samples = [{"seconds": x, NUMBER: x, SIZE: 50, "children": 0} for x in (1.0, 2.0, 3.0)]
    words = [(row["name"], row["word"]) for row in verdict(samples)]
    assert words == [(SIZE, ""), ("children", ""), (NUMBER, "GROWS")]
