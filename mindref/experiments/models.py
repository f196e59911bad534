"""The models of a comparison, by the names of the command line (models.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache
from importlib import resources
from typing import Any

from mindref.config import MODELS, known_settings
from mindref.errors import ConfigError, say
from mindref.experiments.arms import Arm, slug
from mindref.presets import PRESETS

PAPER = ("wals", "youtube_dnn", "maxmf", "mind-1", "mind")  # the columns of the paper's table 2
OPPONENT = "youtube_dnn"


@cache
def table() -> dict[str, Any]:
    """Return what stands in models.toml."""
    file = resources.files("mindref.experiments").joinpath("models.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))


def arm_of(name: str, given: Collection[str] = ()) -> Arm:
    """Return the arm of a model; given: the settings that the command line fixes for all.

    Raises ConfigError for a name that is neither a family nor in models.toml.
    """
    named = table()["models"]
    known_names = tuple(dict.fromkeys((*MODELS, *named)))
    if name not in known_names:
        raise ConfigError(say("--models", f"some of {', '.join(known_names)}", repr(name)))
    entry = named.get(name, {})
    recipe = {**PRESETS[entry.get("preset", "default")], **entry.get("start", {})}
    own = {"model": recipe.get("model", name), **entry.get("settings", {})}
    start = {k: x for k, x in recipe.items() if k not in {"steps", *given}}  # experiments-R22
    known = known_settings(str(own["model"]))
    fixed = {*given, *own}
    grid = {
        setting: tuple(values)
        for setting, values in entry.get("grid", table()["grid"]).items()
        if setting in known - fixed
    }
    return Arm(name, {**start, **own}, slug(name), grid)
