"""An arm of an experiment: settings under a label, and the folders in which its runs lie.

Spec: specs/experiments.md, R17.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mindref.config import Config

LONGEST = 120  # letters of a folder's name
BASE = "base"  # the folder of the settings that all arms start from


class Arm(NamedTuple):
    """What is set beside other arms."""

    label: str
    settings: Mapping[str, Any]  # changes of the settings that all arms share
    folder: str  # below OUT, of its runs
    grid: Mapping[str, tuple[Any, ...]] = {}  # nobody writes to it


class Asked(NamedTuple):
    """A run that an experiment needs."""

    place: Path
    config: Config  # its seed included
    words: str  # for people: whose run it is


def settings_of(base: Config, changes: Mapping[str, Any], seed: int | None = None) -> Config:
    """Return the base with changes, under a seed. Raises ConfigError for a bad or unknown one."""
    own = {} if seed is None else {"seed": seed}
    return Config.of("default", {**base.to_dict(), **changes, **own})


def changed(base: Config, config: Config) -> dict[str, Any]:
    """Return the settings in which a configuration differs from the base, as plain values."""
    ours, theirs = base.to_dict(), config.to_dict()
    return {name: theirs[name] for name in ours if theirs[name] != ours[name]}


def folder_of(changes: Mapping[str, Any]) -> str:
    """Return the name of a folder for changes of the base: the same ones, the same name."""
    if not changes:
        return BASE
    words = ",".join(f"{name}={written(value)}" for name, value in sorted(changes.items()))
    return slug(words)


def slug(words: str) -> str:
    """Return words as a name that every file system takes, cut where it is too long."""
    name = re.sub(r"[^A-Za-z0-9._=+,-]", "_", words)
    if len(name) <= LONGEST:
        return name
    digest = hashlib.sha256(words.encode()).hexdigest()[:12]
    return f"{name[: LONGEST - 13]}-{digest}"


def written(value: Any) -> str:
    """Return the value of a setting in a few letters."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return "-".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def in_words(changes: Mapping[str, Any]) -> str:
    """Return settings for people, in the order given."""
    return ", ".join(f"{name} {written(value)}" for name, value in changes.items()) or "as given"


def place_of(out: Path, arm: Arm, trial: int, seed: int) -> Path:
    """Return the run directory of a trial of an arm under a seed."""
    return out / arm.folder / f"trial-{trial}" / f"seed-{seed}"


def seeds_of(base: Config, count: int) -> tuple[int, ...]:
    """Return the seeds of an experiment: that of the settings, and those that follow it."""
    return tuple(range(base.seed, base.seed + count))
