"""Choice of a preset for a log: begin the training of each candidate, and continue the better one.

Spec: specs/model.md, model-R47 to model-R50.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mindref.backend import Backend
from mindref.config import Config
from mindref.errors import BackendError, ConfigError, MindrefError, say
from mindref.models.family import check_trainable
from mindref.recommender.trainer import Hooks, Trainer

CANDIDATES = ("best", "sparse")
FALLBACK = "mind"
PARTS = 6
"""The candidates are compared after this part of their steps, or of the time limit."""


class Candidates(NamedTuple):
    """Presets that can be used, and why others cannot be used."""

    configs: Mapping[str, Config]  # settings of each preset, at least one
    refused: str = ""  # a candidate that cannot be used, and its error


class PresetChoice(NamedTuple):
    """A preset, the reason of its choice, and the validation metric of each candidate."""

    preset: str
    reason: str  # empty if the user named the preset
    values: Mapping[str, float] = {}  # by preset; empty if only one preset can be used

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for config.json and the report."""
        return self._asdict() if self.reason else {}


def choose_preset(
    candidates: Candidates, make: Callable[[Config], Trainer]
) -> tuple[Trainer, PresetChoice]:
    """Return the trainer of the best candidate, whose training has begun, and the choice.

    make: returns a trainer without a run directory.
    """
    trainers = {preset: make(config) for preset, config in candidates.configs.items()}
    if len(trainers) == 1:
        ((preset, trainer),) = trainers.items()
        return trainer, PresetChoice(preset, candidates.refused)
    values = {preset: begin_training(trainer) for preset, trainer in trainers.items()}
    chosen = max(values, key=lambda preset: values[preset])  # model-R47: the first of equals
    trainer = trainers.pop(chosen)
    state, used = trainer.state, sum(other.state.time.seconds for other in trainers.values())
    trainer.state = state._replace(time=state.time._replace(seconds=state.time.seconds + used))
    step, metric = trainer.state.moments.step, trainer.config.metric
    rejected = ", ".join(f"{name} {values[name]:.4f}" for name in trainers)
    reason = f"validation {metric} {values[chosen]:.4f} after {step} steps ({rejected})"
    return trainer, PresetChoice(chosen, reason, values)


def begin_training(trainer: Trainer) -> float:
    """Train the first part, and return the validation metric."""
    part = FirstPart(trainer.config)
    trainer.train(Hooks(on_step=part.count_step, stop=part.is_over))
    validate: Any = trainer.validate
    return float(validate(trainer.state.params))


class FirstPart:
    """The part of a training after which candidates are compared."""

    def __init__(self, config: Config, clock: Callable[[], float] = time.perf_counter) -> None:
        self.steps, self.limit = max(1, config.steps // PARTS), config.time_limit / PARTS
        self.clock, self.step, self.compiled = clock, 0, 0.0

    def count_step(self, step: int, loss: float) -> None:
        """Count a step. The first step may compile, so the time starts after it."""
        self.compiled = self.compiled or self.clock()
        self.step = step

    def is_over(self) -> bool:
        """Return whether the steps are done, or the time with a limit has passed."""
        if self.step >= self.steps:  # model-R48
            return True
        return self.limit > 0 and self.step > 0 and self.clock() - self.compiled >= self.limit


def find_candidates(changes: Mapping[str, Any], backend: Backend, *, several: bool) -> Candidates:
    """Return the candidates that can be used with changed settings.

    A candidate cannot be used if a changed setting does not apply to it, or if the backend cannot
    train it. If none can be used, the result is FALLBACK. Raises ConfigError or BackendError if no
    preset can be used.
    """
    configs: dict[str, Config] = {}
    errors: dict[str, MindrefError] = {}
    for preset in CANDIDATES:
        try:
            configs[preset] = candidate_config(preset, changes, backend, several=several)
        except (ConfigError, BackendError) as error:  # model-R49
            errors[preset] = error
    if not configs:
        try:
            configs[FALLBACK] = candidate_config(FALLBACK, changes, backend, several=several)
        except ConfigError as error:
            raise errors[CANDIDATES[0]] from error
    refused = [f"{preset} cannot be used: {error}" for preset, error in errors.items()]
    return Candidates(configs, refused[0] if refused else "")


def candidate_config(
    preset: str, changes: Mapping[str, Any], backend: Backend, *, several: bool
) -> Config:
    """Return a preset with changes. Raises ConfigError or BackendError if it cannot be used."""
    config = Config.of(preset, changes)
    check_trainable(backend, config, several=several)
    if "power" in changes and config.attention == "pooled":
        got = config.power
        raise ConfigError(say("power", "no value with attention pooled", got))
    return config
