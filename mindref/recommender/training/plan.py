"""The plan of a training: its inputs, also from an earlier run, and what --dry-run prints.

Spec: specs/model.md, model-R51 to model-R55; specs/faults.md, faults-R21. An earlier run gives
settings, log, number of steps and start: `mindref train --steps-of RUN` and `--start-from RUN`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mindref.backend import check_installed
from mindref.config import Config
from mindref.data.protocols import NO_SPLIT
from mindref.errors import ConfigError, RunError, say
from mindref.models.family import family_of
from mindref.models.parameters import NO_TERMS, ScoreTerms
from mindref.presets import (
    PRESETS,
    SETTINGS_BY_PROTOCOL,
    default_protocol,
    preset_or_default,
)
from mindref.process.memory import usable_memory
from mindref.recommender.held_out import check_start_split
from mindref.recommender.training.memory_estimate import check_training_memory, count_parameters
from mindref.recommender.training.warm_start import WarmStart
from mindref.run import array_files, checkpoint, report
from mindref.run.checkpoint import WRITTEN
from mindref.run.source import LoadedLog, Source
from mindref.run.training_data import PreparedLog, prepare_training

FEWEST_STEPS = 1000
"""Fewest steps of a training by epochs."""

VALIDATIONS = 12
"""Of a training with `evaluate_every` 0."""

DROPOUTS = np.log([50, 200]), [0.5, 0.2]
"""Logarithm of the training interactions per item, and dropout; linear between."""

COMMAND_STEPS = "give --steps N, or --steps-of RUN for the best step of an earlier run"


@dataclass(frozen=True)
class TrainingPlan:
    """Inputs of a training."""

    config: Config
    source: Source
    protocol: str
    exclude_seen: bool | None = None  # None: as the log suggests, data-R99
    start: WarmStart | None = None
    run: Path | None = None  # run directory to create; None: results stay in memory
    device: str = "cpu"
    resumed: Mapping[str, Any] = field(default_factory=dict)  # facts of the run to resume, if any
    preset: str = ""  # empty if the settings are those of an earlier run
    steps_of: Path | None = None  # run whose terms of the score are used without validation

    def earlier_terms(self) -> ScoreTerms:
        """Return the terms of the earlier run, for a training without validation."""
        stored = self.resumed.get(checkpoint.TERMS)
        if stored is not None:
            return ScoreTerms(**stored)
        if self.steps_of is not None:  # model-R53
            return checkpoint.load_best(self.steps_of).terms
        return NO_TERMS if self.start is None else self.start.served.model.terms  # model-R55

    def describe(self, loaded: LoadedLog, backend: str) -> dict[str, object]:
        """Return the parts of the training as plain values: read, split, train, write and memory.

        Raises DataError or ConfigError if the log cannot be split. Allocates no parameters.
        """
        log, config = loaded.log, self.config
        prepared = prepare_training(loaded, self.protocol, config)
        config = fit_to_log(config, prepared)
        split, num_test = prepared.split, len(prepared.split.test.users)
        estimate = check_training_memory(prepared, config, backend)
        counts = {"users": len(log.user_ids), "items": len(log.item_ids)}
        counts["interactions"] = len(log.interactions.values)
        return {
            "read": {"log": self.source.location, **counts},
            "split": {
                "protocol": split.protocol,
                "sequences": len(split.train),
                "interactions": len(split.train.values),
                "validation_cases": min(len(split.validation.users), config.validation_users),
                "test_cases": min(num_test, config.test_users or num_test),
            },
            "train": planned_training(config, self.preset, prepared),
            # a command has a log file, or the built-in log, so no log is stored
            "write": {"run": str(self.run), "files": sorted({*WRITTEN} - {array_files.LOG})},
            "memory": {
                **estimate._asdict(),
                "total": estimate.total,
                "available": usable_memory(),
            },
            **({} if self.start is None else {"start_from": self.start.run}),
        }


def planned_training(config: Config, preset: str, prepared: PreparedLog) -> dict[str, object]:
    """Return preset, model and size of one training; a model that is fitted has no steps."""
    training: dict[str, object] = {"preset": preset, "model": config.model}
    if family_of(config.model).by_steps:
        training |= {"steps": config.steps, "batch": config.batch}
        training["parameters"] = count_parameters(config, prepared.task.sizes)
    return training


def fit_to_log(config: Config, prepared: PreparedLog) -> Config:
    """Return the settings with the numbers that `epochs`, the steps and the density give.

    In the result `epochs` is 0, `evaluate_every` is not, and `dropout_by_density` is off. So a run
    that is resumed, or is a start, keeps its numbers.
    """
    interactions = len(prepared.split.train.values)
    if config.epochs > 0:
        steps = round(config.epochs * interactions / config.batch)
        steps = min(config.steps, max(FEWEST_STEPS, steps))  # model-R48, R50
        config = replace(config, steps=steps, epochs=0.0)
    if config.evaluate_every == 0:
        config = replace(config, evaluate_every=math.ceil(config.steps / VALIDATIONS))  # model-R50
    if config.dropout_by_density:  # mind_plus-R24
        density = interactions / prepared.task.sizes.items
        dropout = float(np.interp(math.log(density), *DROPOUTS))
        config = replace(config, dropout=dropout, dropout_by_density=False)
    return config


def config_of_split(preset: str, changes: Mapping[str, object], protocol: str) -> Config:
    """Return a preset with changes, and with the settings of the protocol that are not given."""
    return Config.of(preset, {**SETTINGS_BY_PROTOCOL.get(protocol, {}), **changes})


def plan_training(
    preset: str | None,
    changes: Mapping[str, object],
    data: Path | None,
    reading: Mapping[str, object],
    *,
    protocol: str | None,
    exclude_seen: bool | None,
    steps_of: Path | None = None,
    start_from: Path | None = None,
) -> TrainingPlan:
    """Return the inputs of `mindref train`. Raises ConfigError or RunError.

    steps_of, start_from: earlier runs, the first of which gives the inputs that are not given.
    """
    run = steps_of or start_from
    if run is None:
        name = preset_or_default(preset, changes)  # model-R47
        protocol = protocol or default_protocol(preset)
        config = config_of_split(name, changes, protocol)
        check_without_validation(protocol, config, has_steps="steps" in changes)
        source = Source.of(data, reading)
        return TrainingPlan(config, source, protocol, exclude_seen=exclude_seen, preset=name)
    option = "--start-from" if steps_of is None else "--steps-of"
    if preset is not None:
        todo = "the settings are those of the run"
        raise ConfigError(say(option, "no --preset with it", preset, todo))
    config, facts = checkpoint.load_config(run)
    if "backend" not in changes:
        check_installed(config.backend, f"{run}: backend")  # security-R9
    if steps_of is not None:
        check_steps_of(steps_of, protocol, facts, start_from)
    protocol = protocol or facts["protocol"]
    if steps_of is not None:  # model-R53
        changes = {"steps": best_step(steps_of, config, facts), **changes}
    new_config = settings_of_run(config, facts, changes, protocol)
    source = Source.of_run(run, config, facts)
    if data is not None:  # without reading options, those of the run's log are used
        source = Source.of(data, reading) if reading else source.moved(data)
    start = None
    if start_from is not None:
        # a log to which interactions were added has more bytes
        is_unchanged = data is None or (
            source == Source.of_run(run, config, facts)
            and source.size() == facts.get("log_bytes", -1)
        )
        if steps_of is None and is_unchanged:
            check_start_split(start_from, facts, protocol)
        start = WarmStart.open(start_from, is_command=True)
        start.check(new_config)
    exclude = facts["exclude_seen"] if exclude_seen is None else exclude_seen
    return TrainingPlan(
        new_config, source, protocol, exclude_seen=exclude, start=start, steps_of=steps_of
    )


def plan_fit(
    preset: str | None,
    settings: Mapping[str, object],
    protocol: str | None,
    start: WarmStart | None,
    *,
    estimator: str = "Recommender",
) -> tuple[Config, str]:
    """Return the settings and the protocol of `Recommender.fit`. Raises ConfigError or RunError.

    With a start, the settings are those of its run, changed by the preset and by `settings`.
    estimator: name of the class, for errors.
    """
    todo = f"pass a number, for example {estimator}(steps=2000)"
    if start is None:
        preset = preset_or_default(preset, settings)
        protocol = protocol or default_protocol(preset)
        config = config_of_split(preset, settings, protocol)
        check_without_validation(protocol, config, has_steps="steps" in settings, todo=todo)
        return config, protocol
    facts = start.served.facts
    protocol = protocol or facts["protocol"]
    of_preset = PRESETS.get(preset or "")
    config = settings_of_run(start.config, facts, settings, protocol, preset=of_preset, todo=todo)
    start.check(config)
    return config, protocol


def settings_of_run(
    config: Config,
    facts: Mapping[str, Any],
    changes: Mapping[str, object],
    protocol: str,
    *,
    preset: Mapping[str, object] | None = None,
    todo: str = COMMAND_STEPS,
) -> Config:
    """Return the settings of a run with changes. Raises ConfigError.

    config, facts: of the run; preset: settings that override those of the run; todo: advice for a
    training without a number of steps.
    """
    of_split = SETTINGS_BY_PROTOCOL.get(protocol, {})  # model-R49, data-R98
    settings = {**config.family_settings(), **(preset or {}), **of_split}
    new_config = Config.of("mind", changes, settings)
    has_steps = "steps" in changes or facts["protocol"] == NO_SPLIT
    check_without_validation(protocol, new_config, has_steps=has_steps, todo=todo)
    return new_config


def check_without_validation(
    protocol: str, config: Config, *, has_steps: bool, todo: str = COMMAND_STEPS
) -> None:
    """Raise ConfigError if a training on all interactions has no fixed number of steps.

    has_steps: whether the number of steps was given, or taken from an earlier run. todo: advice
    on how to give one.
    """
    if protocol != NO_SPLIT:
        return
    if config.patience:  # model-R51
        reason = "without validation, only steps end a training"
        raise ConfigError(say("patience", "0 with the split none", config.patience, reason))
    if family_of(config.model).by_steps and not has_steps:  # model-R51
        raise ConfigError(say("split none", "a number of steps", "no number", todo))


def check_steps_of(
    run: Path, protocol: str | None, facts: Mapping[str, Any], start_from: Path | None
) -> None:
    """Raise ConfigError unless all interactions train, with a start if the run had one."""
    if protocol != NO_SPLIT:  # model-R53
        todo = "with another split, validation chooses the best step"
        got = f"--split {protocol}" if protocol else "no --split"
        raise ConfigError(say("--steps-of", "--split none with it", got, todo))
    if "start_from" in facts and start_from is None:
        todo = f"its steps came after those of {facts['start_from']['run']}"
        raise ConfigError(say(f"--steps-of {run}", "--start-from with it", "no --start-from", todo))


def best_step(run: Path, config: Config, facts: Mapping[str, Any]) -> int:
    """Return the best step of a finished run. Raises RunError for a run without a report."""
    todo = array_files.completion_hint(run)
    try:
        words = report.load_report(run, checkpoint.run_identity(config, facts), todo)
        return int(words.get("best_step", words.get("steps", config.steps)))
    except FileNotFoundError:
        got = "no report, because the training was stopped"
        raise RunError(say(f"{run}: best step", "a report", got, todo)) from None
