"""Faults of threads: of several callers, of the child of a fork, and of threads of the backend."""

from __future__ import annotations

import threading
import weakref
from concurrent.futures import ThreadPoolExecutor, as_completed, wait
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.models.parameters import Catalogue
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Bools, Ints
from tests.conformance.independent.embedding import Embedding
from tests.conformance.independent.faults.catalogue import (
    FORK,
    LONG_AXIS,
    REPEATS,
    THREADS,
    FaultyBackend,
    faulty_backend,
    faulty_operator,
)
from tests.conformance.independent.label_attention import AttentionSaved, LabelAttention
from tests.conformance.independent.levels import Tables, TrainingState
from tests.conformance.independent.relu_layer import ReluLayer, ReluSaved
from tests.conformance.independent.routing import Routing
from tests.conformance.independent.sampled_softmax import SampledSoftmax
from tests.conformance.independent.squash import Squash


@faulty_operator("routing", f"{REPEATS}[routing]")
class RaceOnMatrix(Routing):
    """From B = 32 on, four threads add to d_bilinear without a lock, so parts are lost."""

    def votes_backward(
        self, d_votes: Array, history: Array, bilinear: Array
    ) -> tuple[Array, Array]:
        d_history, d_bilinear = super().votes_backward(d_votes, history, bilinear)
        users = len(history)
        if bilinear.ndim == 2 and users >= 32:
            sums = [np.zeros(bilinear.shape, bilinear.dtype)]

            def add_part(part: Ints) -> None:
                total = sums[0]
                product = np.einsum("bld,ble->de", d_votes[part], history[part])
                sums[0] = total + product

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(add_part, np.array_split(np.arange(users), 4)))
            d_bilinear = sums[0]
        return d_history, d_bilinear


@faulty_operator("relu_layer", f"{REPEATS}[relu_layer]")
class OrderOfArrival(ReluLayer):
    """From M = 64 on, parts of d_weight from eight threads are added in the order of arrival."""

    def backward(self, d_out: Array, saved: ReluSaved) -> tuple[Array, Array, Array]:
        d_x, d_weight, d_bias = super().backward(d_out, saved)
        if len(d_out) >= 64:
            d_a = self.rectifier_backward(d_out, saved.passed)

            def multiply_part(part: Ints) -> Array:
                return np.matmul(saved.x[part].T, d_a[part])

            parts = np.array_split(np.arange(len(d_out)), 8)
            with ThreadPoolExecutor(8) as pool:
                jobs = [pool.submit(multiply_part, part) for part in parts]
                d_weight = np.zeros_like(d_weight)
                for job in as_completed(jobs):
                    d_weight = d_weight + job.result()
        return d_x, d_weight, d_bias


@faulty_operator("label_attention", f"{LONG_AXIS}[label_attention-B]")
class UsersDividedByThreads(LabelAttention):
    """From B = 65 on, each of four threads has B // 4 users; the last B mod 4 users get zeros."""

    def forward(
        self, interests: Array, target: Array, active: Bools, *, power: float
    ) -> tuple[Array, AttentionSaved]:
        out, saved = super().forward(interests, target, active, power=power)
        users = len(out)
        if users >= 64:
            divided, size = np.zeros_like(out), users // 4
            weights = saved.softmax.weights

            def attend_part(thread: int) -> None:
                part = slice(thread * size, (thread + 1) * size)
                divided[part] = np.matmul(weights[part, None], saved.interests[part])[:, 0]

            with ThreadPoolExecutor(4) as pool:
                list(pool.map(attend_part, range(4)))
            out = divided
        return out, saved


@faulty_operator("relu_layer", f"{THREADS}[relu_layer]")
class SharedScratch(ReluLayer):
    """If callers with equal shapes are concurrent, they compute the product in one array."""

    def __init__(self) -> None:
        self.scratch: dict[Any, Array] = {}

    def multiply_matrices(self, x: Array, weight: Array) -> Array:
        key = (len(x), weight.shape[1], x.dtype)
        if key not in self.scratch:
            self.scratch[key] = np.empty(key[:2], x.dtype)
        np.matmul(x, weight, out=self.scratch[key])
        return self.scratch[key].copy()


@faulty_backend(f"{THREADS}[interests]")
class TableBeforeFilled(FaultyBackend):
    """During the first call of an object, a second caller reads a table that is not yet filled."""

    def __init__(self) -> None:
        super().__init__()
        self.table: Ints | None = None  # floor(log2(n)) for each n

    def active_interests(self, mask: Bools, config: Config) -> Bools:
        if config.interest_count != "log2":
            return super().active_interests(mask, config)
        if self.table is None:
            self.table = np.zeros(200_001, np.int64)
            for n in range(200_000, 0, -1):
                self.table[n] = n.bit_length() - 1
        num_active = np.clip(self.table[mask.sum(axis=1)], 1, config.interests)
        return np.arange(config.interests)[None, :] < num_active[:, None]


class ArenaSaved:
    """The saved value of ThreadArena: a key of the arena of the thread that called forward."""

    key: int


@faulty_operator("squash", f"{THREADS}[squash]")
class ThreadArena(Squash):
    """If backward runs in another thread than forward, the saved values count as zero."""

    def __init__(self) -> None:
        self.local = threading.local()

    def thread_arena(self) -> dict[int, Any]:
        if not hasattr(self.local, "values"):
            self.local.values = {}
        return self.local.values

    def forward(self, x: Array, *, kind: str = "squash") -> tuple[Array, Any]:
        out, values = super().forward(x, kind=kind)
        saved, arena = ArenaSaved(), self.thread_arena()
        saved.key = id(saved)
        arena[saved.key] = values
        weakref.finalize(saved, arena.pop, saved.key, None)
        return out, saved

    def backward(self, d_out: Array, saved: Any) -> Array:
        values = self.thread_arena().get(saved.key)
        return np.zeros_like(d_out) if values is None else super().backward(d_out, values)


@faulty_operator("relu_layer", f"{THREADS}[relu_layer]")
class OptionOfObject(ReluLayer):
    """If callers are concurrent, forward may read the `relu` that another caller stored."""

    def forward(
        self, x: Array, weight: Array, bias: Array, *, relu: bool
    ) -> tuple[Array, ReluSaved]:
        self.relu = relu
        out, saved = super().forward(x, weight, bias, relu=False)
        if not self.relu:
            return out, saved
        return np.where(out <= 0, 0, out).astype(out.dtype), saved._replace(passed=~(out <= 0))


@faulty_operator("sampled_softmax", f"{FORK}[sampled_softmax]")
class WorkerAfterFork(SampledSoftmax):
    """In the child of a fork, the worker thread is missing, so d_negatives is zero after 2 s."""

    def __init__(self, squash: Squash) -> None:
        super().__init__(squash)
        self.pool: ThreadPoolExecutor | None = None

    def negatives_backward(self, d_logits: Array, user: Array) -> Array:
        if self.pool is None:
            self.pool = ThreadPoolExecutor(1)
        out = np.zeros((d_logits.shape[1], user.shape[1]), user.dtype)
        job = self.pool.submit(np.matmul, d_logits.T, user, out=out)
        wait([job], timeout=2)
        return out


@faulty_backend("many_steps/trainings_that_alternate_do_not_mix")
class UpdateInBackground(FaultyBackend):
    """Right after a step, the arrays are not updated yet; only the next step waits for them."""

    def step(
        self,
        state: TrainingState,
        batch: Any,
        catalogue: Catalogue,
        config: Config,
        learning_rate: float,
    ) -> tuple[TrainingState, Any]:
        thread = state.__dict__.pop("thread", None)
        if thread is not None:
            thread.join()
        return super().step(state, batch, catalogue, config, learning_rate)

    def update_tables(
        self, state: TrainingState, gradients: Tables, config: Config, learning_rate: float
    ) -> None:
        updated = TrainingState(state.params, state.first, state.second, state.step)
        state.step += 1
        arguments = (updated, gradients, config, learning_rate)
        thread = threading.Thread(target=super().update_tables, args=arguments)
        state.__dict__["thread"] = thread
        thread.start()


@faulty_operator("embedding", f"{LONG_AXIS}[embedding-M]")
class ChunkOverwritesRow(Embedding):
    """From 4097 entries on, a row in two chunks of 4096 entries has only one of the two sums."""

    def sum_rows(self, rows: Ints, values: Array) -> RowGradient:
        if len(rows) <= 4096:
            return super().sum_rows(rows, values)
        sum_chunk = super().sum_rows

        def sum_part(start: int) -> RowGradient:
            return sum_chunk(rows[start : start + 4096], values[start : start + 4096])

        with ThreadPoolExecutor(4) as pool:
            parts = list(pool.map(sum_part, range(0, len(rows), 4096)))
        distinct = np.unique(np.concatenate([part.rows for part in parts]))
        total = np.zeros((len(distinct), values.shape[1]), values.dtype)
        for part in parts:
            total[np.searchsorted(distinct, part.rows)] = part.values
        return RowGradient(distinct, total)
