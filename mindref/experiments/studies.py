"""The studies of `mindref ablate`, as data (studies.toml).

Spec: specs/experiments.md, R17 and R18.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from mindref.config import Config
from mindref.errors import ConfigError, say, told_of
from mindref.experiments.arms import Arm, changed, folder_of, settings_of


class Study(NamedTuple):
    """A question, and the arms that answer it."""

    name: str
    title: str
    question: str
    base: str  # label of the arm that the others are set beside
    arms: Mapping[str, Mapping[str, Any]]  # label -> settings
    curves: bool = False  # whether the curves of validation belong to the answer
    settings: Mapping[str, Any] = {}  # of all its arms; nobody writes to it


class Laid(NamedTuple):
    """A study under the settings of a command."""

    study: Study
    arms: list[Arm]
    base: Arm  # one of them


@cache
def table() -> dict[str, Study]:
    """Return name -> study, in the order of the file."""
    file = resources.files("mindref.experiments").joinpath("studies.toml")
    return read(tomllib.loads(file.read_text(encoding="utf-8")))


def read(content: Mapping[str, Any]) -> dict[str, Study]:
    """Return the studies of a file. Raises ConfigError for one that is no study."""
    found = {}
    for name, words in content.items():
        try:
            study = Study(name, **words)
        except TypeError as error:
            raise ConfigError(say(f"study {name}", f"{', '.join(Study._fields)}", error)) from None
        if study.base not in study.arms:
            raise ConfigError(say(f"study {name}: base", " or ".join(study.arms), study.base))
        found[name] = study
    return found


def chosen(names: Sequence[str]) -> list[Study]:
    """Return the studies of these names, or all. Raises ConfigError for an unknown one."""
    known = table()
    if list(names) == ["all"]:
        return list(known.values())
    for name in names:
        if name not in known:
            raise ConfigError(say("--studies", f"all, or some of {', '.join(known)}", repr(name)))
    if not names:
        raise ConfigError(say("--studies", "all, or names of studies", "none", "--list shows them"))
    return [known[name] for name in dict.fromkeys(names)]


def lay_out(study: Study, base: Config) -> Laid:
    """Return the arms of a study as changes of the settings that the command gives.

    Arms of equal settings have one folder, whatever study they belong to. The arm that the others
    are set beside is the one with the settings of the command, if there is one, else the study's.
    Raises ConfigError for a setting that is unknown, or out of its range, or two arms that are one.
    """
    arms = []
    for label, settings in study.arms.items():
        with told_of(f"study {study.name}, arm {label}"):
            own = changed(base, settings_of(base, {**study.settings, **settings}))
        arms.append(Arm(label, own, folder_of(own)))  # experiments-R17
    if len({arm.folder for arm in arms}) < len(arms):
        got = "two of the same under these settings"
        raise ConfigError(say(f"study {study.name}", "arms that differ", got))
    same = [arm for arm in arms if not arm.settings]  # experiments-R18
    named = [arm for arm in arms if arm.label == study.base]
    return Laid(study, arms, (same or named)[0])
