"""The trace of one user, for terminal and page."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from mindref.study.models.study_model import StudyModel, choose_user, open_study_model, sample_pair
from mindref.study.models.user_rules import ChosenUser
from mindref.study.trace import Trace
from mindref.study.tracing import TrainingPair, trace_pair


class TracedUser(NamedTuple):
    """A training pair of one user, and its trace."""

    study_model: StudyModel
    chosen: ChosenUser
    pair: TrainingPair
    trace: Trace


def trace_user(study_model: StudyModel, rule: str = "median") -> TracedUser:
    """Return the trace of the user of a rule or an id. Raises DataError as `choose_user` does."""
    chosen = choose_user(study_model, rule)
    sampled = sample_pair(study_model, chosen.user)
    model = study_model.model
    pair = TrainingPair(model.params, sampled.batch, model.catalogue, model.config)
    metadata: dict[str, Any] = {
        "model": study_model.name,
        "user": str(study_model.user_ids[chosen.user]),
        "chosen": chosen.rule,
        "target": study_model.titles[int(sampled.batch.target[0])],
        "negatives": sampled.negatives,
        "dtype": "float64",
        "seed": model.config.seed,
        "config": model.config.to_dict(),
    }
    return TracedUser(
        study_model, chosen, pair, trace_pair(pair, metadata=metadata, titles=study_model.titles)
    )


def open_traced_user(
    run: Path | None, data: Path | None = None, rule: str = "median"
) -> TracedUser:
    """Return the traced user of a run directory; None: of the built-in model."""
    return trace_user(open_study_model(run, data), rule)
