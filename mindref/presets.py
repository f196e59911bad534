"""Presets: named sets of changes to the default settings.

Spec: specs/model.md (mind and paper), specs/mind_plus.md (best and sparse).
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from mindref.data.protocols import PROTOCOLS

PLUS: dict[str, Any] = {
    "model": "mind_plus",
    "attention": "pooled",
    "recency": "interests",
    "interest_count": "fixed",
    "sigma": 0.0,
    "iterations": 3,
    "window": 20,
    "learning_rate": 1e-2,
    "steps": 6000,
}

DEFAULT_PRESET = "best"
"""Of `mindref.Recommender`, if neither a preset nor a model is named."""

AUTO = "auto"
"""In place of a preset: `mindref train` chooses one (recommender/training/preset_choice.py)."""

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
    "best": {**PLUS, "contexts": 1},  # mind_plus-R22
    "sparse": {  # mind_plus-R22
        **PLUS,
        "votes": "items",
        "head": "none",
        "hidden": (),
        "normalise": True,
        "temperature": 0.07,
        "dropout": 0.5,
    },
}
"""Changes that each preset makes. The paper gives no window and no negatives; see specs/model.md.
The values of `best` and `sparse` were measured: specs/evidence.md."""

PROTOCOLS_BY_PRESET: dict[str, str] = {"paper": "paper"}
"""Protocol of a preset, if it is not the default: model-R24."""


def preset_or_default(preset: str | None, settings: Container[str]) -> str:
    """Return the preset; if none is named, DEFAULT_PRESET, or "mind" if a model is named."""
    return preset or ("mind" if "model" in settings else DEFAULT_PRESET)  # model-R67


def default_protocol(preset: str | None) -> str:
    """Return the protocol that splits the log if none is named; preset: None if none is named."""
    return PROTOCOLS_BY_PRESET.get(preset or "", PROTOCOLS[0])
