"""Names that a benchmark accepts: tasks and models. Imports no NumPy."""

from __future__ import annotations

from typing import NamedTuple


class TimedTask(NamedTuple):
    """A task and the unit of its throughput."""

    text: str
    rate: str


TASKS = {
    "step": TimedTask("training step: loss, gradients, Adam", "examples/s"),
    "inference": TimedTask("interests from the histories", "users/s"),
    "evaluation": TimedTask("interests, then exact top-n search without seen items", "users/s"),
    "recall": TimedTask("exact top-n search from given interests", "users/s"),
}
"""Name -> task."""

MODELS = ("mind", "recommended", "paper", "youtube_dnn")
"""Recipes whose step is timed: presets, and families with their default settings."""
