"""The numbers and claims in the captions of the pictures are those of the drawn data."""

import re

import numpy as np
import pytest

from mindref.ops.routing import count_active_interests
from tests import spec_pages
from tests.pictures import (
    PAGES,
    active_interests,
    label_attention,
    routing_iterations,
)

WORDS = ("one", "two", "three", "four", "five", "six")


def read_caption(picture):
    """Return the paragraph below a picture."""
    text = spec_pages.text(PAGES[picture])
    return re.search(rf"\(pictures/{picture}\.svg\)\n\n(.+)", text)[1]


def numbers_before(words, caption):
    """Return the numbers that precede some words in a caption, as a word."""
    named = re.findall(rf"(\w+) {words}", caption)
    return [WORDS.index(word.lower()) + 1 for word in named if word.lower() in WORDS]


def test_the_iterations_and_interests_of_the_user():
    caption, user = read_caption("routing_iterations"), routing_iterations.route_user()
    iterations, _, interests = user.couplings.shape
    assert numbers_before("iterations", caption) == [iterations]
    assert numbers_before("active interests", caption) == [interests]
    assert set(user.couplings[-1].argmax(axis=1)) == set(range(interests)), "each has a film"


def test_the_weights_become_more_separated_in_each_iteration():
    largest = routing_iterations.route_user().couplings.max(axis=2).mean(axis=1)
    assert (np.diff(largest) > 0).all()


@pytest.mark.parametrize("interests", [active_interests.SMALL, active_interests.LARGE])
def test_one_more_interest_each_time_the_behaviours_double(interests):
    caption = read_caption("active_interests")
    (start,) = numbers_before("behaviours on", caption)
    (growth,) = numbers_before("each time n doubles", caption)
    numbers = np.arange(start, active_interests.END)
    counts, doubled = (count_active_interests(n, interests) for n in (numbers, 2 * numbers))
    np.testing.assert_array_equal(doubled, np.minimum(counts + growth, interests))


def test_the_largest_interests_of_the_step_functions_are_in_the_description():
    text = spec_pages.text("routing")
    (description,) = re.findall(r"!\[(.+)\]\(pictures/active_interests", text)
    stated = {int(number) for number in re.findall(r"K = (\d)", description)}
    assert stated == {active_interests.SMALL, active_interests.LARGE}


def test_a_large_finite_power_gives_nearly_equal_weights_and_infinity_does_not():
    caption = read_caption("label_attention")
    assert "At p = infinity, the largest score has all the weight" in caption
    assert "a large finite p gives nearly equal weights" in caption
    scores = label_attention.CASES["all in (−1, 1)"]
    weights = label_attention.attention_weights(scores, label_attention.END)
    np.testing.assert_allclose(weights, 1 / len(scores), atol=0.01)
    limit = label_attention.attention_weights(scores, 1e-9)
    assert np.abs(limit - 1 / len(scores)).max() > 0.1, "the jump at p = 0"
    assert label_attention.attention_weights(scores, np.inf).max() == 1
