"""The term of own counts: chosen by validation, stored with the model, in every list."""

import itertools

import numpy as np
import pytest

from mindref.data.log import Ragged
from mindref.errors import RunError
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import OwnCountsTerm
from mindref.models.serving import compute_interests, item_matrix
from mindref.recall import ExactIndex
from mindref.recall.retrieval import EVERY_ITEM, ListSearch
from mindref.recommender import Recommender, own_counts_term
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint

TEMPERATURE = 0.5


def search(rng, cases=12, items=30, n=5):
    return ListSearch(
        index=ExactIndex(rng.normal(size=(items, 4))),
        interests=rng.normal(size=(cases, 1, 4)),
        active=np.ones((cases, 1), np.bool_),
        n=n,
        item_filter=EVERY_ITEM,
        score="max",
    )


def gain(scores, targets, n):
    """Return the sum of 1 / log2(1 + rank) of the targets, from the scores of all items."""
    total = 0.0
    for row, wanted in zip(scores, targets, strict=True):
        order = np.argsort(-row, kind="stable")[:n].tolist()
        total += sum(1 / np.log2(2 + order.index(t)) for t in wanted if t in order)
    return total


@pytest.mark.rules("mind_plus-R26")
@pytest.mark.parametrize("repeat", [0.0, 0.3, 1.0])
def test_the_term_with_the_largest_gain_is_chosen(repeat):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        searched = search(rng)
        histories = [rng.integers(0, 30, 9).tolist() for _ in range(12)]
        targets = [
            np.unique(rng.choice(h if rng.random() < repeat else np.arange(30), 2)).tolist()
            for h in histories
        ]
        rows = Ragged.of(histories)
        products = searched.interests[:, 0] @ searched.index.items.T
        gains = {None: gain(products, targets, 5)}
        for decay, weight in itertools.product(own_counts_term.DECAYS, own_counts_term.WEIGHTS):
            term = OwnCountsTerm(weight * TEMPERATURE, decay)
            counts = interaction_weights(rows, 30, decay=decay, sum_repeats=True).toarray()
            gains[term] = gain(products + term.weight * counts, targets, 5)
        chosen = own_counts_term.choose_term(
            searched, searched.top_n(), rows, Ragged.of(targets), TEMPERATURE
        )
        assert gains[chosen] == pytest.approx(max(gains.values()))
        assert repeat < 1 or chosen is not None


def test_of_equal_scores_the_lower_id_is_first():
    items, scores = np.array([[4, 2, 9, -1]]), np.array([[1.0, 1.0, 1.0, -np.inf]])
    for target, rank in ((2, 1), (4, 2), (9, 3)):
        gained = own_counts_term.discounted_gain(items, scores, Ragged.of([[target]]), 3)
        assert gained == pytest.approx(1 / np.log2(1 + rank))


def repeating_log():
    """Return users who come back to their three items, the last one most often."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(60):
        own = rng.choice(40, 3, replace=False)
        rows += [(f"u{user}", f"i{own[x]}", t) for t, x in enumerate(rng.integers(0, 3, 14))]
    users, items, times = zip(*rows, strict=True)
    return {"user": list(users), "item": list(items), "time": list(times)}


SETTINGS = {"steps": 40, "batch": 32, "width": 8, "evaluate_every": 20}


@pytest.fixture(scope="module")
def fitted():
    return Recommender(**SETTINGS).fit(repeating_log(), exclude_seen=False)


@pytest.mark.rules("mind_plus-R25")
def test_a_saved_model_has_its_term_and_gives_the_same_lists(fitted, tmp_path):
    report = fitted.report
    assert report["own_counts"]["weight"] > 0
    fitted.save(tmp_path / "run")
    stored = checkpoint.load_best(tmp_path / "run")
    assert stored.own_counts._asdict() == report["own_counts"]
    loaded = Recommender.load(tmp_path / "run")
    history = ["i1", "i2", "i2", "i2", "i3"]
    before, after = (x.recommend(history, n=5) for x in (fitted, loaded))
    assert [x.item for x in before] == [x.item for x in after]
    assert before[0].item == "i2"
    hidden = loaded.recommend(history, n=5, exclude_seen=True)
    assert not {x.item for x in hidden} & set(history)


@pytest.mark.rules("mind_plus-R25")
def test_the_score_is_that_of_the_vectors_and_the_weighted_count(fitted):
    history, (weight, decay) = ["i1", "i2", "i1"], fitted.report["own_counts"].values()
    plain = {x.item: x.score for x in fitted.recommend(history, n=40, exclude_seen=True)}
    ranked = {x.item: x.score for x in fitted.recommend(history, n=40)}
    assert {i: ranked[i] for i in plain} == pytest.approx(plain)
    model, ids = fitted.served.model, fitted.served.items.ids
    rows = Ragged.of([[ids.index(item) for item in history]])
    vectors = compute_interests(model, rows, np.zeros((1, 0), np.int64)).vectors[0]
    for item, count in (("i1", 1 + decay**2), ("i2", decay)):
        product = (vectors @ item_matrix(model)[ids.index(item)]).max()
        assert ranked[item] == pytest.approx(product + weight * count, rel=1e-5)


@pytest.mark.parametrize("numbers", [[0, 1], [1, 1.5], [np.nan, 1], [1], [1, 0]])
def test_a_damaged_term_is_an_error(fitted, tmp_path, numbers):
    fitted.save(tmp_path / "run")
    path = tmp_path / "run" / array_files.MODEL
    arrays, words = array_files.load_arrays(path)
    arrays[checkpoint.OWN_COUNTS] = np.array(numbers, np.float64)
    array_files.save_arrays(path, arrays, words)
    with pytest.raises(RunError, match="own counts: a weight above 0"):
        checkpoint.load_best(tmp_path / "run")


def test_a_training_killed_before_the_model_was_written_has_the_term(tmp_path):
    run = tmp_path / "run"
    made = Recommender(**SETTINGS | {"evaluate_every": 40}).fit(
        repeating_log(), exclude_seen=False, run=run
    )
    before = (run / array_files.MODEL).read_bytes()
    (run / array_files.MODEL).unlink()
    resumed = resume_run(run)
    assert resumed.own_counts._asdict() == made.report["own_counts"]
    assert (run / array_files.MODEL).read_bytes() == before
    assert resume_run(run).own_counts == resumed.own_counts
