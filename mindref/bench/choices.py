"""Names that a benchmark accepts: tasks, sizes, models, contenders. Imports no NumPy."""

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

SCALED_SETTINGS: dict[str, tuple[str, tuple[int, ...]]] = {
    "B": ("batch", (64, 256, 1024)),
    "L": ("length", (12, 25, 50, 100, 200)),
    "K": ("interests", (1, 2, 4, 8)),
    "d": ("width", (16, 32, 64, 128)),
    "catalogue": ("catalogue", (1_000, 10_000, 100_000, 1_000_000)),
    "threads": ("threads", ()),  # 1, 2, 4 ... up to the number of cores
}
"""Name on the command line -> setting of the workload and its values."""

MODELS = ("mind", "recommended", "youtube_dnn")
"""Recipes whose step is timed: presets, and families with their default settings."""
