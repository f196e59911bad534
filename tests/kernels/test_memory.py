"""A step that has run before takes its memory from kept buffers: no large array comes and goes.

What is still made anew is room of a fixed size, for the votes of one block of items (with gradient
"all") and of one tile of users, and small things: views, counters, the users' profiles. The bound
is that of a block of items and half as much; every buffer whose size grows with users, items or
negatives is larger in this batch, so a temporary of the size of any one of them does not fit.
tracemalloc sees what NumPy allocates, and what compiled functions do.
"""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any, NamedTuple

import pytest

from mindref.kernels.backend import NumbaBackend
from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.step import Step
from tests.kernels.cases import crowd

WIDTH = 32
BOUND = ITEMS * WIDTH * 4 * 3 // 2
LARGE = (
    "p", "x0", "x1", "x2", "sent0", "sent1", "d_x0", "d_x1", "d_x2", "found", "d_users",
    "vectors", "d_vectors", "votes", "capsules", "unit", "negatives", "d_negatives",
)  # fmt: skip
ALSO = {"last": ("d_sums", "sent_to_items", "means"), "all": ("d_votes", "d_logits", "d_capsules")}
W = crowd(
    480, items=4000, negatives=2000, width=WIDTH, interests=8, hidden=[64], dtype="float32"
)  # fmt: skip


class Warm(NamedTuple):
    """A backend after two steps with a gradient of routing."""

    backend: NumbaBackend
    state: Any
    config: Any

    def used(self) -> tuple[int, int]:
        """Return the peak of memory during a step, and what is still held after it."""
        tracemalloc.start()
        try:
            self.backend.step(self.state, W.batch, W.catalogue, self.config, 0.01)
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        return peak, held


@pytest.fixture(params=ALSO)
def warm(request: pytest.FixtureRequest) -> Warm:
    """The backend after two steps."""
    backend, config = NumbaBackend(), dataclasses.replace(W.config, routing_gradient=request.param)
    state = backend.init(W.params, config)
    for _ in range(2):
        backend.step(state, W.batch, W.catalogue, config, 0.01)
    return Warm(backend, state, config)


def test_a_step_makes_no_large_temporary_and_keeps_nothing(warm: Warm) -> None:
    buffers = dict(warm.backend.work().buffers)
    for name in (*LARGE, *ALSO[warm.config.routing_gradient]):
        assert buffers[name].nbytes > BOUND, f"the batch is too small to tell {name} from nothing"
    peak, held = warm.used()
    assert peak < BOUND
    assert held < BOUND // 10
    assert all(warm.backend.work().buffers[name] is x for name, x in buffers.items())


@pytest.mark.parametrize("name", ["votes", "vectors", "d_vectors"])
def test_a_temporary_of_the_size_of_a_buffer_is_seen(
    warm: Warm, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = Step.blocks

    def wasteful(step: Step) -> Any:
        getattr(step, name).copy()
        return blocks(step)

    monkeypatch.setattr(Step, "blocks", wasteful)
    assert warm.used()[0] > BOUND


def test_a_smaller_batch_fits_into_what_is_there(warm: Warm) -> None:
    before = {name: x.nbytes for name, x in warm.backend.work().buffers.items()}
    small = crowd(
        100, items=4000, negatives=500, width=WIDTH, interests=8, hidden=[64], dtype="float32"
    )
    warm.backend.step(warm.state, small.batch, small.catalogue, warm.config, 0.01)
    assert {name: x.nbytes for name, x in warm.backend.work().buffers.items()} == before
