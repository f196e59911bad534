"""Calls of sampled_softmax and pooled_softmax.

Sampled softmax is the loss of the first interest of a case; it has no sharpness, here "sampled".
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import strategies as st

from mindref.conformance import strategies
from mindref.conformance.strategies import normal, read_only
from mindref.ops import pooled_softmax, sampled_softmax
from tests.assertions import assert_close

SAMPLED = "sampled"
SHARPNESS: list[Any] = [0.0, 0.3, 1.0, 4.0, 50.0, np.inf]
EXTREME_SHARPNESS: list[Any] = [0.0, 1e-300, 0.3, 1.0, 50.0, 1e300, np.inf]
OPTIONS: list[dict[str, Any]] = [{}, {"temperature": 0.5, "normalise": True}, {"temperature": 3.0}]
EACH = pytest.mark.parametrize("sharpness", [SAMPLED, *SHARPNESS])
EACH_EXTREME = pytest.mark.parametrize("sharpness", [SAMPLED, *EXTREME_SHARPNESS])
EACH_OPTION = pytest.mark.parametrize("options", OPTIONS, ids=["plain", "unit", "warm"])
TYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
NAMES = ("out", "d_interests", "d_target", "d_negatives")


class Case(NamedTuple):
    """The arguments of one call of pooled_softmax, in their order."""

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

    def first_negatives(self, count: int, start: int = 0) -> Case:
        """Return the call with some of its negatives only."""
        names = ("negatives", "negative_ids", "negative_log_expected")
        return self._replace(**{n: getattr(self, n)[start : start + count] for n in names})

    def of_one_interest(self, interest: Any) -> Case:
        """Return the call with one active interest per user."""
        return self._replace(active=np.arange(self.active.shape[1]) == interest[:, None])

    def astype(self, dtype: Any) -> Case:
        return Case(*(x.astype(dtype) if x.dtype.kind == "f" else x for x in self))


def forward(case: Case, sharpness: Any, **options: Any) -> tuple[Any, Any]:
    """Return the loss, and what is saved for backward."""
    if sharpness == SAMPLED:
        return sampled_softmax.forward(case.interests[:, 0], *case[2:], **options)
    return pooled_softmax.forward(*case, sharpness=sharpness, **options)


def backward(d_out: float, saved: Any, case: Case) -> list[Any]:
    """Return the gradients of interests, target and negatives."""
    if isinstance(saved, pooled_softmax.Saved):
        return list(pooled_softmax.backward(d_out, saved))
    d_user, *d_items = sampled_softmax.backward(d_out, saved)
    d_interests = np.zeros_like(case.interests)
    d_interests[:, 0] = d_user
    return [d_interests, *d_items]


def run(case: Case, sharpness: Any, **options: Any) -> list[Any]:
    """Return the loss and its gradients."""
    out, saved = forward(case, sharpness, **options)
    return [out, *backward(1.0, saved, case)]


def assert_same_results(got: list[Any], expected: list[Any]) -> None:
    """Compare loss and gradients."""
    for name, x, y in zip(NAMES, got, expected, strict=True):
        assert_close(x, y, name)


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


def of_products(target: list[float], negatives: list[list[float]], dtype: Any = np.float64) -> Case:
    """Return a call of one user with these products with the items, which are all different.

    target (K,) and negatives (S, K): the interests are the unit vectors of K axes.
    """
    count = len(target)
    vectors = np.array([target], dtype), np.array(negatives, dtype).reshape(-1, count)
    ids = np.array([99]), np.arange(len(negatives))
    logs = np.zeros(1, dtype), np.zeros(len(negatives), dtype)
    interests = np.eye(count, dtype=dtype)[None]
    return Case(interests, np.ones((1, count), bool), *vectors, *ids, *logs)


def fixed_case(seed: int = 0) -> Case:
    """Return a call with three users of four, two and one interests, a hit and a repeat."""
    rng = np.random.default_rng(seed)
    ids = read_only(np.array([1, 2, 3])), read_only(np.array([1, 4, 4, 5, 6]))
    active = read_only(np.arange(4) < np.array([[4], [2], [1]]))
    vectors = normal(rng, 3, 5), normal(rng, 5, 5)
    return Case(normal(rng, 3, 4, 5), active, *vectors, *ids, normal(rng, 3), normal(rng, 5))


def special_calls() -> Iterator[tuple[Case, dict[str, Any]]]:
    """Yield calls with equal, inactive, huge and non-finite interests, and with few negatives."""
    case = fixed_case()
    equal = case.interests.copy()
    equal[0, 3] = equal[0, 1]  # they share the weight, or the first has it
    equal[0, [0, 2]] = -10 * equal[0, 1]
    scaled = [scale * case.interests for scale in (0.0, 1e-200, 1.0, 20.0, 1e4, 1e150)]
    for interests in (equal, *scaled):
        yield case._replace(interests=interests), {}
    for garbage in (np.nan, np.inf):
        not_read = np.where(case.active[..., None], case.interests, garbage)
        for normalise in (False, True):
            yield case._replace(interests=not_read), {"normalise": normalise}
    for ids in ([], [1], [1, 1]):  # none, or only hits of the first user
        few = case.first_negatives(len(ids))
        yield few._replace(negative_ids=np.array(ids, np.int64)), {}
    places = [("interests", (0, 2, 1)), ("target", (0, 3)), ("negatives", (2, 3))]
    for (name, index), bad in product([*places, ("negatives", (0, 3))], (np.inf, -np.inf, np.nan)):
        x = getattr(case, name).copy()
        x[index] = bad
        yield case._replace(**{name: x}), {}
    interests, ids, zero = np.array([[[1e200], [1e-200]]]), np.array([1, 2]), np.zeros(1)
    for target, negative in ((1e-200, -1e200), (-1e200, 1e-200)):  # an infinity of weight zero
        items = np.array([[target]]), np.array([[negative]]), ids[:1], ids[1:], zero, zero
        yield Case(interests, np.ones((1, 2), bool), *items), {}


def invalid_calls() -> list[tuple[Case, dict[str, Any]]]:
    """Return calls with one invalid argument each."""
    case, fits = fixed_case(), {"sharpness": 1.0}
    return [
        (case._replace(target=case.target[:2]), fits),
        (case._replace(target=case.target.astype("float32")), fits),
        (case._replace(active=case.active.astype(float)), fits),
        (case._replace(active=case.active & False), fits),
        (case._replace(negative_log_expected=np.full(5, -np.inf)), fits),
        (case.first_users(0), fits),
        (case, {"sharpness": -1.0}),
        (case, {"sharpness": 1.0, "temperature": 0.0}),
    ]
