"""A step that has run before uses its reused buffers: it allocates no large array.

Still allocated are arrays of a fixed size, for the votes of one block of items (with gradient
"all") and of one tile of users, and small ones: views, counters, the users' profiles. The bound
is one and a half times a block of items. The backend has one thread, because each thread allocates
its own blocks. Every buffer whose size grows with users, items or negatives is larger than the
bound in this batch, so the bound detects any temporary of that size.
tracemalloc sees the allocations of NumPy and of compiled functions.
"""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any, NamedTuple

import pytest

from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.forward import BLOCK_ITEMS
from mindref.kernels.fused.step import FusedStep
from tests.kernels.cases import large_world

WIDTH = 32
BOUND = BLOCK_ITEMS * WIDTH * 4 * 3 // 2
LARGE_BUFFERS = (
    "products", "x0", "x1", "x2", "selected_x0", "selected_x1", "d_x0", "d_x1", "d_x2", "interests",
    "d_interests",
    "vectors", "d_vectors", "votes", "capsules", "unit", "negatives", "d_negatives",
)  # fmt: skip
ROUTING_BUFFERS = {
    "last": ("d_z", "d_projected", "item_sums"),
    "all": ("d_votes", "d_logits", "d_capsules"),
}
WORLD = large_world(
    480, items=4000, negatives=2000, width=WIDTH, interests=8, hidden=[64], dtype="float32"
)  # fmt: skip


class WarmBackend(NamedTuple):
    """A backend after two steps with a gradient of routing."""

    backend: NumbaBackend
    state: Any
    config: Any

    def used(self):
        """Return the peak of memory during a step, and the memory that is held after it.

        Each is the smallest of three steps. What a step allocates, it allocates in each of them;
        the memory of a dict of Python that grows is not in all three.
        """
        peaks, held = zip(*(self.used_by_one_step() for _ in range(3)), strict=True)
        return min(peaks), min(held)

    def used_by_one_step(self):
        """Return the peak of memory during the next step, and the memory held after it.

        A traced step comes first: it replaces small objects that were allocated before the trace.
        """
        tracemalloc.start()
        try:
            self.step()
            before, _ = tracemalloc.get_traced_memory()
            tracemalloc.reset_peak()
            self.step()
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak - before, after - before

    def step(self):
        self.backend.step(self.state, WORLD.batch, WORLD.catalogue, self.config, 0.01)


@pytest.fixture(params=ROUTING_BUFFERS)
def warm_backend(request):
    """The backend after two steps."""
    backend = NumbaBackend(threads=1)
    config = dataclasses.replace(WORLD.config, routing_gradient=request.param)
    state = backend.init(WORLD.params, config)
    for _ in range(2):
        backend.step(state, WORLD.batch, WORLD.catalogue, config, 0.01)
    return WarmBackend(backend, state, config)


def test_a_step_allocates_no_large_array_and_retains_nothing(warm_backend):
    buffers = dict(warm_backend.backend.workspace().buffers)
    for name in (*LARGE_BUFFERS, *ROUTING_BUFFERS[warm_backend.config.routing_gradient]):
        assert buffers[name].nbytes > BOUND, f"the batch is too small for the buffer {name}"
    peak, held = warm_backend.used()
    assert peak < BOUND
    assert held < BOUND // 10
    assert all(warm_backend.backend.workspace().buffers[name] is x for name, x in buffers.items())


@pytest.mark.parametrize("name", ["votes", "vectors", "d_vectors"])
def test_the_bound_detects_a_temporary_as_large_as_a_buffer(warm_backend, name, monkeypatch):
    user_blocks = FusedStep.user_blocks

    def wasteful(step):
        step.work.buffers[name].copy()
        return user_blocks(step)

    monkeypatch.setattr(FusedStep, "user_blocks", wasteful)
    assert warm_backend.used()[0] > BOUND


def test_a_smaller_batch_allocates_no_buffer(warm_backend):
    backend = warm_backend.backend
    before = {name: x.nbytes for name, x in backend.workspace().buffers.items()}
    small = large_world(
        100, items=4000, negatives=500, width=WIDTH, interests=8, hidden=[64], dtype="float32"
    )
    backend.step(warm_backend.state, small.batch, small.catalogue, warm_backend.config, 0.01)
    assert {name: x.nbytes for name, x in backend.workspace().buffers.items()} == before
