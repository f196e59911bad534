"""Calls of pooled_softmax to test on."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal, read_only
from mindref.ops import pooled_softmax
from tests.ops import softmax_cases

SHARPNESS = [0.0, 0.3, 1.0, 4.0, 50.0, np.inf]
OPTIONS: list[dict[str, Any]] = [{}, {"temperature": 0.5, "normalise": True}, {"temperature": 3.0}]


class Case(NamedTuple):
    """The arguments of one call, in their order."""

    interests: Any
    active: Any
    target: Any
    negatives: Any
    target_ids: Any
    negative_ids: Any
    target_log_expected: Any
    negative_log_expected: Any

    def first_users(self, count: int) -> Case:
        """Return the call with its first users only."""
        shared = ("negatives", "negative_ids", "negative_log_expected")
        return Case(*(x if n in shared else x[:count] for n, x in self._asdict().items()))

    def of_one_interest(self, places: Any) -> tuple[Case, softmax_cases.Case]:
        """Return the call with one active interest a user, and that of sampled_softmax."""
        active = np.arange(self.active.shape[1]) == places[:, None]
        return self._replace(active=active), softmax_cases.Case(
            self.interests[np.arange(len(places)), places], *self[2:]
        )


@st.composite
def cases(draw: st.DrawFn, dtype: Any = np.float64) -> tuple[Case, np.random.Generator]:
    """Draw a call with few different ids, so that hits and repeats abound."""
    b, k, s, d = draw(strategies.distinct_sizes(4))
    rng = draw(strategies.generators())
    ids = [read_only(rng.integers(0, 6, n)) for n in (b, s)]
    items = [normal(rng, n, d, dtype=dtype) for n in (b, s)]
    logs = [normal(rng, n, dtype=dtype) for n in (b, s)]
    active = rng.permuted(draw(strategies.actives(b, k)), axis=1)
    return Case(normal(rng, b, k, d, dtype=dtype), read_only(active), *items, *ids, *logs), rng


def of_products(
    target: list[float], negatives: list[list[float]], dtype: Any = np.float64, **numbers: Any
) -> tuple[Any, Any]:
    """Return the loss and what was saved for one user whose products with the items are these.

    target (K,) and negatives (S, K): the interests are the unit vectors of K axes.
    """
    count = len(target)
    return pooled_softmax.forward(
        np.eye(count, dtype=dtype)[None],
        np.ones((1, count), bool),
        np.array([target], dtype),
        np.array(negatives, dtype).reshape(-1, count),
        np.array([99]),
        np.arange(len(negatives)),
        np.zeros(1, dtype),
        np.zeros(len(negatives), dtype),
        **numbers,
    )


def fixed_case(seed: int = 0) -> Case:
    """Return a call with three users of four, two and one interests, a hit and a repeat."""
    rng = np.random.default_rng(seed)
    ids = read_only(np.array([1, 2, 3])), read_only(np.array([1, 4, 4, 5, 6]))
    active = read_only(np.arange(4) < np.array([[4], [2], [1]]))
    vectors = normal(rng, 3, 5), normal(rng, 5, 5)
    return Case(normal(rng, 3, 4, 5), active, *vectors, *ids, normal(rng, 3), normal(rng, 5))
