"""Invalid values, and valid data with one value replaced by an invalid one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**400, 10**5000, 0.5, -0.0, 1e308,
    float("nan"), float("inf"), float("-inf"), "", " ", "inf", "nan", "1", "1_0", "9" * 5000,
    "\ud800", "\0", "\x1b[2J", "\n", "../../x", "/", "x" * 300_000, "\u0661", "none", "a,b",
    [], [[]], [None], {}, {"a": 1}, [0], [-1], [1e9], [10**18], ["x"], [1] * 1000, [[[[[1]]]]],
]  # fmt: skip


def values() -> st.SearchStrategy[Any]:
    """Draw a value of any kind that TOML or JSON can hold."""
    return st.one_of(
        st.sampled_from(NASTY).map(copy.deepcopy),  # one value in a list may be spoiled next
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )


def paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every value within a value of JSON."""
    yield at
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[key], (*at, key))


@st.composite
def spoiled(draw: st.DrawFn, original: Any) -> Any:
    """Draw a copy in which one or two values are others, missing, or more than there should be."""
    changed = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 2))):
        path = draw(st.sampled_from(list(paths(changed))))
        if not path:
            return draw(values())
        *above, last = path
        container = changed
        for key in above:
            container = container[key]
        if draw(st.booleans()) or isinstance(container, list):
            container[last] = draw(values())
        else:
            del container[last]
        if draw(st.booleans()) and isinstance(container, dict):
            container[draw(st.text(max_size=5))] = draw(values())
    return changed
