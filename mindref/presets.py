"""Presets: named sets of changes to the default settings.

Spec: specs/model.md (mind and paper), specs/mind_plus.md (recommended).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from mindref.data.protocols import NO_SPLIT, PROTOCOLS

DEFAULT_PRESET = "recommended"
"""Of `mindref train` and `mindref.Recommender`, if neither a preset nor a model is named."""

PRESETS: dict[str, dict[str, Any]] = {
    "mind": {},  # model-R23
    "paper": {  # model-R24
        "iterations": 3,
        "sigma": 1.0,
        "last_relu": True,
        "routing_gradient": "all",
        "sampler": "uniform",
        "window": 50,
        "logits": "per_call",
        "decay": "none",
    },
    "recommended": {  # mind_plus-R22
        "model": "mind_plus",
        "attention": "pooled",
        "recency": "interests",
        "interest_count": "fixed",
        "sigma": 0.0,
        "iterations": 3,
        "window": 20,
        "contexts": 1,
        "head": "residual",
        "initial_matrices": "identity",
        "normalise": True,
        "temperature": 0.08,
        "dropout": 0.5,
        "dropout_by_density": True,
        "own_counts_term": True,
        "popularity_term": True,
        "learning_rate": 0.03,
        "dense_rate": 0.05,
        "epochs": 12,
        "steps": 6000,
        "evaluate_every": 0,
        "patience": 4,
    },
}
"""Changes that each preset makes. The paper gives no window and no negatives; see specs/paper.md.
The values of `recommended` were measured: specs/evidence.md."""

PROTOCOLS_BY_PRESET: dict[str, str] = {"paper": "paper"}
"""Protocol of a preset, if it is not the default: model-R24."""

SETTINGS_BY_PROTOCOL: dict[str, dict[str, Any]] = {
    "last_basket": {"basket_histories": True},  # data-R98
    NO_SPLIT: {"patience": 0},  # model-R49
}
"""Settings that a protocol implies, unless others are given."""


def preset_or_default(preset: str | None, settings: Container[str]) -> str:
    """Return the preset; if none is named, DEFAULT_PRESET, or "mind" if a model is named."""
    return preset or ("mind" if "model" in settings else DEFAULT_PRESET)  # model-R67


def default_protocol(preset: str | None) -> str:
    """Return the protocol that splits the log if none is named; preset: None if none is named."""
    return PROTOCOLS_BY_PRESET.get(preset or "", PROTOCOLS[0])
