"""A contender of a benchmark: a backend and its timed tasks."""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.backend import device_name, load_backend
from mindref.bench.workload import Workload
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.models.family import backend_computes, check_trainable
from mindref.models.parameters import flatten
from mindref.process.threads import thread_variables
from mindref.recall.exact import search_top_n
from mindref.shapes import Array, Bools, Ints
from mindref.training import optimiser
from mindref.training.engine import make_engine

LEVELS = ("train", "model")  # highest first; "ops" if the backend has none of them


class Contender:
    """A backend, trained as in `mindref train`: with the highest level that it claims."""

    def __init__(self, name: str, workload: Workload, device: str = "cpu") -> None:
        self.backend, self.workload = load_backend(name, device), workload
        self.device = device_name(self.backend, device)
        config = workload.config
        check_trainable(self.backend, config)
        params = workload.params()
        moments = optimiser.init(flatten(params))
        self.engine = make_engine(self.backend, params, moments, workload.catalogue, config)
        computed = (level for level in LEVELS if backend_computes(self.backend, config, level))
        self.level = next(computed, "ops")
        self.users: tuple[Array, Bools] | None = None  # interests and active, for `recall`

    @property
    def params(self) -> Any:
        """The current parameters as NumPy arrays."""
        return self.engine.fetch_state()[0]

    def step(self, number: int) -> Array:
        """Take a step with a batch of the workload; return the loss."""
        workload = self.workload
        return np.asarray(self.engine.step(workload.batches[number], workload.config.learning_rate))

    def inference(self) -> tuple[Array, Bools]:
        """Return interests (C, K, D) and active (C, K) of all users."""
        histories = self.workload.histories
        model = serving.Model(self.params, self.workload.catalogue, self.workload.config)
        profile = np.zeros((len(histories), 0), np.int64)
        users = serving.compute_interests(model, histories, profile, self.backend)
        return users.vectors, users.active

    def evaluation(self) -> Ints:
        """Return the top-n items without seen items (C, n) of all users, from their histories."""
        return self.search_items(self.inference(), self.workload.histories)

    def recall(self) -> Ints:
        """Return the top-n items (C, n) of all users, from the interests of the first call."""
        if self.users is None:
            self.users = self.inference()
        return self.search_items(self.users, None)

    def search_items(self, users: tuple[Array, Bools], exclude: Ragged | None) -> Ints:
        """Return the top-n items of each user (C, n) by the exact search of mindref."""
        items = serving.normalise_vectors(self.params.items, self.workload.config)
        return search_top_n(*users, items, n=self.workload.settings.top, exclude=exclude).items


def thread_environment(name: str, threads: int, device: str = "cpu") -> dict[str, str]:
    """Return the environment variables of a contender's process, which limit its threads.

    Contenders other than `numba` leave threading to BLAS or their framework. JAX uses one thread
    per core, so its process is pinned to cores.
    """
    variables = thread_variables(name, threads)  # as in `mindref train`
    if uses_jax(name):
        variables["NPROC"] = str(threads)
        if device == "cpu":
            variables["JAX_PLATFORMS"] = "cpu"
    return variables


def uses_jax(name: str) -> bool:
    """Return whether a contender computes with JAX."""
    return name == "jax" or name.startswith("mindref_jax.")
