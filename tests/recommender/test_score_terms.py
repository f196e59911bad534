"""Terms of the score: chosen by validation, stored with the model, in every list."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import load_backend
from mindref.cli.reports import terms_lines
from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.splits import EvaluationCases
from mindref.errors import RunError
from mindref.models.item_knn import interaction_weights
from mindref.models.parameters import NO_TERMS, ScoreTerms
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Interests, compute_interests, item_matrix
from mindref.recall import ExactIndex
from mindref.recall.retrieval import EVERY_ITEM, ListSearch
from mindref.recommender import Recommender, score_terms
from mindref.recommender.evaluate_run import EvaluationSet, Validator
from mindref.recommender.export import export_run, export_vectors
from mindref.recommender.serving.top_n_lists import VectorSearch
from mindref.recommender.training.plan import plan_training
from mindref.recommender.training.trainer import Trainer, resume_run
from mindref.run import array_files, checkpoint
from mindref.run.source import LoadedLog
from tests.runs import stop_after, trainer

TEMPERATURE = 0.5


def search(rng, histories, items=30, n=5):
    """Return the search of random vectors for histories of item ids; item 0 is not servable."""
    cases, is_servable = len(histories), np.arange(items) > 0
    vectors, active = rng.normal(size=(cases, 1, 4)), np.ones((cases, 1), np.bool_)
    index = ExactIndex(rng.normal(size=(items - 1, 4)))
    made = ListSearch(index, vectors, active, n, EVERY_ITEM, "max")
    servable = ServableItems(np.flatnonzero(is_servable), is_servable)
    interests = Interests(vectors, active, None, None, None)
    return VectorSearch(made, interests, Ragged.of(histories - 1), servable)


def gain(scores, targets, n):
    """Return the sum of 1 / log2(1 + rank) of the distinct targets, by scores (C, N)."""
    total = 0.0
    for row, wanted in zip(scores, targets, strict=True):
        order = np.argsort(-row, kind="stable")[:n].tolist()
        total += sum(1 / np.log2(2 + order.index(t)) for t in set(wanted) if t in order)
    return total


@pytest.mark.rules("mind_plus-R26")
@pytest.mark.parametrize("repeat", [0.0, 0.3, 1.0])
def test_the_term_with_the_largest_gain_is_chosen(repeat):
    for seed in range(8):
        rng = np.random.default_rng(seed)
        histories = rng.integers(1, 30, (12, 9))
        rows, prepared = Ragged.of(histories), search(rng, histories)
        targets = [
            rng.choice(h if rng.random() < repeat else np.arange(30), 2).tolist() for h in histories
        ]
        products = np.full((12, 30), -np.inf)
        products[:, 1:] = prepared.interests.vectors[:, 0] @ prepared.search.index.items.T
        scores = {NO_TERMS: products}
        for decay, weight in itertools.product(score_terms.DECAYS, score_terms.WEIGHTS):
            counts = interaction_weights(rows, 30, decay=decay, sum_repeats=True).toarray()
            term = ScoreTerms(weight * TEMPERATURE, decay)
            scores[term] = products + term.own_counts * counts
        lists, chosen = score_terms.choose_own_counts(prepared, Ragged.of(targets), TEMPERATURE)
        gains = {term: gain(x, targets, 5) for term, x in scores.items()}
        first = next(x for x in gains if gains[x] == pytest.approx(max(gains.values())))
        assert chosen == first, "of equal gains, the first"
        expected = np.argsort(-scores[chosen], axis=1, kind="stable")[:, :5]
        np.testing.assert_array_equal(lists.items, expected)
        assert repeat < 1 or chosen.own_counts > 0


def repeating_log():
    """Return users who come back to their three items, the last one most often."""
    rng = np.random.default_rng(0)
    rows = [("once", "untrained", 0)]  # item 0
    for user in range(60):
        own = rng.choice(40, 3, replace=False)
        rows += [(f"u{user}", f"i{own[x]}", t) for t, x in enumerate(rng.integers(0, 3, 14))]
    users, items, times = zip(*rows, strict=True)
    return {"user": list(users), "item": list(items), "time": list(times)}


SETTINGS = {"steps": 40, "batch": 32, "width": 8, "window": 4, "evaluate_every": 20}


@pytest.fixture(scope="module")
def fitted():
    return Recommender(**SETTINGS).fit(repeating_log(), exclude_seen=False)


@pytest.mark.rules("mind_plus-R25")
def test_a_saved_model_has_its_term_and_gives_the_same_lists(fitted, tmp_path):
    report = fitted.report
    assert report["score_terms"]["own_counts"] > 0
    fitted.save(tmp_path / "run")
    stored = checkpoint.load_best(tmp_path / "run")
    assert stored.terms._asdict() == report["score_terms"]
    loaded = Recommender.load(tmp_path / "run")
    history = ["i1", "i2", "i2", "i2", "i3"]
    before, after = (x.recommend(history, n=5) for x in (fitted, loaded))
    assert [x.item for x in before] == [x.item for x in after]
    assert before[0].item == "i2"
    hidden = loaded.recommend(history, n=5, exclude_seen=True)
    assert not {x.item for x in hidden} & set(history)


@pytest.mark.rules("mind_plus-R25")
def test_the_score_is_that_of_the_vectors_and_the_weighted_count_of_the_whole_history(fitted):
    history = ["i1", "i2", "i1", "i3", "i4", "i5"]
    weight, decay, _ = fitted.report["score_terms"].values()
    plain = {x.item: x.score for x in fitted.recommend(history, n=40, exclude_seen=True)}
    ranked = {x.item: x.score for x in fitted.recommend(history, n=40)}
    assert {i: ranked[i] for i in plain} == pytest.approx(plain)
    model, ids = fitted.served.model, fitted.served.items.ids
    rows = Ragged.of([[ids.index(item) for item in history]])
    vectors = compute_interests(model, rows, np.zeros((1, 0), np.int64)).vectors[0]
    for item, count in (("i1", decay**3 + decay**5), ("i2", decay**4)):
        product = (vectors @ item_matrix(model)[ids.index(item)]).max()
        assert ranked[item] == pytest.approx(product + weight * count, rel=1e-5)


def evaluation_set(log):
    """Return the last two interactions of forty users as targets."""
    users = np.arange(1, 41)
    rows = log.interactions.take(users)
    every, cut, end = np.arange(40), np.full(40, 12), np.full(40, 14)
    cases = EvaluationCases(users, rows.slice(every, 0 * cut, cut), rows.slice(every, cut, end))
    counts = np.bincount(log.interactions.values, minlength=41)
    return EvaluationSet(
        cases, np.zeros((40, 0), np.int64), counts, log.interactions, exclude_seen=False
    )


@pytest.mark.rules("mind_plus-R26")
def test_the_metric_is_that_of_lists_with_the_chosen_term(fitted):
    served = fitted.served
    model = served.model._replace(terms=NO_TERMS, item_lengths=None)
    evaluated = evaluation_set(served.log)
    backend, settings = load_backend("numpy"), model.config.to_dict()

    def validated(term, changes):
        config = Config.of("mind", changes, settings)
        validator = Validator(model._replace(config=config, terms=term), evaluated, backend)
        return validator(model.params), validator.terms

    for metric in ("hit_rate@1", "ndcg@3"):
        value, term = validated(NO_TERMS, {"metric": metric})
        given = {"metric": metric, "own_counts_term": False}
        assert value == pytest.approx(validated(term, given)[0])
        assert value > validated(NO_TERMS, given)[0]


@pytest.mark.rules("mind_plus-R25")
def test_the_model_has_the_term_of_the_best_validation(tmp_path):
    terms = [ScoreTerms(weight, 1.0) for weight in (1.0, 2.0, 3.0)]
    made, values = trainer(tmp_path / "run", backend="numpy"), [0.1, 0.3, 0.2]
    made.validate = lambda params: values[len(made.validations)]
    made.validated_terms = lambda: terms[len(made.validations) - 1]
    made.train()
    assert [x.value for x in made.validations] == values
    assert made.model().terms == checkpoint.load_best(made.run).terms == terms[1]


@pytest.mark.rules("model-R53", "model-R55")
@pytest.mark.parametrize("source", ["steps_of", "start_from"])
def test_a_training_on_everything_has_the_term_of_the_earlier_run(fitted, tmp_path, source):
    fitted.save(tmp_path / "run")
    set_terms(tmp_path / "run", [2.0, 0.9, 0.04])
    terms, log = ScoreTerms(2.0, 0.9, 0.04), LoadedLog(fitted.served.log)
    changes = {} if source == "steps_of" else {"steps": 40}

    def plan(settings=None, **given):
        options = {"protocol": "none", "exclude_seen": None, source: tmp_path / "run"} | given
        return plan_training(None, changes | (settings or {}), None, {}, **options)

    made = Trainer(replace(plan(), run=tmp_path / "new"), log)
    made.create()
    made.train(stop_after(20))
    resumed = resume_run(tmp_path / "new").train()
    assert checkpoint.load_best(tmp_path / "new").terms == resumed.terms == terms
    assert made.warnings == []
    assert resumed.evaluate()["score_terms"] == terms._asdict()
    assert Trainer(plan(exclude_seen=True), log).terms == ScoreTerms(popularity=0.04)
    without = {"own_counts": ScoreTerms(popularity=0.04), "popularity": ScoreTerms(2.0, 0.9)}
    for name, value in without.items():
        assert Trainer(plan({f"{name}_term": False}), log).terms == value


def test_without_validation_and_an_earlier_run_a_warning_says_that_no_term_is_chosen():
    made = Recommender(**SETTINGS).fit(repeating_log(), split="none", exclude_seen=False)
    assert made.served.model.terms == NO_TERMS
    expected = "no term of the user's own counts and no term of popularity: without validation"
    assert expected in made.report["warnings"][0]


@pytest.mark.rules("serving-R4")
@pytest.mark.parametrize("export", [export_vectors, export_run])
def test_exported_vectors_come_with_the_numbers_of_the_term_and_a_warning(fitted, tmp_path, export):
    fitted.save(tmp_path / "run")
    facts = export(tmp_path / "run", tmp_path / "vectors")
    assert facts["score"]["terms"] == fitted.report["score_terms"]
    assert facts["warnings"][0].startswith("products of the vectors lack the term of own counts")


@pytest.mark.rules("recall-R58")
def test_a_later_report_names_the_term(fitted):
    assert fitted.evaluate()["score_terms"] == fitted.report["score_terms"]


def set_terms(run, numbers):
    """Replace the terms of a run."""
    arrays, words = array_files.load_arrays(run / array_files.MODEL)
    arrays[checkpoint.TERMS] = np.array(numbers, np.float64)
    array_files.save_arrays(run / array_files.MODEL, arrays, words)


@pytest.mark.parametrize(
    "numbers", [[], [1, 1], [-1, 1, 0], [1, 1.5, 0], [np.nan, 1, 0], [1, 0, 0], [1, 1, 2]]
)
def test_a_damaged_term_is_an_error(fitted, tmp_path, numbers):
    fitted.save(tmp_path / "run")
    set_terms(tmp_path / "run", numbers)
    with pytest.raises(RunError, match="score_terms"):
        checkpoint.load_best(tmp_path / "run")


def test_a_training_killed_before_the_model_was_written_has_the_term(tmp_path):
    run = tmp_path / "run"
    made = Recommender(**SETTINGS | {"evaluate_every": 40}).fit(
        repeating_log(), exclude_seen=False, run=run
    )
    before = (run / array_files.MODEL).read_bytes()
    (run / array_files.MODEL).unlink()
    resumed = resume_run(run)
    assert resumed.terms._asdict() == made.report["score_terms"]
    assert (run / array_files.MODEL).read_bytes() == before
    assert resume_run(run).terms == resumed.terms


def hits(*ranks, n=3):
    """Return whether each item of a list of length n is a target, for lists with a hit at ranks."""
    return np.arange(n) == np.array(ranks)[:, None]


@pytest.mark.rules("mind_plus-R28")
def test_the_exponent_is_that_of_the_largest_certain_gain():
    """The gain of a case is .37 for rank 1 instead of 2, and -.13 for rank 3."""
    without, small, large = (hits(*ranks * 20) for ranks in ([1] * 10, [0] * 5 + [2] * 5, [0] * 10))
    uncertain = hits(*[0] * 55, *[2] * 145)  # .3 standard errors
    worse = hits(*[2] * 200)

    def choose(*rows, measure=lambda hit: 1.0):
        lists = iter([without, *rows, *[without] * 6])
        return score_terms.choose_popularity(lambda x: next(lists), measure)

    assert choose(small, large, worse) == 0.02
    assert choose(small, small, small) == 0.01, "of equal gains, the first"
    assert choose(without, uncertain, small) == 0.04, "an uncertain gain ends no search"
    assert choose(large, worse, large) == choose(large, small) == 0.01
    assert choose(uncertain) == choose(worse, large) == choose() == 0.0, "a loss ends the search"
    assert choose(small, large, worse, measure=lambda hit: 0.5 - (hit is large)) == 0.01
    few = hits(*[0] * 99)
    assert score_terms.choose_popularity(lambda x: few if x else few[:, ::-1], len) == 0.0


@pytest.mark.rules("mind_plus-R28")
def test_hits_are_those_of_the_scaled_vectors_with_own_counts(fitted, monkeypatch):
    """Of each exponent, for the metric of the settings."""
    model = fitted.served.model._replace(terms=NO_TERMS, item_lengths=None)
    evaluated = evaluation_set(fitted.served.log)
    found = {}

    def choose(find_hits, measure):
        found.update({x: find_hits(x) for x in (0.0, 0.5)})
        found["measured"] = measure(found[0.5])
        return 0.25

    monkeypatch.setattr(score_terms, "choose_popularity", choose)
    settings = {**model.config.to_dict(), "metric": "hit_rate@3"}
    model = model._replace(config=Config.of("mind", settings))
    validator, terms = Validator(model, evaluated, load_backend("numpy")), ScoreTerms(0.3, 0.9)
    assert validator.choose_popularity(model.params, terms) == ScoreTerms(0.3, 0.9, 0.25)
    histories, profiles = evaluated.cases.histories, evaluated.profiles
    vectors = compute_interests(model, histories, profiles).vectors
    products = np.einsum("ckd,nd->ckn", vectors, item_matrix(model)).max(axis=1)
    counts = interaction_weights(histories, 41, decay=0.9, sum_repeats=True).toarray()
    logs = np.log(np.maximum(evaluated.counts, 1))
    for exponent in (0.0, 0.5):
        scores = products * np.exp(exponent * (logs - logs.mean())) + 0.3 * counts
        scores[:, 0] = -np.inf  # not servable
        best = np.argsort(-scores, axis=1, kind="stable")[:, :3]
        is_target = [np.isin(row, evaluated.cases.targets.row(c)) for c, row in enumerate(best)]
        np.testing.assert_array_equal(found[exponent], is_target)
    assert found["measured"] == pytest.approx(found[0.5].any(axis=1).mean())


@pytest.mark.rules("mind_plus-R27")
def test_item_vectors_have_lengths_by_popularity_in_lists_and_exports(monkeypatch, tmp_path):
    monkeypatch.setattr(score_terms, "choose_popularity", lambda find_hits, measure: 0.5)
    run = tmp_path / "run"
    made = Recommender(**SETTINGS).fit(repeating_log(), exclude_seen=True, run=run)
    assert made.report["score_terms"] == {"own_counts": 0.0, "decay": 1.0, "popularity": 0.5}
    counts = np.maximum(made.served.items.counts, 1)
    lengths = np.sqrt(counts / np.exp(np.log(counts).mean()))
    lengths[0] = 0  # an untrained item, whose vector is zero
    model, loaded = made.served.model, Recommender.load(run).served.model
    for vectors in (item_matrix(model), item_matrix(loaded)):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), lengths, rtol=1e-5)
    assert not export_vectors(run, tmp_path / "vectors")["score"]["normalised"]
    history, plain = ["i1", "i2"], model._replace(item_lengths=None)
    best = made.recommend(history, n=1)[0]
    rows = Ragged.of([[made.served.items.ids.index(item) for item in history]])
    interests = compute_interests(model, rows, np.zeros((1, 0), np.int64)).vectors[0]
    index = made.served.items.ids.index(best.item)
    product = (interests @ item_matrix(plain)[index]).max() * lengths[index]
    assert best.score == pytest.approx(product, rel=1e-5)


@pytest.mark.rules("mind_plus-R28")
def test_the_exponent_is_chosen_once_at_the_end_also_of_a_resumed_training(monkeypatch, tmp_path):
    monkeypatch.setattr(score_terms, "choose_popularity", lambda find_hits, measure: 0.5)
    changes = {"model": "mind_plus", "popularity_term": True}
    run = trainer(tmp_path / "run", **changes).train().run
    stopped = trainer(tmp_path / "stopped", **changes).train(stop_after(5)).run
    assert checkpoint.load_best(stopped).terms == NO_TERMS
    resume_run(stopped).train()
    before, after = (array_files.load_arrays(x / array_files.MODEL)[0] for x in (run, stopped))
    assert before[checkpoint.TERMS].tolist() == [0, 1, 0.5]
    for name, x in before.items():
        np.testing.assert_array_equal(after[name], x)


@pytest.mark.rules("mind_plus-R28")
def test_the_exponent_is_chosen_for_the_best_parameters_also_if_a_callback_ends_the_training(
    monkeypatch, tmp_path
):
    chosen_for = []

    def choose(self, params, terms):
        chosen_for.append(params)
        return terms._replace(popularity=0.5)

    monkeypatch.setattr(Validator, "choose_popularity", choose)
    made = trainer(tmp_path / "run", model="mind_plus", popularity_term=True)
    values = [0.1, 0.3, 0.2]
    made.validate = lambda params: values[len(made.validations)]
    made.train()
    assert [x.step for x in made.validations] == [3, 6, 7]
    assert made.state.best_step == 6
    assert chosen_for == [made.best]
    ending = SimpleNamespace(on_validation=lambda validation: True)
    ended = Recommender(**SETTINGS).fit(repeating_log(), callbacks=[ending])
    assert ended.report["score_terms"]["popularity"] == 0.5
    assert ended.report["steps"] == 20


def test_a_report_has_a_line_for_each_term():
    assert terms_lines({}) == []
    assert terms_lines(ScoreTerms(0.1234, 0.95, 0.04)._asdict()) == [
        "scores include 0.123 times the user's own counts, with decay 0.95",
        "item vectors are multiplied by their relative popularity to the power of 0.04",
    ]
