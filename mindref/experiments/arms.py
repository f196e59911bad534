"""Arms of an experiment: labelled settings, directories of their runs, models of models.toml.

Spec: specs/experiments.md, R17 and R21.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from mindref.config import Config, known_settings
from mindref.errors import ConfigError, say
from mindref.models.registry import RECALL_FAMILIES, family_defaults
from mindref.presets import PRESETS
from mindref.settings import override

PAPER_MODELS = ("wals", "youtube_dnn", "maxmf", "mind-1", "mind")  # columns of the paper's Table 2
PAPER_OPPONENT = "youtube_dnn"
MAX_NAME = 120  # characters of a folder name
BASE_FOLDER = "base"  # folder of the arm without changes


class Arm(NamedTuple):
    """One of several models or settings that are compared."""

    label: str
    settings: Mapping[str, object]  # changes to the settings of all arms
    folder: str  # of its runs, below --out
    grid: Mapping[str, tuple[object, ...]] = {}  # never modified


class PlannedRun(NamedTuple):
    """A run that an experiment needs."""

    directory: Path
    config: Config  # including the seed
    description: str  # for messages


def arm_config(
    base: Config,
    settings: Mapping[str, object],
    changes: Mapping[str, object] | None = None,
    seed: int | None = None,
) -> Config:
    """Return the base settings with those of an arm, then changes and a seed.

    Raises ConfigError for a bad setting.
    """
    seeded = {} if seed is None else {"seed": seed}
    return Config.of("mind", {**(changes or {}), **seeded}, override(base.to_dict(), settings))


def changed_settings(base: Config, config: Config) -> dict[str, object]:
    """Return the settings that differ from the base, as JSON values."""
    before, after = base.to_dict(), config.to_dict()
    return {name: after[name] for name in before if after[name] != before[name]}


def settings_folder(changes: Mapping[str, object]) -> str:
    """Return the folder name for changes to the base. Equal changes have equal names."""
    if not changes:
        return BASE_FOLDER
    parts = (f"{name}={format_value(value)}" for name, value in sorted(changes.items()))
    return safe_file_name(",".join(parts))


def safe_file_name(text: str) -> str:
    """Return a text as a portable file name, shortened with a digest if it is too long."""
    name = re.sub(r"[^A-Za-z0-9._=+,-]", "_", text)
    if len(name) <= MAX_NAME:
        return name
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{name[: MAX_NAME - 13]}-{digest}"


def format_value(value: object) -> str:
    """Return the value of a setting as short text."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_settings(changes: Mapping[str, object]) -> str:
    """Return settings as text, in the given order."""
    parts = [f"{name} {format_value(value)}" for name, value in changes.items()]
    return ", ".join(parts) or "as given"


def run_directory(out: Path, arm: Arm, trial: int, seed: int) -> Path:
    """Return the run directory of a trial of an arm with a seed."""
    return out / arm.folder / f"trial-{trial}" / f"seed-{seed}"


def experiment_seeds(base: Config, count: int) -> tuple[int, ...]:
    """Return `count` seeds: the seed of the settings and the following integers."""
    return tuple(range(base.seed, base.seed + count))


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
    preset = PRESETS[entry.get("preset", "mind")]
    identity = {"model": preset.get("model", name), **entry.get("settings", {})}
    defaults = family_defaults(identity["model"])  # as with --model
    recipe = {**preset, **defaults, **entry.get("start", {})}
    dropped = {"steps", "epochs", *fixed_settings}
    if "dropout" in fixed_settings:
        dropped.add("dropout_by_density")
    start = {k: x for k, x in recipe.items() if k not in dropped}  # experiments-R21
    tunable = known_settings(str(identity["model"])) - {*fixed_settings, *identity}
    grid = {
        setting: tuple(values)
        for setting, values in entry.get("grid", read_models()["grid"]).items()
        if setting in tunable
    }
    return Arm(name, {**start, **identity}, safe_file_name(name), grid)
