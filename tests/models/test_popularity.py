"""The families that know no history: popularity and chance."""

import hashlib

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.data.examples import count_items
from mindref.data.log import Ragged
from mindref.models import popularity, random_scores
from mindref.models.parameters import Sizes
from mindref.recall.exact import search_top_n
from mindref.recommender.baselines import popularity_top_n
from tests import spec_pages

CONFIG = Config.of("mind")


@pytest.mark.rules("baselines-R7")
@pytest.mark.parametrize("seed", range(4))
def test_popularity_ranks_as_the_baseline_of_every_result(seed):
    rng = np.random.default_rng(seed)
    sequences = Ragged.of([rng.integers(0, 7, n) for n in rng.integers(0, 6, 5)])
    arrays = popularity.fit_popularity(sequences, Sizes(9, 9, 0, 0), CONFIG)
    assert len(set(arrays["counts"].tolist())) < 9, "equal counts"
    exclude = Ragged.of([[0, 1], []])
    vectors, active = popularity.constant_interests(arrays, exclude, CONFIG)
    given_ = {"n": 9, "exclude": exclude}
    ranked = search_top_n(vectors, active, popularity.count_vectors(arrays), **given_)
    expected = popularity_top_n(count_items(sequences, 9), 2, **given_)
    for got, want in zip(ranked, expected, strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.rules("baselines-R7")
def test_the_counts_of_the_worked_example_include_repeated_interactions():
    example = spec_pages.examples("baselines")[0]
    sizes = Sizes(example["items"], example["items"], 0, 0)
    arrays = popularity.fit_popularity(Ragged.of(example["sequences"]), sizes, CONFIG)
    assert arrays["counts"].tolist() == example["counts"]


@pytest.mark.rules("baselines-R8")
def test_scores_of_chance_are_those_of_the_generator_on_the_page():
    seed, history = 7 + (3 << 32), [5, 0, 2]
    arrays = random_scores.fit_random_scores(Ragged.of([[0]]), Sizes(50, 50, 0, 0), CONFIG)
    config = Config.of("mind", {"seed": seed})
    scores = random_scores.draw_random_scores(arrays, Ragged.of([history]), config)
    digest = hashlib.sha256(b"".join(item.to_bytes(8, "little") for item in history)).digest()
    key = [seed % 2**32, 5, int.from_bytes(digest[:4], "little"), seed // 2**32]
    assert scores[0].tolist() == np.random.default_rng(key).random(50).tolist()


@pytest.mark.rules("baselines-R2", "baselines-R8")
def test_random_scores_depend_on_seed_and_history_alone():
    arrays = random_scores.fit_random_scores(Ragged.of([[0]]), Sizes(50, 50, 0, 0), CONFIG)
    histories = Ragged.of([[1, 2], [2, 1], [], [1, 2]])
    together = random_scores.draw_random_scores(arrays, histories, CONFIG)
    for row, scores in enumerate(together):
        alone = random_scores.draw_random_scores(arrays, Ragged.of([histories.row(row)]), CONFIG)
        assert alone.tobytes() == scores.tobytes()
    assert len({row.tobytes() for row in together}) == 3
    other = random_scores.draw_random_scores(arrays, histories, Config.of("mind", {"seed": 1}))
    assert not (other == together).any()


@pytest.mark.rules("baselines-R8")
def test_chance_is_uniform_over_items_at_every_rank():
    cases, items = 1500, 8
    arrays = random_scores.fit_random_scores(Ragged.of([[0]]), Sizes(items, items, 0, 0), CONFIG)
    histories = Ragged.of([[at] for at in range(cases)])
    order = np.argsort(-random_scores.draw_random_scores(arrays, histories, CONFIG), axis=1)
    share = np.array([np.bincount(rank, minlength=items) for rank in order.T]) / cases
    error = np.sqrt(1 / items * (1 - 1 / items) / cases)
    np.testing.assert_allclose(share, 1 / items, rtol=0, atol=STANDARD_ERRORS * error)
