"""Who is timed: a backend, or one of the two competitors that `mindref bench` brings along."""

from __future__ import annotations

import importlib
import os
from typing import Any, NamedTuple, Protocol

import numpy as np

from mindref.backend import device_name, load
from mindref.bench.world import World
from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.models import serving
from mindref.models.parameters import Params, flatten
from mindref.process.threads import PRODUCTS
from mindref.shapes import Array, Bools, Ints
from mindref.training import optimiser
from mindref.training.engine import engine_of

LEVELS = ("train", "model", "ops")  # the highest first


class Subject(Protocol):
    """Parameters of its own, and what can be asked of them; a framework keeps its own arrays."""

    level: str  # how it takes its steps
    device: str  # where it computes

    @property
    def params(self) -> Params:
        """The parameters as they are now, as NumPy's arrays."""

    def step(self, number: int) -> Any:
        """Take a step with a batch of the world; return the loss, which may still be computed."""

    def wait(self) -> None:
        """Return when all steps are done."""

    def interests(self, histories: Ragged) -> tuple[Any, Any]:
        """Return interests (C, K, D) and active (C, K)."""

    def top(self, users: tuple[Any, Any], n: int, exclude: Ragged | None) -> Ints:
        """Return the n best items of each user (C, n), by the most of its interests."""


class OfBackend:
    """A backend, trained as `mindref train` trains it: by the highest level that it claims."""

    def __init__(self, name: str, world: World, device: str = "cpu") -> None:
        self.backend, self.world = load(name, device), world
        self.device = device_name(self.backend, device)
        params = world.params()
        moments = optimiser.init(flatten(params))
        self.engine = engine_of(self.backend, params, moments, world.catalogue, world.config)
        claimed = self.backend.capabilities().levels
        self.level = next((level for level in LEVELS if level in claimed), "ops")

    @property
    def params(self) -> Params:
        """The parameters as they are now."""
        return self.engine.now()[0]

    def step(self, number: int) -> Any:
        """Take a step with a batch of the world."""
        return self.engine.step(self.world.batches[number], self.world.config.learning_rate)

    def wait(self) -> None:
        """Nothing is left to be done."""

    def interests(self, histories: Ragged) -> tuple[Array, Bools]:
        """Return interests (C, K, D) and active (C, K)."""
        model = serving.Model(self.params, self.world.catalogue, self.world.config)
        nobody = np.zeros((len(histories), 0), np.int64)
        found = serving.interests(model, histories, nobody, self.backend)
        return found.vectors, found.active

    def top(self, users: tuple[Array, Bools], n: int, exclude: Ragged | None) -> Ints:
        """Rank the whole catalogue as `mindref` does; an item is its row of the table."""
        return top_n.top_n(*users, self.params.items, n=n, exclude=exclude).items


class Competitor(NamedTuple):
    """A step of a framework that the bench brings along."""

    module: str
    framework: str  # what must be installed


COMPETITORS = {
    "torch-eager": Competitor("mindref.bench.torch_step", "torch"),
    "jax-jit": Competitor("mindref.bench.jax_step", "jax"),
}


def make(name: str, world: World, device: str = "cpu") -> Subject:
    """Return a subject by its name, on a device; the competitors know the CPU alone.

    Raises what comes of an import that fails, or BackendError.
    """
    if name not in COMPETITORS:
        return OfBackend(name, world, device)
    competitor = COMPETITORS[name]
    importlib.import_module(competitor.framework)
    made: Subject = importlib.import_module(competitor.module).Subject(world)
    return made


def environment(name: str, threads: int, device: str = "cpu") -> dict[str, str]:
    """Return what is set before a subject's process starts, so that one pool owns the cores.

    `numba` cuts its work into blocks for threads of its own, and each of them calls BLAS: that has
    one thread then. All others leave threads to BLAS or to their framework. JAX takes as many
    threads as it finds cores: see `bound_cores`.
    """
    own_pool = name == "numba"  # one named by its module has BLAS' threads, as in `mindref train`
    found = dict.fromkeys(PRODUCTS, "1" if own_pool else str(threads))
    found["MINDREF_THREADS"] = str(threads) if own_pool else "1"
    if of_jax(name):
        found["NPROC"] = str(threads)
        if device == "cpu" or name in COMPETITORS:
            found["JAX_PLATFORMS"] = "cpu"
    return found


def of_jax(name: str) -> bool:
    """Return whether a subject computes with JAX: our step of it, or the backend."""
    return name in ("jax", "jax-jit") or name.startswith("mindref_jax.")


def bound_cores(threads: int) -> bool:
    """Keep this process to so many of its cores; return whether the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    return True
