"""Hypothesis strategies for property tests: sizes, masks, active interests and seeded arrays.

All sizes differ, so code that confuses two axes raises an error. Arrays are read-only, so code that
writes to an input raises an error. This module needs the extra `conformance`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from mindref.shapes import Array, Bools

POOL = (1, 2, 3, 5, 7, 4, 6, 8)
"""Sizes to draw from. Hypothesis shrinks failing examples towards the first sizes."""


Sizes = tuple[int, ...] | None
"""The sizes of the axes of a call. If None, the sizes are drawn."""

MakeStrategy = TypeVar("MakeStrategy", bound=Callable[..., Any])


class RoutingCase(NamedTuple):
    """The array arguments of `routing.forward`, in order."""

    history: Array  # (B, L, D)
    mask: Bools  # (B, L)
    bilinear: Array  # (D, D), or (L, K, D, D) for general capsule routing
    init_logits: Array  # (B, L, K)
    active: Bools  # (B, K)


def share_strategy(make: MakeStrategy) -> MakeStrategy:
    """Return a `make` that returns the same object for equal arguments.

    Checks with the same strategy object share drawn calls. Numbers inside tuples must not differ
    in type only: (1, 2) and (1.0, 2) are equal.
    """
    return lru_cache(maxsize=None, typed=True)(make)  # type: ignore[return-value]


def distinct_sizes(count: int, pool: tuple[int, ...] = POOL) -> st.SearchStrategy[tuple[int, ...]]:
    """Draw a tuple of `count` different sizes from `pool`."""
    return st.permutations(pool).map(lambda order: tuple(order[:count]))


def generators() -> st.SearchStrategy[np.random.Generator]:
    """Draw a seeded NumPy generator. If a test fails, Hypothesis prints the seed."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def normal(
    rng: np.random.Generator, *shape: int, dtype: npt.DTypeLike = np.float64, scale: float = 1.0
) -> Array:
    """Return a read-only array of random numbers from N(0, scale^2)."""
    return read_only((scale * rng.standard_normal(shape)).astype(dtype))


def read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Make `array` read-only, and return it."""
    array.setflags(write=False)
    return array


@st.composite
def masks(draw: st.DrawFn, users: int, length: int) -> Bools:
    """Draw a mask (B, L) with padding right, left or scattered. A history may be empty."""
    counts = draw(st.lists(st.integers(0, length), min_size=users, max_size=users))
    mask = np.arange(length) < np.array(counts)[:, None]
    padding = draw(st.sampled_from(("right", "left", "scattered")))
    if padding == "left":
        mask = mask[:, ::-1].copy()
    if padding == "scattered":
        mask = draw(generators()).permuted(mask, axis=1)
    return read_only(mask)


@st.composite
def actives(draw: st.DrawFn, users: int, interests: int) -> Bools:
    """Draw a mask (B, K): true for the first K' interests of each user, 1 <= K' <= K."""
    counts = draw(st.lists(st.integers(1, interests), min_size=users, max_size=users))
    active = np.arange(interests) < np.array(counts)[:, None]
    return read_only(active)


def most_positions(rng: np.random.Generator, users: int, length: int) -> Bools:
    """Return a mask (B, L): true for about nine of ten positions, padding is scattered."""
    return read_only(rng.random((users, length)) < 0.9)


def most_interests(rng: np.random.Generator, users: int, interests: int) -> Bools:
    """Return a mask (B, K): true for the first K' interests of each user, K / 2 < K' <= K."""
    counts = rng.integers(interests // 2 + 1, interests + 1, users)
    return read_only(np.arange(interests) < counts[:, None])


@st.composite
def routing_cases(
    draw: st.DrawFn, *, general: bool = False, dtype: npt.DTypeLike = np.float64
) -> RoutingCase:
    """Draw the arrays of a routing call. If `general`, `bilinear` has shape (L, K, D, D)."""
    b, l, k, d = draw(distinct_sizes(4))  # noqa: E741  # the axis letters of specs/notation.md
    rng = draw(generators())
    matrices = (l, k, d, d) if general else (d, d)
    return RoutingCase(
        normal(rng, b, l, d, dtype=dtype),
        draw(masks(b, l)),
        normal(rng, *matrices, dtype=dtype, scale=d**-0.5),
        normal(rng, b, l, k, dtype=dtype),
        draw(actives(b, k)),
    )
