import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.data.examples import TrainingExamples
from mindref.data.log import Ragged
from mindref.data.negatives import KINDS, draw_probabilities, make_sampler
from mindref.errors import ConfigError, DataError
from tests import spec_pages
from tests.data.logs import agrees

COUNTS = np.array([3, 50, 0, 7, 50, 1, 0, 120])
TARGETS = np.array([1, 3, 1, 7])
DRAWN = ("uniform", "log_uniform", "unigram")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.rules("data-R54")
@pytest.mark.parametrize("kind", DRAWN)
def test_draws_follow_the_distribution(kind):
    sampler = make_sampler(kind, COUNTS, size=40_000)
    counts = np.bincount(sampler.draw(rng(), TARGETS).ids)
    assert len(counts) == len(COUNTS), "something else than an item was drawn"
    assert agrees(counts, draw_probabilities(kind, COUNTS))
    # the bound is sharp enough to tell the kinds apart
    assert not any(agrees(counts, draw_probabilities(k, COUNTS)) for k in DRAWN if k != kind)


@pytest.mark.rules("data-R54")
def test_a_set_may_be_larger_than_the_catalogue_and_differs_per_draw():
    sampler = make_sampler("uniform", COUNTS, size=100)
    generator = rng()
    first, second = (sampler.draw(generator, TARGETS).ids for _ in range(2))
    assert first.shape == (100,)
    assert first.tolist() != second.tolist()
    assert first.tolist() == sampler.draw(rng(), TARGETS).ids.tolist()


@pytest.mark.rules("data-R57")
def test_in_batch_negatives_are_the_targets_with_their_target_probabilities():
    cuts = TrainingExamples(Ragged.of([[0, 1, 3, 7], [5, 1, 1]]))
    chance = cuts.target_probability(8)  # of five cuts 1 is the target of three
    sampler = make_sampler("in_batch", COUNTS, size=1, target_probability=chance)
    drawn = sampler.draw(rng(), TARGETS)
    assert drawn.ids.tolist() == TARGETS.tolist()
    expected = np.log(4 * np.array([0.6, 0.2, 0.6, 0.2]))
    np.testing.assert_allclose(drawn.log_expected, expected)
    np.testing.assert_allclose(drawn.target_log_expected, expected)


@pytest.mark.rules("data-R58")
def test_full_is_every_item_once_with_log_expected_count_zero():
    drawn = make_sampler("full", COUNTS, size=1).draw(rng(), TARGETS)
    assert drawn.ids.tolist() == list(range(8))
    assert drawn.log_expected.tolist() == [0.0] * 8
    assert drawn.target_log_expected.tolist() == [0.0] * 4


@pytest.mark.rules("data-R53", "data-R54")
@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=20),
    st.sampled_from(DRAWN),
    st.floats(0, 10),
)
def test_every_item_can_be_drawn_and_no_logarithm_is_infinite(counts, kind, alpha):
    probability = draw_probabilities(kind, np.array(counts), alpha)
    assert (probability > 0).all()
    np.testing.assert_allclose(probability.sum(), 1, rtol=1e-9)
    sampler = make_sampler(kind, np.array(counts), size=50, alpha=alpha)
    drawn = sampler.draw(rng(), np.arange(len(counts)))
    assert drawn.ids.min() >= 0
    assert drawn.ids.max() < len(counts)
    assert np.isfinite(drawn.log_expected).all()
    assert np.isfinite(drawn.target_log_expected).all()


def test_invalid_arguments_are_refused():
    for kind, settings, message in (
        ("popular", {"size": 5}, " or ".join(KINDS)),
        ("in_batch", {"size": 5}, "target_probability"),
        ("uniform", {"size": 0}, "one draw"),
        ("unigram", {"size": 5, "alpha": -1}, "alpha"),
    ):
        with pytest.raises(ConfigError, match=message):
            make_sampler(kind, COUNTS, **settings)
    sampler = make_sampler("in_batch", COUNTS, size=1, target_probability=np.full(8, 0.0))
    with pytest.raises(DataError, match="in_batch"):
        sampler.draw(rng(), TARGETS)


@pytest.mark.rules("data-R51", "data-R52", "data-R53", "data-R55", "data-R56")
@pytest.mark.parametrize("kind", DRAWN)
def test_the_example_of_the_page_for_expected_counts(kind):
    page = next(e for e in spec_pages.examples("data") if e["name"] == "samples")
    counts = np.array(page["counts"])
    sampler = make_sampler(kind, counts, size=page["size"], alpha=page["alpha"])
    drawn, expected = sampler.draw(rng(), np.arange(4)), np.array(page["expected"][kind])
    np.testing.assert_allclose(np.exp(drawn.target_log_expected), expected, atol=1e-6)
    np.testing.assert_allclose(np.exp(drawn.log_expected), expected[drawn.ids], atol=1e-6)
