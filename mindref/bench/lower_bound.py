"""Lower bound on the time of a training step: arithmetic at the GEMM peak plus memory traffic.

specs/speed.md (A step, Lower bound) defines the bounds "distinct items once" and "as written".
Its section "A step of another recipe" adds what other recipes than MIND compute.
Activations are free, because they may stay in the caches. Routing is counted with routing_gradient
"last". What `numba` avoids is not subtracted, so that all contenders have the same bound.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from mindref.bench import timing
from mindref.bench.workload import Workload, WorkloadSettings, split_batch
from mindref.models.mind import active_interests

COPY_BYTES = 1 << 26  # size of the copied array: larger than any cache
TRIES = 3
ADAM_TRANSFERS = 6  # arrays per row that Adam reads or writes: values and two moments, both ways


class BatchCounts(NamedTuple):
    """Mean sizes of a batch."""

    users: float  # B
    behaviours: float  # without padding
    pairs: float  # of a behaviour and an active interest of its user
    rows: float  # active interests of all users
    voting: float  # distinct items in the histories
    touched: float  # distinct items in all uses: rows of the table to update
    negatives: float  # S
    width: int  # D
    widths: tuple[int, ...]  # of the layers, D first and last
    interests: int  # K
    iterations: int  # r
    one_winner: bool  # p = infinity: one interest per user has a gradient
    itemsize: int  # bytes of a number
    routes: bool = True  # else the mean of the behaviours
    learned_votes: bool = True  # votes are S e, else item vectors
    contexts: int = 0  # M
    ages: int = 0  # numbers in the table of log weights by age
    attends: bool = True  # label-aware attention; else each interest has a score for each item
    keeps: int = 0  # factors of dropout per behaviour


class BatchSizes(NamedTuple):
    """The sizes of one batch, or their means, as in `BatchCounts`."""

    users: float
    behaviours: float
    pairs: float
    rows: float
    voting: float
    touched: float
    negatives: float


def mean_counts(workload: Workload) -> BatchCounts:
    """Return the mean sizes of the batches of a workload, and the sizes of its model.

    Without routing, the mean of the behaviours counts as one interest with one iteration.
    """
    sizes = [batch_sizes(workload, batch) for batch in workload.batches]
    mean = BatchSizes(*np.mean(sizes, axis=0).tolist())
    config, routes = workload.config, workload.family.routes
    columns = config.contexts + config.interests * (config.recency == "interests")
    attends = routes and config.attention == "label"
    return BatchCounts(
        users=mean.users,
        behaviours=mean.behaviours,
        pairs=mean.pairs,
        rows=mean.rows,
        voting=mean.voting,
        touched=mean.touched,
        negatives=mean.negatives,
        width=config.width,
        widths=() if config.head == "none" else (config.width, *config.hidden, config.width),
        interests=config.interests if routes else 1,
        iterations=config.iterations if routes else 1,
        one_winner=attends and config.power == float("inf"),
        itemsize=np.dtype(config.dtype).itemsize,
        routes=routes,
        learned_votes=routes and config.votes == "matrix",
        contexts=config.contexts,
        ages=config.window * columns,
        attends=attends,
        keeps=config.width if config.dropout else 0,
    )


def batch_sizes(workload: Workload, batch: Any) -> BatchSizes:
    """Return the sizes of a batch."""
    shared, _ = split_batch(batch)
    items, mask = shared.histories.items, shared.histories.mask
    active = np.ones(len(mask), np.int64)
    if workload.family.routes:
        active = active_interests(mask, workload.config).sum(axis=1)
    voting = np.unique(items[mask])
    return BatchSizes(
        users=len(mask),
        behaviours=int(mask.sum()),
        pairs=int((mask.sum(axis=1) * active).sum()),
        rows=int(active.sum()),
        voting=len(voting),
        touched=len(np.unique(np.concatenate([voting, shared.target, shared.negatives]))),
        negatives=len(shared.negatives),
    )


def step_flops(c: BatchCounts) -> dict[str, float]:
    """Return the floating-point operations of a step by part; a multiply-add counts as two.

    votes      6 H D^2: S e of H distinct items, and gradients with respect to items and S
    routing    2 P D for each of r sums and r - 1 logit updates over P pairs of behaviour and
               interest, and for the gradient of the votes in the last iteration
    layers     2 R I O forward for R active interests and a layer (I, O), twice that backward
    attention  2 R D for the scores, 2 B D for the user vectors, the same again backward
    softmax    6 B S D: products with S negatives, and gradients of users and negatives

    Log weights by age add to routing 2 P D, their gradient, and each of M contexts 6 N D for N
    behaviours: the sum and both gradients. A layer that reads the contexts adds 6 M D O per user.
    With a pooled loss each active interest has a product with every item: softmax is 6 R S D and
    attention 6 R D, the products with the target. Without routing R is B.

    If p = infinity, one interest per user has a gradient. Backward then counts B rows in the layers
    and one interest per behaviour in routing, and attention weights have no gradient.
    """
    d = c.width
    back_rows, back_pairs = (c.users, c.behaviours) if c.one_winner else (c.rows, c.pairs)
    areas = sum(i * o for i, o in pairwise(c.widths))
    of_contexts = 3 * c.contexts * c.behaviours + (c.pairs if c.ages else 0)
    attention = 2 * d * (c.rows + c.users) * (1 if c.one_winner else 2)
    return {
        "votes": 6 * c.voting * d * d if c.learned_votes else 0,
        "routing": 2 * d * ((2 * c.iterations - 1) * c.pairs + back_pairs + of_contexts),
        "layers": 2 * areas * (c.rows + 2 * back_rows) + 6 * c.users * context_area(c),
        "attention": attention if c.attends else 6 * d * c.rows,
        "softmax": 6 * (c.users if c.attends else c.rows) * c.negatives * d,
    }


def context_area(c: BatchCounts) -> int:
    """Return the number of weights of the first layer that read the contexts."""
    return c.contexts * c.width * c.widths[1] if c.widths else 0


def as_written_counts(c: BatchCounts) -> BatchCounts:
    """Return the sizes without sharing of items and without skipping of interests."""
    pairs, rows = c.behaviours * c.interests, c.users * c.interests
    return c._replace(pairs=pairs, rows=rows, voting=c.behaviours, one_winner=False)


def step_bytes(c: BatchCounts) -> dict[str, float]:
    """Return the bytes that a step reads or writes, by part.

    table      6 T D numbers: values and two moments of T touched rows, read and written
    matrices   the same for S, the layers and the log weights by age
    batch      an id (8 bytes), K logits and the factors of dropout per behaviour; ids and log
               counts of other items
    """
    layers = sum(i * o + o for i, o in pairwise(c.widths)) + context_area(c)
    matrix = c.width**2 if c.learned_votes else 0
    logits = c.pairs if c.routes else 0
    batch = c.behaviours * 8 + (logits + c.behaviours * c.keeps) * c.itemsize
    return {
        "table": ADAM_TRANSFERS * c.touched * c.width * c.itemsize,
        "matrices": ADAM_TRANSFERS * (matrix + layers + c.ages) * c.itemsize,
        "batch": batch + (c.users + c.negatives) * (8 + c.itemsize),
    }


def product_shapes(c: BatchCounts) -> list[tuple[int, int, int]]:
    """Return the shapes (m, k, n) of the matrix products of a step, k is summed over."""
    rows, users, items, d = (int(x) for x in (c.rows, c.users, c.voting, c.width))
    negatives, scored = int(c.negatives), users if c.attends else rows
    shapes = [(scored, d, negatives), (scored, negatives, d), (negatives, scored, d)]
    shapes += [(items, d, d), (d, items, d)] if c.learned_votes else []
    for i, o in pairwise(c.widths):
        shapes += [(rows, i, o), (rows, o, i), (i, rows, o)]
    return [shape for shape in dict.fromkeys(shapes) if min(shape) > 0]


def bound_seconds(c: BatchCounts, gemm: float, copy: float) -> float:
    """Return the seconds of the bound at these rates (FLOPs/s, bytes/s)."""
    return sum(step_flops(c).values()) / gemm + sum(step_bytes(c).values()) / copy


class MachineRates:
    """Measures the rates of the machine; accepts the commands of a worker (worker.py)."""

    def __init__(self, settings: WorkloadSettings) -> None:
        self.counts = mean_counts(Workload(settings))
        self.threads = settings.threads
        self.operands = [
            tuple(np.ones(shape, settings.dtype) for shape in ((m, k), (k, n), (m, n)))
            for m, k, n in product_shapes(self.counts)
        ]
        self.facts = {"counts": self.counts._asdict()}
        self.source, self.target = (np.ones(COPY_BYTES, np.uint8) for _ in range(2))
        self.pool = ThreadPoolExecutor(self.threads)

    def execute(self, command: dict[str, Any]) -> dict[str, Any]:
        """Measure both rates once; the time of the measurement is not used."""
        if command["do"] == "end":
            return {"memory": None}
        return {"answer": 0.0, "seconds": 0.0, "gemm": self.gemm(), "copy": self.copy()}

    def gemm(self) -> float:
        """Return the rate of the fastest matrix product of a step, in FLOPs/s."""
        rates = []
        for a, b, out in self.operands:
            work = 2 * a.shape[0] * a.shape[1] * b.shape[1]
            rates.append(work / fastest_run(partial(np.matmul, a, b, out=out)))
        return max(rates)

    def copy(self) -> float:
        """Return the copy rate of all threads in bytes/s, counting reads and writes."""
        cuts = np.linspace(0, COPY_BYTES, self.threads + 1).astype(int).tolist()
        parts = [slice(*cut) for cut in pairwise(cuts)]

        def copy_part(part: slice) -> None:
            np.copyto(self.target[part], self.source[part])

        return 2 * COPY_BYTES / fastest_run(lambda: list(self.pool.map(copy_part, parts)))


def fastest_run(work: Callable[[], object]) -> float:
    """Return the seconds of the fastest of several runs."""
    seconds = []
    for _ in range(TRIES):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def lower_bound_report(values: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return the lower bound of a step and its parts."""
    counts = BatchCounts(**{**values, "widths": tuple(values["widths"])})
    gemm, copy = measured["gemm"], measured["copy"]
    as_written = as_written_counts(counts)
    return {
        "counts": counts._asdict(),
        "flops": step_flops(counts),
        "bytes": step_bytes(counts),
        "gemm_flops_per_second": gemm,
        "copy_bytes_per_second": copy,
        "seconds": bound_seconds(counts, gemm, copy),
        "seconds_as_written": bound_seconds(as_written, gemm, copy),
    }


def add_bound_ratios(rows: dict[str, dict[str, Any]], bound: dict[str, Any]) -> None:
    """Add to each row its share of the GEMM peak and its time relative to both bounds."""
    work = sum(bound["flops"].values())
    for row in timing.timed_rows(rows):
        row["share_of_peak"] = work / row["median"] / bound["gemm_flops_per_second"]
        row["times_lower_bound"] = row["median"] / bound["seconds"]
        row["times_as_written"] = row["median"] / bound["seconds_as_written"]
