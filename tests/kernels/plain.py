"""Hold every compiled function to the reference: `python -m tests.kernels.plain TYPE...`.

Run by `test_modes.py` under NUMBA_DISABLE_JIT=1, as the plain Python that it is written in, and
under NUMBA_BOUNDSCHECK=1, where an index outside its array raises.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from mindref.backend import OPERATORS
from mindref.conformance.draws.operators import CALLS
from mindref.conformance.judging.engine import draws
from mindref.data.log import Ragged
from mindref.evaluation import top_n
from mindref.kernels import rounds
from mindref.kernels.fused.layers import USERS
from tests.evaluation.test_top_n import as_lists, brute
from tests.kernels.cases import agree, compiled, crowd, judged, questions
from tests.models.worlds import OPTIONS, World, world

EXAMPLES = 6
FEW: dict[str, Any] = {
    "items": 40,
    "negatives": 18,
    "length": 3,
    "interests": 2,
    "width": 3,
    "iterations": 2,
}


def asked_in(dtypes: list[str]) -> int:
    """Return how many questions were answered as the reference does."""
    subject, asked = compiled(), 0
    for stem in OPERATORS:
        for call in draws(CALLS[stem], EXAMPLES, 0):
            for dtype in dtypes:
                judged(call.to(dtype), subject)
                asked += 1
    for dtype in dtypes:
        for w in worlds(dtype):
            for call in questions(w):
                agree(call, subject)
                asked += 1
        asked += ranked_in(dtype)
    if "float32" not in dtypes:  # one world of it: for exponentials and lanes of its own
        for call in questions(crowd(USERS + 2, **FEW, dtype="float32")):
            agree(call, subject)
            asked += 1
    return asked


def worlds(dtype: str) -> Iterator[World]:
    """Yield small worlds with each option and gradient, and one of two blocks of users."""
    for option in OPTIONS:
        for how in ({"routing_gradient": "last"}, {"routing_gradient": "all", "power": 2.0}):
            settings = {**how, **option, "dtype": dtype}
            yield world(np.random.default_rng(1), (3, 5, 5, 3), **settings)
    yield crowd(USERS + 2, **FEW, dtype=dtype)


def ranked_in(dtype: str) -> int:
    """Return how many lists were those of the definition: short and long ones, ties, nobody's."""
    asked = 0
    for n, score in product((1, 7, 400), ("max", "sum")):
        rng = np.random.default_rng(n)
        interests, items = rng.integers(-2, 3, (4, 3, 2)), rng.integers(-2, 3, (600, 2))
        given = (interests.astype(dtype), rng.random((4, 3)) < 0.7, items.astype(dtype))
        given[1][0] = False
        exclude = Ragged.of([rng.integers(0, 600, 9) for _ in range(4)])
        found = top_n.top_n(*given, n=n, exclude=exclude, score=score)
        expected = brute(*given, n, exclude, score)
        assert as_lists(found) == expected, f"top_n, {n} by {score}"
        shuffled = rng.permuted(found.items, axis=1)
        again = top_n.rerank(*given, shuffled, n=n + 2, score=score)
        assert as_lists(again) == expected, f"rerank, {n} by {score}"
        asked += 2
    return asked


if __name__ == "__main__":
    with np.errstate(all="ignore"):  # NumPy's numbers warn where compiled ones do not
        count = asked_in(sys.argv[1:])
    how = "compiled" if hasattr(rounds.route, "py_func") else "in plain Python"
    print(f"{count} answers agree, {how}")
