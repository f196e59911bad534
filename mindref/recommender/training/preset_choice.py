"""Choice of a preset for a log: begin the training of each candidate, and continue the better one.

Spec: specs/model.md, model-R47 to model-R50.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from mindref.backend import Backend
from mindref.config import Config
from mindref.errors import BackendError, ConfigError, MindrefError, say
from mindref.models.family import check_trainable, settings_without_effect
from mindref.recommender.training.trainer import Trainer
from mindref.training.divergence import Diverged
from mindref.training.loop import Hooks

CANDIDATES = ("best", "sparse")
FALLBACK = "mind"
PARTS = 6
"""Candidates are compared after 1 / PARTS of their steps, or of the time limit."""

Make = Callable[[Config, Sequence[Config]], Trainer]
"""(settings, all settings that are compared) -> trainer without a run directory.

The second argument is empty except for the first trainer, which estimates the memory of all.
"""

Show = Callable[[str, Trainer], AbstractContextManager[Hooks]]
"""(preset, trainer) -> hooks that show the progress of a candidate."""


class Candidates(NamedTuple):
    """Presets that can be used, and why others cannot be used."""

    configs: Mapping[str, Config]  # settings of each preset, at least one
    rejected: str = ""  # candidates that cannot be used, with their errors


class PresetChoice(NamedTuple):
    """A preset, the reason of its choice, and the validation metric of each candidate."""

    preset: str
    reason: str  # empty if the user named the preset
    values: Mapping[str, float] = {}  # by preset; empty if only one preset can be used

    def to_dict(self) -> dict[str, object]:
        """Return plain values, for config.json and the report."""
        return self._asdict() if self.reason else {}


def choose_preset(
    candidates: Candidates,
    make: Make,
    show: Show = lambda preset, trainer: nullcontext(Hooks()),
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[Trainer, PresetChoice]:
    """Return the trainer of the chosen preset, whose training has begun, and the choice.

    Raises Diverged if all candidates diverge.
    """
    if len(candidates.configs) == 1:
        ((preset, config),) = candidates.configs.items()
        return make(config, [config]), PresetChoice(preset, candidates.rejected)
    compared = list(candidates.configs.values())
    values: dict[str, float] = {}
    texts: list[str] = []
    started = clock()
    chosen: tuple[str, Trainer] | None = None
    failure: Diverged | None = None
    for preset, config in candidates.configs.items():
        trainer, compared = make(config, compared), []
        trainer.check_alike()
        try:
            with show(preset, trainer) as hooks:
                value = begin_training(trainer, hooks, clock)
        except Diverged as error:
            failure = error
            texts.append(f"{preset} diverged")
            continue
        texts.append(f"{preset} {value:.4f} after {trainer.state.moments.step} steps")
        if chosen is None or value > values[chosen[0]]:  # model-R47: the first of equals
            chosen = preset, trainer
        values[preset] = value
    if chosen is None:
        assert failure is not None  # the loop has failed for each candidate
        raise failure
    preset, trainer = chosen
    trainer.set_used_time(clock() - started)
    reason = f"validation {trainer.config.metric}: {', '.join(texts)}"
    return trainer, PresetChoice(preset, reason, values)


def begin_training(trainer: Trainer, hooks: Hooks, clock: Callable[[], float]) -> float:
    """Train the part after which candidates are compared, and return the validation metric."""
    config = trainer.config
    num_steps, limit = max(1, config.steps // PARTS), config.time_limit / PARTS
    last_step, compiled = 0, 0.0  # compiled: end of the first step, which may compile

    def on_step(step: int, loss: float) -> None:
        nonlocal last_step, compiled
        last_step, compiled = step, compiled or clock()
        hooks.on_step(step, loss)

    def is_over() -> bool:
        if last_step >= num_steps:  # model-R48
            return True
        return limit > 0 and last_step > 0 and clock() - compiled >= limit

    trainer.train(hooks._replace(on_step=on_step, stop=is_over))
    return trainer.current_metric()


def find_candidates(
    changes: Mapping[str, object], backend: Backend, *, several: bool
) -> Candidates:
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
    rejected = [f"{preset} cannot be used: {error}" for preset, error in errors.items()]
    return Candidates(configs, "; ".join(rejected))


def candidate_config(
    preset: str, changes: Mapping[str, object], backend: Backend, *, several: bool
) -> Config:
    """Return a preset with changes. Raises ConfigError or BackendError if it cannot be used."""
    config = Config.of(preset, changes)
    check_trainable(backend, config, several=several)
    for name in settings_without_effect(config):
        if name in changes:
            raise ConfigError(say(name, f"no value with {preset}", getattr(config, name)))
    return config
