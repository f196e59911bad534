"""The default user of `mindref study`: the built-in model and one training pair."""

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
def builtin_pair(**settings: Any) -> TrainingPair:
    """Return the training pair of the user, with changed settings of the model."""
    params, catalogue, config = study_model().model
    sampled = sample_pair(study_model(), choose_user(study_model()).user)
    return TrainingPair(params, sampled.batch, catalogue, replace(config, **settings))
