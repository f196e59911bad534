"""The studies of `mindref ablate`, read from studies.toml.

Spec: specs/experiments.md, R17 and R18.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from mindref.config import Config
from mindref.errors import ConfigError, prefix_errors, say
from mindref.experiments.arms import (
    Arm,
    arm_config,
    changed_settings,
    format_value,
    settings_folder,
)


class Study(NamedTuple):
    """A question, and the arms that answer it."""

    name: str
    title: str
    question: str
    base: str  # label of the arm that the others are compared with
    arms: Mapping[str, Mapping[str, object]]  # label -> settings
    settings: Mapping[str, object] = {}  # of all its arms; never modified


class StudyArms(NamedTuple):
    """A study and its arms, with the settings of a command."""

    study: Study
    arms: list[Arm]
    base: Arm  # one of them


@cache
def read_studies() -> dict[str, Study]:
    """Return name -> study, in the order of studies.toml."""
    file = resources.files("mindref.experiments").joinpath("studies.toml")
    studies = {}
    for name, fields in tomllib.loads(file.read_text(encoding="utf-8")).items():
        if values := fields.pop("values", None):
            setting = fields.pop("setting", name)
            fields["arms"] = {format_value(value): {setting: value} for value in values}
            fields.setdefault("base", format_value(getattr(Config.of(), setting)))
        studies[name] = Study(name, **fields)
    return studies


def select_studies(names: Sequence[str]) -> list[Study]:
    """Return the studies with these names, or all studies. Raises ConfigError for unknown names."""
    studies = read_studies()
    if list(names) == ["all"]:
        return list(studies.values())
    for name in names:
        if name not in studies:
            raise ConfigError(say("--studies", f"all, or some of {', '.join(studies)}", repr(name)))
    if not names:
        todo = "--list prints them"
        raise ConfigError(say("--studies", "all, or names of studies", "none", todo))
    return [studies[name] for name in dict.fromkeys(names)]


def study_arms(study: Study, base: Config) -> StudyArms:
    """Return the arms of a study as changes to the settings of the command.

    Arms with equal settings have the same folder, also in different studies. The base is the arm
    with the settings of the command, or else the base of the study. Raises ConfigError for an
    invalid setting, or if two arms of a study are equal.
    """
    arms = []
    for label, settings in study.arms.items():
        with prefix_errors(f"study {study.name}, arm {label}"):
            config = arm_config(base, study.settings, settings)
            changes = changed_settings(base, config)
        arms.append(Arm(label, changes, settings_folder(changes)))  # experiments-R17
    if len({arm.folder for arm in arms}) < len(arms):
        got = "two equal arms with these settings"
        raise ConfigError(say(f"study {study.name}", "arms that differ", got))
    unchanged = [arm for arm in arms if not arm.settings]  # experiments-R18
    study_base = [arm for arm in arms if arm.label == study.base]
    return StudyArms(study, arms, (unchanged or study_base)[0])
