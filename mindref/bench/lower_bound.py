"""Lower bound on the time of a training step: the larger of the times of arithmetic and memory.

Spec: specs/speed.md (Lower bound). `step_work` lists every term. The counts are those of the
batches that are timed; the rates are measured in each round. An operation that some order of the
computation avoids does not count: of two orders, the one with fewer operations counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from mindref.bench.workload import Workload, WorkloadSettings
from mindref.config import Config
from mindref.kernels import CACHE_LINE
from mindref.models import mind
from mindref.shapes import Array

LOWER_BOUND = "lower bound"
"""Name of the process that measures the rates."""
EXPONENTIAL, UNIT_VECTOR, ADAM = 16, 7, 12
"""Operations of an exponential (a polynomial of degree 5), and of each number of a unit vector with
its gradient, and of Adam."""
TABLES = 3  # parameters and two moments
PRODUCT_SIZE, CACHED_NUMBERS, REPEATS, TRIES = 768, 2048, 1000, 3


class StepWork(NamedTuple):
    """The operations and the bytes that a step cannot avoid."""

    products: float  # operations of matrix products; a multiply-add counts as two
    other: float  # operations outside matrix products
    bytes: float  # read or written, in whole cache lines


class BatchSizes(NamedTuple):
    """The sizes of a batch, without padding."""

    users: int  # B
    behaviours: int  # N
    pairs: int  # of a behaviour and an active interest of its user
    interests: int  # R, active interests of all users
    history_items: int  # H, distinct
    items: int  # distinct items of all uses: rows of the table that are updated
    negatives: int  # S, distinct


def batch_sizes(batch: mind.Batch, config: Config, *, routes: bool) -> BatchSizes:
    """Return the sizes of a batch. routes: whether the model has interests; else one vector."""
    items, mask = batch.histories.items, batch.histories.mask
    lengths, active = mask.sum(axis=1), np.ones(len(mask), np.int64)
    if routes:
        active = mind.active_after(lengths, config).sum(axis=1)
    return BatchSizes(
        users=len(mask),
        behaviours=int(lengths.sum()),
        pairs=int(lengths @ active),
        interests=int(active.sum()),
        history_items=len(np.unique(items[mask])),
        items=len(np.unique(np.concatenate([items[mask], batch.target, batch.negatives]))),
        negatives=len(np.unique(batch.negatives)),
    )


def step_work(sizes: BatchSizes, config: Config, *, routes: bool) -> StepWork:
    """Return the work of a step. Without `routes`, the mean of behaviours is the only interest."""
    b, n, pairs, r, h, items, s = sizes
    d, m, pooled = config.width, config.contexts, config.attention == "pooled"
    iterations = config.iterations if routes and config.routing == "dynamic" else 1
    exact = config.routing_gradient == "all" and iterations > 1
    winner = routes and config.attention == "label" and config.power == float("inf")
    back, back_pairs = (b, n) if winner else (r, pairs)  # interests with a gradient
    ages, scored = config.recency != "none", r if pooled else b

    # S maps each vector of a behaviour once, or the sums and capsules of all iterations
    learned, votes = routes and config.votes == "matrix", n if config.dropout else h
    of_capsules = (2 * iterations - 1) * r + m * b
    mapped = min(votes, of_capsules) + 2 * min(votes, of_capsules if exact else back + m * b)
    widths = () if config.head == "none" else (d, *config.hidden, d)
    area = sum(inputs * outputs for inputs, outputs in pairwise(widths))
    context_area = m * d * widths[1] if m else 0
    products = d * d * mapped * learned + area * (r + 2 * back) + 3 * context_area * b
    products += 3 * d * scored * s  # logits, and their two gradients

    # multiply-adds of vectors of width d
    sums = (2 * iterations - 1) * pairs + ((4 * iterations - 3) * pairs if exact else back_pairs)
    sums = sums if routes or ages else sums // 2  # a mean without weights has only additions
    sums += back_pairs * ages + 3 * m * n + 3 * scored
    if routes and not pooled:
        sums += r if winner else 4 * r
    columns = m + (config.interests if routes and config.recency == "interests" else ages)
    dense = area + sum(widths[1:]) + context_area + d * d * learned + config.window * columns
    other = 2 * d * sums + EXPONENTIAL * ((iterations - 1) * pairs + scored * s)
    other += UNIT_VECTOR * d * (scored + b + s) * config.normalise + ADAM * (items * d + dense)

    itemsize = np.dtype(config.dtype).itemsize
    lines = 2 * TABLES * items * -(-d * itemsize // CACHE_LINE)  # each is read and written
    factors = n * d * itemsize * (config.dropout > 0)
    return StepWork(2.0 * products, float(other), float(lines * CACHE_LINE + factors))


def mean_work(workload: Workload) -> StepWork:
    """Return the mean work of the batches of a workload."""
    config, routes = workload.config, workload.family.routes
    sizes = [batch_sizes(batch, config, routes=routes) for batch in workload.shared_batches()]
    works = [step_work(x, config, routes=routes) for x in sizes]
    return StepWork(*np.mean(works, axis=0).tolist())


class ThreadArrays(NamedTuple):
    """The arrays with which a thread measures the rates."""

    square: Array  # (768, 768)
    cached: Array  # (2048,)
    table: Array  # a part of an array as large as the item table and its moments


class MachineRates:
    """Measures the rates of all threads together; accepts the commands of a worker (worker.py)."""

    def __init__(self, job: dict[str, Any]) -> None:
        from mindref.kernels import peak

        settings = WorkloadSettings.of(job["settings"])
        self.work, threads = mean_work(Workload(settings)), settings.threads
        self.pool = ThreadPoolExecutor(threads)
        self.facts: dict[str, Any] = {"work": self.work._asdict()}
        self.rates: list[StepWork] = []
        self.multiply_add = lambda arrays: peak.multiply_add(arrays.cached, REPEATS)
        self.operations = 2 * peak.CHAIN * CACHED_NUMBERS * REPEATS
        table = TABLES * settings.catalogue * settings.width // threads
        shapes = ((PRODUCT_SIZE, PRODUCT_SIZE), CACHED_NUMBERS, table)
        self.arrays = [
            ThreadArrays(*(np.ones(shape, settings.dtype) for shape in shapes))
            for _ in range(threads)
        ]

    def execute(self, command: dict[str, Any]) -> dict[str, Any]:
        """Measure the rates; "seconds" is the bound at these rates. At the end, return medians."""
        if command["do"] == "end":
            return {"rates": StepWork(*np.median(self.rates, axis=0).tolist())._asdict()}
        rates = StepWork(
            products=self.rate(2 * PRODUCT_SIZE**3, multiply_square),
            other=self.rate(self.operations, self.multiply_add),
            bytes=self.rate(2 * self.arrays[0].table.nbytes, negate_table),
        )
        self.rates.append(rates)
        return {"answer": 0.0, "seconds": bound_seconds(self.work, rates)}

    def rate(self, units: float, work: Callable[[ThreadArrays], object]) -> float:
        """Return the units per second of all threads, each doing `work`; the best of TRIES."""
        seconds = []
        for _ in range(TRIES):
            started = time.perf_counter()
            list(self.pool.map(work, self.arrays))
            seconds.append(time.perf_counter() - started)
        return len(self.arrays) * units / min(seconds)


def bound_seconds(work: StepWork, rates: StepWork) -> float:
    """Return the larger of the times of arithmetic and of memory. rates: units per second."""
    return max(work.products / rates.products + work.other / rates.other, work.bytes / rates.bytes)


def multiply_square(arrays: ThreadArrays) -> None:
    """Multiply two square matrices."""
    np.matmul(arrays.square, arrays.square)


def negate_table(arrays: ThreadArrays) -> None:
    """Read and write each number of the table."""
    np.negative(arrays.table, out=arrays.table)
