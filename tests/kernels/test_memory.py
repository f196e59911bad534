"""A step that has run before takes its memory from kept buffers: no large array comes and goes.

What is still made anew is the room for the votes of one block of items, of a fixed size, and small
things: views, counters, the users' profiles, the distinct rows. The bound is that block and half as
much; every buffer whose size grows with users, items or negatives is larger in this batch, so a
temporary of the size of any one of them does not fit. tracemalloc sees what NumPy allocates.
"""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.step import Step
from tests.kernels.cases import crowd

WIDTH = 32
BOUND = ITEMS * WIDTH * 4 * 3 // 2
LARGE = (
    "p", "x0", "x1", "x2", "sent0", "sent1", "d_x0", "d_x1", "d_x2", "found", "d_users",
    "vectors", "d_vectors", "votes", "d_sums", "sent_to_items", "means", "capsules", "unit",
    "negatives", "d_negatives",
)  # fmt: skip
W = crowd(
    480, items=4000, negatives=2000, width=WIDTH, interests=8, hidden=[64], dtype="float32"
)  # fmt: skip


def used(backend: NumbaBackend, state: Any) -> tuple[int, int]:
    """Return the peak of memory during a step, and what is still held after it."""
    tracemalloc.start()
    try:
        backend.step(state, W.batch, W.catalogue, W.config, 0.01)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return peak, held


@pytest.fixture
def warm() -> tuple[NumbaBackend, Any]:
    """The backend after two steps."""
    backend = NumbaBackend()
    state = backend.init(W.params, W.config)
    for _ in range(2):
        backend.step(state, W.batch, W.catalogue, W.config, 0.01)
    return backend, state


def test_a_step_makes_no_large_temporary_and_keeps_nothing(warm: tuple[NumbaBackend, Any]) -> None:
    backend, state = warm
    buffers = dict(backend.work().buffers)
    for name in LARGE:
        assert buffers[name].nbytes > BOUND, f"the batch is too small to tell {name} from nothing"
    peak, held = used(backend, state)
    assert peak < BOUND
    assert held < BOUND // 10
    assert all(backend.work().buffers[name] is x for name, x in buffers.items())


@pytest.mark.parametrize("name", ["votes", "vectors", "d_vectors"])
def test_a_temporary_of_the_size_of_a_buffer_is_seen(
    warm: tuple[NumbaBackend, Any], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = Step.tasks

    def wasteful(step: Step) -> Any:
        getattr(step, name).copy()
        return tasks(step)

    monkeypatch.setattr(Step, "tasks", wasteful)
    assert used(*warm)[0] > BOUND


def test_a_smaller_batch_fits_into_what_is_there(warm: tuple[NumbaBackend, Any]) -> None:
    backend, state = warm
    before = {name: x.nbytes for name, x in backend.work().buffers.items()}
    small = crowd(
        100, items=4000, negatives=500, width=WIDTH, interests=8, hidden=[64], dtype="float32"
    )
    backend.step(state, small.batch, small.catalogue, small.config, 0.01)
    assert {name: x.nbytes for name, x in backend.work().buffers.items()} == before
