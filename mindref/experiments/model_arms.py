"""The models of `mindref compare`: model families, and the named models in models.toml."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Any

from mindref.config import known_settings
from mindref.errors import ConfigError, say
from mindref.experiments.arms import Arm, safe_file_name
from mindref.models.registry import RECALL_FAMILIES
from mindref.presets import PRESETS

PAPER_MODELS = ("wals", "youtube_dnn", "maxmf", "mind-1", "mind")  # columns of the paper's table 2
PAPER_OPPONENT = "youtube_dnn"


@cache
def read_models() -> dict[str, Any]:
    """Return the content of models.toml."""
    file = resources.files("mindref.experiments").joinpath("models.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def named_models() -> list[str]:
    """Return the names in models.toml that are not model families."""
    return [name for name in read_models()["models"] if name not in RECALL_FAMILIES]


def model_arm(name: str, fixed_settings: Collection[str] = ()) -> Arm:
    """Return the arm of a model. fixed_settings: names set on the command line, for all models.

    Raises ConfigError for a name that is neither a family nor in models.toml.
    """
    models = read_models()["models"]
    names = tuple(dict.fromkeys((*RECALL_FAMILIES, *models)))
    if name not in names:
        raise ConfigError(say("--models", f"some of {', '.join(names)}", repr(name)))
    entry = models.get(name, {})
    recipe = {**PRESETS[entry.get("preset", "default")], **entry.get("start", {})}
    identity = {"model": recipe.get("model", name), **entry.get("settings", {})}
    dropped = {"steps", *fixed_settings}
    start = {k: x for k, x in recipe.items() if k not in dropped}  # experiments-R22
    tunable = known_settings(str(identity["model"])) - {*fixed_settings, *identity}
    grid = {
        setting: tuple(values)
        for setting, values in entry.get("grid", read_models()["grid"]).items()
        if setting in tunable
    }
    return Arm(name, {**start, **identity}, safe_file_name(name), grid)
