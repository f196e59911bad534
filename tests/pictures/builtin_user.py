"""Users of the built-in model of `mindref study`, and their training pairs."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

from mindref.study.models.study_model import StudyModel, choose_user, open_study_model, sample_pair
from mindref.study.tracing import TrainingPair


@cache
def study_model() -> StudyModel:
    """Return the built-in model of the study."""
    return open_study_model()


@cache
def builtin_pair(user: int | None = None, **settings: Any) -> TrainingPair:
    """Return the training pair of a user, by default the default user, with changed settings."""
    params, catalogue, config = study_model().model
    row = choose_user(study_model()).user if user is None else user
    sampled = sample_pair(study_model(), row)
    return TrainingPair(params, sampled.batch, catalogue, replace(config, **settings))
