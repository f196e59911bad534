"""Judge a run again: on its own log, or on another one with the same items."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.splits import Cases, make_split
from mindref.data.streams import stream
from mindref.errors import ConfigError, say
from mindref.evaluation.evaluate import write_predictions
from mindref.evaluation.ties import tied_targets
from mindref.recommender import features
from mindref.recommender.judging import Bench, judged
from mindref.recommender.served import Served
from mindref.run.source import Loaded, Source, fingerprint, translate


def evaluate_run(
    run: Path,
    *,
    data: Path | None = None,
    reading: dict[str, Any] | None = None,
    protocol: str | None = None,
    which: str = "test",
    exclude_seen: bool | None = None,
    at: Sequence[int] = (10, 20, 50),
    predictions: Path | None = None,
    backend: str | None = None,
    device: str = "cpu",
) -> dict[str, Any]:
    """Return the report of a run on the `which` cases of a split, as plain values.

    A list longer than the catalogue (`at`) is filled up with empty places, which are no hits.
    Items of another log that the run's catalogue lacks are left out of histories and of targets,
    and counted in `notes`. Raises RunError, DataError or ConfigError.
    """
    served = Served.load(run, backend, device).ready()
    config, facts = served.model.config, served.facts
    if not at or min(at) < 1:
        raise ConfigError(say("--at", "lengths of lists from 1", list(at)))
    if data is None and reading:
        raise ConfigError(say("--data", "a log for the options of reading", "none"))
    if exclude_seen is None:
        exclude_seen = facts["exclude_seen"]
    source = served.source
    if data is not None:  # without options of reading, it is read as the log of the run was
        source = Source.of(data, reading) if reading else source.moved(data)
    loaded = source.again()
    split = make_split(protocol or facts["protocol"], loaded.log, stream(config.seed, "split"))
    asked: Cases = getattr(split, which)
    cases, notes = in_catalogue(asked, loaded, served)
    profiles = features.profiles(loaded.log, served.vocabulary, cases.users)
    counts = np.array(served.items.counts, np.int64)
    bench = Bench(cases, profiles, counts, exclude_seen, tied_targets(loaded.log, asked))
    words, own, ranked = judged(served.model, bench, loaded, which, at, served.backend)
    if predictions is not None:
        users = [loaded.log.user_ids[u] for u in cases.users]
        write_predictions(predictions, ranked, users, served.items.ids)
    return {
        **words,
        "exclude_seen": exclude_seen,
        "warnings": trained_on(protocol, facts, loaded),
        "notes": {
            **notes,
            "cases without a target": own.without_target,
            "targets that the user has had": own.seen_targets,
        },
    }


def trained_on(protocol: str | None, facts: dict[str, Any], loaded: Loaded) -> list[str]:
    """Return a line if these targets may have been trained on: the log of the run, split anew."""
    if protocol in (None, facts["protocol"]) or fingerprint(loaded.log) != facts["log"]:
        return []
    return [
        f"the run was trained on the split {facts['protocol']} of this log: under {protocol} some"
        " of the targets were trained on, and the figures are too good"
    ]


def in_catalogue(cases: Cases, loaded: Loaded, served: Served) -> tuple[Cases, dict[str, int]]:
    """Return cases in the ids of the run's catalogue, and how many items it lacks."""
    histories, lost = translate(cases.histories, loaded.log, served.items.ids)
    targets, missed = translate(cases.targets, loaded.log, served.items.ids)
    notes = {"behaviours unknown to the run": lost, "targets unknown to the run": missed}
    return Cases(cases.users, histories, targets), notes
