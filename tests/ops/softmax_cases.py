"""Calls of sampled_softmax to test on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal, read_only
from mindref.ops import sampled_softmax


class Case(NamedTuple):
    """The arguments of one call, in their order."""

    user: Any
    target: Any
    negatives: Any
    target_ids: Any
    negative_ids: Any
    target_log_expected: Any
    negative_log_expected: Any

    def first_users(self, count: int) -> Case:
        """Return the call with its first users only."""
        of_users = ("user", "target", "target_ids", "target_log_expected")
        return self._replace(**{name: getattr(self, name)[:count] for name in of_users})


@st.composite
def cases(draw: st.DrawFn, dtype: Any = np.float64) -> tuple[Case, np.random.Generator]:
    """Draw a call with few different ids, so that hits and repeats abound."""
    b, s, d = draw(strategies.distinct_sizes(3))
    rng = draw(strategies.generators())
    ids = [read_only(rng.integers(0, 6, n)) for n in (b, s)]
    vectors = [normal(rng, n, d, dtype=dtype) for n in (b, b, s)]
    logs = [normal(rng, n, dtype=dtype) for n in (b, s)]
    return Case(*vectors, *ids, *logs), rng


def of_logits(target: float, negatives: list[float], dtype: Any = np.float64) -> tuple[Any, Any]:
    """Return the loss and its gradients for one user with these logits and different items."""
    count = len(negatives)
    return sampled_softmax.forward(
        np.ones((1, 1), dtype),
        np.array([[target]], dtype),
        np.array(negatives, dtype).reshape(count, 1),
        np.array([99]),
        np.arange(count),
        np.zeros(1, dtype),
        np.zeros(count, dtype),
    )


def fixed_case(seed: int = 0) -> Case:
    """Return a call with three users, five negatives, a hit and a repeat."""
    rng = np.random.default_rng(seed)
    ids = read_only(np.array([1, 2, 3])), read_only(np.array([1, 4, 4, 5, 6]))
    vectors = (normal(rng, 3, 4), normal(rng, 3, 4), normal(rng, 5, 4))
    return Case(*vectors, *ids, normal(rng, 3), normal(rng, 5))
