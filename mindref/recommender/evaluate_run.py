"""Evaluate a model: validation metric, report on the test cases, and a run on any log."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.arguments import Natural, check_arguments, is_integer
from mindref.backend import Backend
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.quoting import join_names
from mindref.data.rng import make_rng
from mindref.data.splits import EvaluationCases, make_split
from mindref.errors import ConfigError, DataError, say, value_text
from mindref.evaluation import LIST_LENGTHS, LONGEST, SEEN_TARGETS, metrics
from mindref.evaluation.evaluate import (
    EvaluationReport,
    evaluate_top_n,
    metrics_by_tie,
    tied_targets,
    write_predictions,
)
from mindref.evaluation.interest_statistics import interest_recovery, interest_statistics
from mindref.models import features
from mindref.models.family import family_of
from mindref.models.parameters import NO_TERMS, ScoreTerms
from mindref.models.registry import describe_model
from mindref.models.servable_items import ServableItems, count_untrained
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recall.retrieval import ItemFilter
from mindref.recall.top_n import TopN
from mindref.recommender.baselines import baseline_warnings, fit_baseline, popularity_top_n
from mindref.recommender.held_out import check_evaluated, find_trained_targets, list_trainings
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import recommend_batch, search_vectors
from mindref.recommender.training.memory_estimate import check_list_memory
from mindref.run.source import LoadedLog, Source, file_options, translate_items
from mindref.run.training_data import sample_cases
from mindref.shapes import Bools

NOT_SAMPLED = "cases that are not in the sample"
CASES = ("validation", "test")


@dataclass(frozen=True)
class EvaluationRequest:
    """Which cases of a log are evaluated, and how; None: as in the training of the model.

    Raises ConfigError for other cases and list lengths.
    """

    protocol: str | None = None  # split of the log
    which: str = "test"  # or validation
    exclude_seen: bool | None = None  # lists leave out the items of the history
    list_lengths: Sequence[int] = LIST_LENGTHS
    max_cases: int | None = None  # at most this number, drawn with the seed; 0: all

    def __post_init__(self) -> None:
        lengths = list(self.list_lengths)
        if not lengths or not all(is_integer(n) and 1 <= n <= LONGEST for n in lengths):
            got = value_text(self.list_lengths, quoted=True)
            raise ConfigError(say("list_lengths", f"lengths of lists from 1 to {LONGEST}", got))
        object.__setattr__(self, "list_lengths", [int(n) for n in lengths])
        if self.which not in CASES:
            raise ConfigError(say("which", " or ".join(CASES), repr(self.which)))


class EvaluationSet(NamedTuple):
    """Evaluation cases, with the inputs of recommendation and baselines."""

    cases: EvaluationCases
    profiles: Ints  # (C, G) rows of the profile table
    counts: Ints  # (N,) of the training sequences, for popularity
    train: Ragged  # training sequences, for item_knn
    exclude_seen: bool = True
    tied: Bools | None = None  # (C,) targets with the same time as the last behaviour

    @property
    def hidden(self) -> Ragged | None:
        """Items that must not be recommended, per case."""
        return self.cases.histories if self.exclude_seen else None


def recommend_cases(
    model: Model, evaluation_set: EvaluationSet, n: int, backend: Backend | None = None
) -> tuple[TopN, Interests | None]:
    """Return the top-n items of each case, and the interests."""
    return recommend_batch(
        model,
        evaluation_set.cases.histories,
        evaluation_set.profiles,
        n=n,
        item_filter=ItemFilter(exclude=evaluation_set.hidden),
        backend=backend,
    )


def parse_metric(name: str) -> tuple[str, int]:
    """Return metric and N of `metric@N`. Raises ConfigError for other text."""
    kind, _, length_text = name.partition("@")
    n = int(length_text) if length_text.isdecimal() and len(length_text) < 10 else 0
    if kind not in metrics.METRICS or not 1 <= n <= LONGEST:
        allowed = " or ".join(f"{metric}@N" for metric in metrics.METRICS)
        expected = f"{allowed} with N from 1 to {LONGEST}"
        raise ConfigError(say("metric", expected, repr(name), "for example hit_rate@50"))
    return kind, n


class Validator:
    """The validation metric of parameters, computed on the cases of `evaluation_set`."""

    def __init__(self, model: Model, evaluation_set: EvaluationSet, backend: Backend) -> None:
        self.model, self.evaluation_set, self.backend = model, evaluation_set, backend
        self.kind, self.n = parse_metric(model.config.metric)
        self.terms = NO_TERMS  # that the last call chose

    def __call__(self, params: Any) -> float:
        """Return the metric; with `own_counts_term`, that of lists with the chosen term."""
        model, cases = self.model._replace(params=params), self.evaluation_set.cases
        targets, profiles = cases.targets, self.evaluation_set.profiles
        if model.config.own_counts_term and not self.evaluation_set.exclude_seen:
            from mindref.recommender.score_terms import choose_own_counts

            vector_search = search_vectors(
                model, cases.histories, profiles, n=self.n, backend=self.backend
            )
            ranked, self.terms = choose_own_counts(vector_search, targets, model.config.temperature)
        else:
            ranked, _ = recommend_cases(model, self.evaluation_set, self.n, self.backend)
        return self.measure(metrics.hit_mask(ranked.items, targets))

    def measure(self, hit: Bools) -> float:
        """Return the metric of lists; hit (C, n): whether each of their items is a target."""
        relevant = metrics.count_distinct(self.evaluation_set.cases.targets)
        return float(metrics.METRICS[self.kind](hit, relevant, self.n).mean())

    def choose_popularity(self, params: Any, terms: ScoreTerms) -> ScoreTerms:
        """Return the terms with the exponent of popularity for these parameters."""
        from mindref.recommender.score_terms import choose_popularity

        model, counts = self.model._replace(params=params), self.evaluation_set.counts

        def find_hits(popularity: float) -> Bools:
            chosen = model.with_terms(terms._replace(popularity=popularity), counts)
            ranked, _ = recommend_cases(chosen, self.evaluation_set, self.n, self.backend)
            return metrics.hit_mask(ranked.items, self.evaluation_set.cases.targets)

        return terms._replace(popularity=choose_popularity(find_hits, self.measure))


def evaluate_lists(
    model: Model,
    evaluation_set: EvaluationSet,
    backend: Backend | None = None,
    list_lengths: Sequence[int] = LIST_LENGTHS,
) -> tuple[dict[str, EvaluationReport], TopN]:
    """Return the reports of the model and of the baselines, and the lists of the model."""
    n, cases, seed = max(list_lengths), evaluation_set.cases, model.config.seed
    ranked, _ = recommend_cases(model, evaluation_set, n, backend)
    num_items = len(model.catalogue.rows)
    lists, train = {"model": ranked}, evaluation_set.train
    for name in ("item_knn",) if evaluation_set.exclude_seen else ("item_knn", "own_counts"):
        settings = Config.of("mind", {"model": name})  # baselines-R17 baselines-R24
        baseline = fit_baseline(settings, train, num_items, cases.histories.values)
        lists[name], _ = recommend_cases(baseline, evaluation_set, n)
    servable = ServableItems.of(baseline.catalogue)
    hidden = None if evaluation_set.hidden is None else servable.to_rows(evaluation_set.hidden)
    popular = popularity_top_n(
        evaluation_set.counts[servable.ids], len(cases.users), n=n, exclude=hidden
    )
    lists["popularity"] = popular._replace(items=servable.to_ids(popular.items))
    reports = {}
    for name, top_n in lists.items():
        rng = make_rng(seed, "bootstrap")  # the same samples: they are comparable
        reports[name] = evaluate_top_n(top_n, cases, num_items, list_lengths=list_lengths, rng=rng)
    return reports, ranked


def evaluate_model(
    model: Model,
    evaluation_set: EvaluationSet,
    loaded: LoadedLog,
    which: str = "test",
    list_lengths: Sequence[int] = LIST_LENGTHS,
    backend: Backend | None = None,
) -> tuple[dict[str, Any], TopN]:
    """Return the report of a model on the `which` cases as plain values, and its lists.

    loaded: the log of the cases, with true interests if it is synthetic.
    """
    reports, ranked = evaluate_lists(model, evaluation_set, backend, list_lengths)
    cases, config, family = evaluation_set.cases, model.config, family_of(model.config.model)
    statistics: dict[str, object] | None = None  # None for a family without routing
    if family.routes:
        servable = ServableItems.of(model.catalogue)
        # from the operators: backend-R10
        user_interests = compute_interests(
            model,
            servable.select(cases.histories),
            evaluation_set.profiles,
            backend,
            couplings=True,
        )
        labels = true_interest_labels(loaded, cases, config.window, servable)
        statistics = interest_report(user_interests, labels, make_rng(config.seed, "probe"))
    model_report = reports["model"]
    report = {
        **describe_model(config.model),
        "baseline_warnings": baseline_warnings(reports, config.model, config.metric),
        "metrics": {which: {name: x.metrics for name, x in reports.items()}},
        "cases": model_report.cases,
        "targets": len(cases.targets.values),
        "by_history_length": model_report.by_history_length,
        "by_tie": metrics_by_tie(ranked, cases, evaluation_set.tied, tuple(list_lengths)),
        "interests": statistics,
        "untrained": count_untrained(model.catalogue, cases.targets),
        "notes": {
            "cases without a target": model_report.without_target,
            SEEN_TARGETS: model_report.seen_targets,
        },
    }
    return report | describe_terms(model.terms), ranked


def describe_terms(terms: ScoreTerms) -> dict[str, Any]:
    """Return the entry of a report about the terms of the score, if there are any."""
    return {} if terms == NO_TERMS else {"score_terms": terms._asdict()}


def true_interest_labels(
    loaded: LoadedLog, cases: EvaluationCases, window: int, servable: ServableItems
) -> Ints | None:
    """Return the true interest of each servable behaviour in the window (C, L), None if unknown."""
    if loaded.true_interests is None:
        return None
    users = zip(cases.users, cases.histories.lengths, strict=True)
    rows = [loaded.true_interests.row(int(user))[:n] for user, n in users]
    is_kept = servable.is_servable[cases.histories.values]
    return pad_histories(Ragged.of(rows).where(is_kept), window)[0]


def interest_report(
    user_interests: Interests, true_labels: Ints | None, rng: np.random.Generator
) -> dict[str, object]:
    """Return the interest statistics, with the recovery of true interests if they are known.

    true_labels (C, L): true interests of the behaviours in the window. The result is empty if no
    user has two active interests. The interests must have coupling weights.
    """
    couplings: Any = user_interests.couplings
    vectors, active, mask = user_interests.vectors, user_interests.active, user_interests.mask
    try:
        statistics = interest_statistics(vectors, active, couplings, mask)
    except DataError:  # K = 1, or histories too short for two interests
        return {}
    words: dict[str, Any] = statistics._asdict()
    for name in ("share_by_index", "share_by_rank"):
        words[name] = words[name].tolist()
    if true_labels is not None:
        with suppress(DataError):  # no user has behaviours of two true interests in the window
            words["recovery"] = interest_recovery(couplings, mask, true_labels, rng)._asdict()
    return words


@check_arguments
def evaluate_run(
    run: Path,
    *,
    data: Path | None = None,
    reading: dict[str, object] | None = None,
    protocol: str | None = None,
    which: str = "test",
    exclude_seen: bool | None = None,
    list_lengths: Sequence[int] = LIST_LENGTHS,
    max_cases: Natural | None = None,
    predictions: Path | None = None,
    backend: str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Return the report of a run on the `which` cases of a split, as plain values.

    max_cases: evaluate at most this number of cases, drawn with the seed of the run; 0: all. By
    default, the setting test_users of the run for the test cases, and all validation cases.

    A list longer than the catalogue (`list_lengths`) is padded with -1, which is no hit. Items that
    the catalogue of the run lacks are removed from histories and targets, and counted in `notes`.
    Raises RunError, DataError or ConfigError.
    """
    request = EvaluationRequest(protocol, which, exclude_seen, list_lengths, max_cases)
    check_evaluated(run, protocol)
    served = ServedModel.load(run, backend, device).load_backend()
    if data is None and reading:
        raise ConfigError(say("--data", "a log for the reading options", "none"))
    source = served.source
    if data is not None:  # without reading options, those of the run's log are used
        source = Source.of(data, file_options(reading)) if reading else source.moved(data)
    return evaluate_served(served, source.again(), request, str(run), predictions)


def evaluate_served(
    served: ServedModel,
    loaded: LoadedLog,
    request: EvaluationRequest,
    run: str,
    predictions: Path | None = None,
) -> dict[str, Any]:
    """Return the report of a model on cases of the log `loaded`, as `evaluate_run`.

    run: path of the run directory, or IN_MEMORY.
    """
    config, facts, which = served.model.config, served.facts, request.which
    lengths = request.list_lengths
    exclude_seen = request.exclude_seen
    if exclude_seen is None:
        exclude_seen = facts["exclude_seen"]
    check_shares_items(loaded.log, served.items.ids)
    protocol = request.protocol or facts["protocol"]
    split = make_split(protocol, loaded.log, make_rng(config.seed, "split"))
    all_cases: EvaluationCases = getattr(split, which)
    max_cases = request.max_cases
    if max_cases is None:
        max_cases = config.test_users if which == "test" else 0
    split_cases = sample_cases(all_cases, max_cases, config.seed)
    histories, lost = translate_items(split_cases.histories, loaded.log, served.items.ids)
    targets, missed = translate_items(split_cases.targets, loaded.log, served.items.ids)
    train, _ = translate_items(split.train, loaded.log, served.items.ids)
    cases = EvaluationCases(split_cases.users, histories, targets)
    profiles = features.user_profiles(loaded.log, served.vocabulary, cases.users)
    counts, tied = np.array(served.items.counts, np.int64), tied_targets(loaded.log, split_cases)
    trainings = list_trainings(run, "", config, facts)
    trained = find_trained_targets(
        loaded.log, split_cases, which, (split.protocol, config.seed), trainings
    )
    evaluation_set = EvaluationSet(
        cases, profiles, counts, train, exclude_seen=exclude_seen, tied=tied
    )
    check_list_memory(len(cases.users), max(lengths))
    words, ranked = evaluate_model(
        served.model, evaluation_set, loaded, which, lengths, served.backend
    )
    if predictions is not None:
        users = [loaded.log.user_ids[u] for u in cases.users]
        write_predictions(predictions, ranked, users, served.items.ids)
    notes = {"behaviours unknown to the run": lost, "targets unknown to the run": missed}
    notes |= {**words["notes"], NOT_SAMPLED: len(all_cases.users) - len(cases.users)}
    warnings = [x.warning() for x in trained]  # model-R80
    return {**words, "exclude_seen": exclude_seen, "warnings": warnings, "notes": notes}


def check_shares_items(log: InteractionLog, item_ids: Sequence[str]) -> None:
    """Raise DataError if the log has no item of the run's catalogue."""
    if not set(log.item_ids).isdisjoint(item_ids):
        return
    number = len(log.item_ids)
    got = f"none of the {number:,} items of the log: {join_names(log.item_ids, quoted=True)}"
    todo = f"the run has {join_names(item_ids, quoted=True)}; check the item column and its ids"
    raise DataError(say("evaluate", "items of the run's catalogue", got, todo))
