"""Judge a model on cases: the validation metric of an epoch, and the report at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import Backend
from mindref.data.batches import lay_out_histories
from mindref.data.log import Ints, Ragged
from mindref.data.splits import Cases
from mindref.data.streams import stream
from mindref.errors import ConfigError, DataError, say
from mindref.evaluation import metrics, top_n
from mindref.evaluation.evaluate import AT, Report, evaluate
from mindref.evaluation.interest_statistics import health, recovery
from mindref.evaluation.ties import by_tie
from mindref.evaluation.top_n import Ranked
from mindref.models.families import ROUTED
from mindref.models.serving import Interests, Model, interests
from mindref.recommender.ranked import best
from mindref.run.source import Loaded
from mindref.shapes import Bools

LONGEST = 100_000  # items of a list, as of those of `mindref recall`


class Bench(NamedTuple):
    """Cases to be judged on, and what is needed to answer them."""

    cases: Cases
    profiles: Ints  # (C, G) rows of the profile table
    counts: Ints  # (N,) of the training sequences, for popularity
    exclude_seen: bool = True
    tied: Bools | None = None  # (C,) targets that tie in time with the behaviour before

    @property
    def hidden(self) -> Ragged | None:
        """What must not be recommended to each case."""
        return self.cases.histories if self.exclude_seen else None


def rank(
    model: Model, bench: Bench, n: int, backend: Backend | None = None
) -> tuple[Ranked, Interests | None]:
    """Return the n best items of each case, and the interests they came from."""
    given = (model, bench.cases.histories, bench.profiles)
    ranked, found = best(*given, n=n, exclude=bench.hidden, backend=backend)
    return ranked, found


def split_metric(name: str) -> tuple[str, int]:
    """Return metric and N of `metric@N`; lists beyond the catalogue are padded. Or ConfigError."""
    kind, _, at = name.partition("@")
    n = int(at) if at.isdecimal() and len(at) < 10 else 0
    if kind not in metrics.METRICS or not 1 <= n <= LONGEST:
        known = " or ".join(f"{metric}@N" for metric in metrics.METRICS)
        todo = "for example --metric hit_rate@50"
        raise ConfigError(say("--metric", f"{known} with N from 1 to {LONGEST}", repr(name), todo))
    return kind, n


def validator(model: Model, bench: Bench, backend: Backend) -> Callable[[Any], float]:
    """Return the function that training asks after each epoch."""
    kind, n = split_metric(model.config.metric)
    relevant = metrics.distinct(bench.cases.targets)

    def value(params: Any) -> float:
        ranked, _ = rank(model._replace(params=params), bench, n, backend)
        hit = metrics.hits(ranked.items, bench.cases.targets)
        return float(metrics.METRICS[kind](hit, relevant, n).mean())

    return value


def report(
    model: Model, bench: Bench, backend: Backend | None = None, at: Sequence[int] = AT
) -> tuple[dict[str, Report], Ranked]:
    """Return the reports of model, popularity and random, and the model's lists."""
    n, items = max(at), len(model.catalogue.rows)
    ranked, _ = rank(model, bench, n, backend)
    cases = len(bench.cases.users)
    chance = stream(model.config.seed, "baseline")
    lists = {
        "model": ranked,
        "popularity": top_n.popularity(bench.counts, cases, n=n, exclude=bench.hidden),
        "random": top_n.random(chance, items, cases, n=n, exclude=bench.hidden),
    }
    reports = {
        # the same resampling for all three, so that they can be compared
        name: evaluate(some, bench.cases, items, at=at, rng=stream(model.config.seed, "bootstrap"))
        for name, some in lists.items()
    }
    return reports, ranked


def judged(
    model: Model,
    bench: Bench,
    loaded: Loaded,
    which: str = "test",
    at: Sequence[int] = AT,
    backend: Backend | None = None,
) -> tuple[dict[str, Any], Report, Ranked]:
    """Return what is said of a model on the `which` cases, as plain values; its report and lists.

    loaded is the log that the cases come from, with the planted interests where it has them.
    """
    reports, ranked = report(model, bench, backend, at)
    given = (model, bench.cases.histories, bench.profiles, backend)
    about: dict[str, Any] | None = None  # of a family that does not route
    if model.config.model in ROUTED:
        found = interests(*given, couplings=True)  # operators say them: backend-R10
        labels = planted_labels(loaded, bench.cases, model.config.window)
        about = describe_interests(found, labels, stream(model.config.seed, "probe"))
    own = reports["model"]
    words = {
        "metrics": {which: {name: some.metrics for name, some in reports.items()}},
        "cases": own.cases,
        "by_history_length": own.by_history_length,
        "by_tie": by_tie(ranked, bench.cases, bench.tied, tuple(at)),
        "interests": about,
    }
    return words, own, ranked


def planted_labels(loaded: Loaded, cases: Cases, window: int) -> Ints | None:
    """Return the planted interest of each behaviour given to routing (C, L), where it is known."""
    planted = loaded.planted
    if planted is None:
        return None
    lengths = cases.histories.lengths
    rows = [planted.row(int(u))[:n] for u, n in zip(cases.users, lengths, strict=True)]
    labels, _ = lay_out_histories(Ragged.of(rows), window)
    return labels


def describe_interests(
    found: Interests, planted: Ints | None, rng: np.random.Generator
) -> dict[str, Any]:
    """Return the health of interests, and how planted ones were recovered where they are known.

    planted (C, L) beside the behaviours given to routing. Empty where nobody has two interests.
    The interests come with their couplings.
    """
    if found.couplings is None:
        raise ValueError("interests without couplings")
    try:
        state = health(found.vectors, found.active, found.couplings, found.mask)
    except DataError:  # K = 1, or histories too short for two interests
        return {}
    words: dict[str, Any] = {
        "users": state.users,
        "similarity": state.similarity,
        "share_by_index": state.share_by_index.tolist(),
        "share_by_rank": state.share_by_rank.tolist(),
        "effective": state.effective,
    }
    if planted is not None:
        with suppress(DataError):  # nobody has behaviours of two planted interests in the window
            words["recovery"] = recovery(found.couplings, found.mask, planted, rng)._asdict()
    return words
