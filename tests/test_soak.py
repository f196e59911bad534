"""What a soak says of its numbers: which have grown, by how much they may, and from when on."""

import pytest

from tests.soak import verdict

NUMBER, SIZE = "threads", "MB of this process"


def said(name: str, values: list[float]) -> dict[str, object]:
    """Return what is said of values that were taken down, one a second."""
    (found,) = verdict([{"seconds": at, name: x} for at, x in enumerate(values, start=1)])
    return found


def parts(warming: float, first: float, middle: float, last: float) -> list[float]:
    """Return twelve values: two of the warm-up, and three, four and three of the rest."""
    return [warming] * 2 + [first] * 3 + [middle] * 4 + [last] * 3


@pytest.mark.parametrize(("last", "word"), [(6, "GROWS"), (5, ""), (4, "")])
def test_a_number_may_not_grow_at_all(last, word):
    expected = {"name": NUMBER, "before": 5, "after": last, "word": word}
    assert said(NUMBER, parts(5, 5, 5, last)) == expected


@pytest.mark.parametrize(
    ("before", "after"), [(100, 104.5), (100, 300), (400, 408.5), (1000, 1020.5)]
)
def test_a_size_that_grows_by_a_share_and_by_megabytes_is_told(before, after):
    expected = {"name": SIZE, "before": before, "after": after, "word": "GROWS"}
    assert said(SIZE, parts(before, before, before, after)) == expected


@pytest.mark.parametrize(
    ("before", "after"),
    [(100, 103.9), (1, 5), (1000, 1010), (1000, 1020), (100, 100), (100, 50)],
    ids=lambda x: f"{x:g}",
)
def test_a_size_that_grows_by_one_of_the_two_or_by_none_is_not(before, after):
    assert said(SIZE, parts(before, before, before, after))["word"] == ""


@pytest.mark.parametrize(("name", "by"), [(NUMBER, 1), (SIZE, 100)])
def test_the_warm_up_is_left_out(name, by):
    """What grows in it alone does not grow, and what was larger in it hides nothing."""
    assert said(name, parts(by, 5 * by, 5 * by, 5 * by))["word"] == ""
    assert said(name, parts(9 * by, 5 * by, 5 * by, 6 * by))["word"] == "GROWS"


@pytest.mark.parametrize(("name", "by"), [(NUMBER, 1), (SIZE, 100)])
def test_what_came_and_went_between_is_no_growth(name, by):
    assert said(name, parts(5 * by, 5 * by, 9 * by, 5 * by))["word"] == ""


@pytest.mark.parametrize(("name", "word"), [(NUMBER, "GROWS"), (SIZE, "")])
def test_one_sample_counts_of_a_number_and_not_of_a_size(name, word):
    assert said(name, [*parts(100, 100, 100, 100)[:-1], 200])["word"] == word


@pytest.mark.parametrize("count", [2, 4])
def test_of_few_samples_the_first_and_the_last_are_compared(count):
    assert said(NUMBER, [5] * (count - 1) + [6])["word"] == "GROWS"


def test_every_number_has_a_row_of_its_own_and_the_time_has_none():
    samples = [{"seconds": x, NUMBER: x, SIZE: 50, "children": 0} for x in (1.0, 2.0, 3.0)]
    words = [(row["name"], row["word"]) for row in verdict(samples)]
    assert words == [(SIZE, ""), ("children", ""), (NUMBER, "GROWS")]
