"""What a step takes by its equations: its products at the peak of this machine, and its memory.

The bound is (FLOPs of the step) / (measured rate of matrix products) + (bytes that must move) /
(measured rate of copying). It counts the products of the pages' equations: no padding, distinct
items once, active interests alone, and nothing for activations, which may stay in the caches.
Routing is counted with the gradient "last". One can do with less: `numba` gets round two products
of the votes and merges equal negatives (specs/speed.md), which is not taken off, so that all are
measured by the same. `word_by_word` counts what it costs to take the equations as they stand: a
vote for every behaviour, and all interests there and back. Nothing here is exact about time: small
products and anything that is no product run slower than the peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from mindref.bench.world import Settings, World
from mindref.models.mind import Batch, active_interests

COPIED = 1 << 26  # bytes of an array that is copied: more than any cache
TRIES = 3
MOVED = 6  # arrays of a row that Adam reads or writes: values and two moments, each way


class Counts(NamedTuple):
    """The sizes of a batch, as means over several."""

    users: float  # B
    behaviours: float  # without padding
    pairs: float  # of a behaviour and an active interest of its user
    rows: float  # active interests of all users
    voting: float  # distinct items among the behaviours
    touched: float  # distinct items of all uses: rows of the table that move
    negatives: float  # S
    width: int  # D
    widths: tuple[int, ...]  # of the layers, D first and last
    interests: int  # K
    rounds: int  # r
    one_winner: bool  # p = infinity: one interest a user has a gradient
    itemsize: int  # bytes of a number


def counts(world: World) -> Counts:
    """Return the mean sizes of the batches of a world."""
    config = world.config
    sizes = np.mean([sizes_of(world, batch) for batch in world.batches], axis=0).tolist()
    widths = (config.width, *config.hidden, config.width)
    one_winner = config.power == float("inf")
    itemsize = np.dtype(config.dtype).itemsize
    fixed = (config.width, widths, config.interests, config.iterations, one_winner, itemsize)
    return Counts._make([*sizes, *fixed])


def sizes_of(world: World, batch: Batch) -> list[int]:
    """Return the first seven fields of `Counts` for a batch."""
    items, mask = batch.histories.items, batch.histories.mask
    active = active_interests(mask, world.config).sum(axis=1)
    voting = np.unique(items[mask])
    touched = np.unique(np.concatenate([voting, batch.target, batch.negatives]))
    pairs = int((mask.sum(axis=1) * active).sum())
    sizes = [len(mask), int(mask.sum()), pairs, int(active.sum())]
    return [*sizes, len(voting), len(touched), len(batch.negatives)]


def flops(c: Counts) -> dict[str, float]:
    """Return the floating-point operations of a step by part; a product and a sum are two.

    votes      6 M D^2: S e of M distinct items, and its gradients by item and by S
    routing    2 P D for each of r sums and r - 1 updates of logits over P pairs of behaviour and
               interest, and for the gradient of the votes in the last round
    layers     2 R I O forward for R active interests and a layer (I, O), twice that backward
    attention  2 R D for the scores, 2 B D for the reading, each as much again backward
    softmax    6 B S D: products with S negatives, and their gradients by user and by negative

    With p = infinity one interest of a user has a gradient: backward, layers count B rows, routing
    one interest a behaviour, and the attention's weights do not move.
    """
    d = c.width
    back_rows, back_pairs = (c.users, c.behaviours) if c.one_winner else (c.rows, c.pairs)
    areas = sum(i * o for i, o in pairwise(c.widths))
    return {
        "votes": 6 * c.voting * d * d,
        "routing": 2 * d * ((2 * c.rounds - 1) * c.pairs + back_pairs),
        "layers": 2 * areas * (c.rows + 2 * back_rows),
        "attention": 2 * d * (c.rows + c.users) * (1 if c.one_winner else 2),
        "softmax": 6 * c.users * c.negatives * d,
    }


def word_by_word(c: Counts) -> Counts:
    """Return the sizes for who sees neither that items come again nor what has no influence."""
    pairs, rows = c.behaviours * c.interests, c.users * c.interests
    return c._replace(pairs=pairs, rows=rows, voting=c.behaviours, one_winner=False)


def moved(c: Counts) -> dict[str, float]:
    """Return the bytes that a step reads or writes, by part.

    table      6 T D numbers: values and two moments of T touched rows, read and written
    matrices   the same for S and the layers
    batch      an id (8 bytes) and K logits for each behaviour; ids and logs of the other uses
    """
    layers = sum(i * o + o for i, o in pairwise(c.widths))
    batch = c.behaviours * 8 + c.pairs * c.itemsize
    return {
        "table": MOVED * c.touched * c.width * c.itemsize,
        "matrices": MOVED * (c.width**2 + layers) * c.itemsize,
        "batch": batch + (c.users + c.negatives) * (8 + c.itemsize),
    }


def products(c: Counts) -> list[tuple[int, int, int]]:
    """Return the shapes (m, k, n) of the products of a step: rows, what is summed over, columns."""
    rows, users, items, d = (int(x) for x in (c.rows, c.users, c.voting, c.width))
    negatives = int(c.negatives)
    shapes = [(items, d, d), (d, items, d), (users, d, negatives), (users, negatives, d)]
    shapes.append((negatives, users, d))
    for i, o in pairwise(c.widths):
        shapes += [(rows, i, o), (rows, o, i), (i, rows, o)]
    return [shape for shape in dict.fromkeys(shapes) if min(shape) > 0]


def bound(c: Counts, gemm: float, copy: float) -> float:
    """Return the seconds that this takes at these rates (FLOPs/s, bytes/s)."""
    return sum(flops(c).values()) / gemm + sum(moved(c).values()) / copy


class Floor:
    """What measures the machine; obeys as a subject does (worker.py)."""

    def __init__(self, settings: Settings) -> None:
        self.counts = counts(World(settings))
        self.threads = settings.threads
        self.operands = [
            tuple(np.ones(shape, settings.dtype) for shape in ((m, k), (k, n), (m, n)))
            for m, k, n in products(self.counts)
        ]
        self.facts = {"counts": self.counts._asdict()}
        self.source, self.target = (np.ones(COPIED, np.uint8) for _ in range(2))
        self.pool = ThreadPoolExecutor(self.threads)

    def obey(self, command: dict[str, Any]) -> dict[str, Any]:
        """Measure once; the seconds are of no interest."""
        if command["do"] == "end":
            return {"memory": None}
        return {"answer": 0.0, "seconds": 0.0, "gemm": self.gemm(), "copy": self.copy()}

    def gemm(self) -> float:
        """Return the rate of the quickest product among those of a step, in FLOPs/s."""
        rates = []
        for a, b, out in self.operands:
            work = 2 * a.shape[0] * a.shape[1] * b.shape[1]
            rates.append(work / least(partial(np.matmul, a, b, out=out)))
        return max(rates)

    def copy(self) -> float:
        """Return the rate of copying on all threads, in bytes/s, read and written."""
        cuts = np.linspace(0, COPIED, self.threads + 1).astype(int).tolist()
        parts = [slice(*cut) for cut in pairwise(cuts)]

        def part(some: slice) -> None:
            np.copyto(self.target[some], self.source[some])

        return 2 * COPIED / least(lambda: list(self.pool.map(part, parts)))


def least(work: Callable[[], Any]) -> float:
    """Return the seconds of the quickest of some runs."""
    found = []
    for _ in range(TRIES):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return min(found)
