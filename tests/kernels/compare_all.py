"""Compare every compiled function with the reference.

Usage: `python -m tests.kernels.compare_all`. test_plain_python.py runs this module with
NUMBA_DISABLE_JIT=1, as plain Python, where an index out of bounds raises IndexError.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from mindref.backend import OPERATORS
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.runner.drawn_calls import cached_calls
from mindref.data.log import Ragged
from mindref.kernels import routing
from mindref.kernels.fused.layers import BLOCK_USERS
from mindref.recall.exact import rescore_candidates, search_top_n
from mindref.recall.retrieval import ItemFilter
from tests.backends.families import ITEM_VOTES, POOLED, WITH_LAYERS, check_fused_world
from tests.kernels.cases import (
    agree_with_reference,
    check_call,
    large_world,
    model_calls,
    numba_implementation,
)
from tests.models.worlds import OPTIONS, World, plus_world, world, youtube_world
from tests.recall.brute_force import as_lists, brute_force

EXAMPLES = 6
FEW: dict[str, Any] = {
    "items": 40,
    "negatives": 18,
    "length": 3,
    "interests": 2,
    "width": 3,
    "iterations": 2,
}
YOUTUBE = {"model": "youtube_dnn", "normalise": True, "temperature": 0.3}
PLUS = (
    WITH_LAYERS,
    {**ITEM_VOTES, "dropout": 0.5},
    {**POOLED, "head": "residual", "contexts": 2, "recency": "shared"},
    {"attention": "label", "recency": "interests", "contexts": 1},
)
DTYPES = ("float64", "float32")


def compare_calls() -> int:
    """Return how many calls agreed with the reference."""
    subject, calls = numba_implementation(), 0
    for stem in OPERATORS:
        for call in cached_calls(CALLS[stem], EXAMPLES, 0):
            for dtype in DTYPES:
                check_call(call.to(dtype), subject)
                calls += 1
    for dtype in DTYPES:
        for w in small_worlds(dtype):
            for call in model_calls(w):
                agree_with_reference(call, subject)
                calls += 1
        for recency in (False, True):
            check_fused_world(youtube_world(1, (3, 5, 3), recency=recency, **YOUTUBE, dtype=dtype))
            calls += 1
        for options in PLUS:
            check_fused_world(plus_world(1, (3, 5, 4, 3), keep=True, **options, dtype=dtype))
            calls += 1
        calls += compare_top_n(dtype)
    return calls


def small_worlds(dtype: str) -> Iterator[World]:
    """Yield small worlds with each option and gradient, and one of two blocks of users."""
    for option in OPTIONS:
        for gradient in ({"routing_gradient": "last"}, {"routing_gradient": "all", "power": 2.0}):
            settings = {**gradient, **option, "dtype": dtype}
            yield world(np.random.default_rng(1), (3, 5, 5, 3), **settings)
    yield large_world(BLOCK_USERS + 2, **FEW, dtype=dtype)


def compare_top_n(dtype: str) -> int:
    """Return how many lists agreed with the definition: short, long, with ties, or empty."""
    lists = 0
    for n, score in product((1, 7, 400), ("max", "sum")):
        rng = np.random.default_rng(n)
        interests, items = rng.integers(-2, 3, (4, 3, 2)), rng.integers(-2, 3, (600, 2))
        arrays = (interests.astype(dtype), rng.random((4, 3)) < 0.7, items.astype(dtype))
        arrays[1][0] = False
        exclude = Ragged.of([rng.integers(0, 600, 9) for _ in range(4)])
        result = search_top_n(*arrays, n=n, exclude=exclude, score=score)
        hidden = ItemFilter(exclude=exclude)
        expected = brute_force(*arrays, n=n, item_filter=hidden, score=score)
        assert as_lists(result) == expected, f"top_n, {n} by {score}"
        shuffled = rng.permuted(result.items, axis=1)
        again = rescore_candidates(*arrays, shuffled, n=n + 2, score=score)
        assert as_lists(again) == expected, f"rerank, {n} by {score}"
        lists += 2
    return lists


if __name__ == "__main__":
    with np.errstate(all="ignore"):  # NumPy scalars warn, compiled code does not
        count = compare_calls()
    mode = "compiled" if hasattr(routing.route_users, "py_func") else "in plain Python"
    print(f"{count} results agree, {mode}")
