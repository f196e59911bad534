"""The gradient of DIN's loss against central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given

from mindref.conformance import strategies
from mindref.models import din
from mindref.models.parameters import flatten, flatten_gradients, unflatten
from mindref.ops.embedding import RowGradient
from tests import kinked_gradients
from tests.models.din_worlds import World, loss, world
from tests.models.test_din import EVERY


def sides(saved: din.Saved) -> list[Any]:
    """Return the side of every rectifier."""
    unit = saved.logits.attention
    passed = [unit.passed, *(x.passed for x in (*unit.layers, *saved.logits.layers))]
    return [side for side in passed if side is not None]


def check(w: World, rng: np.random.Generator, only: str | None = None) -> None:
    """Move all parameters at once, or one of them alone."""
    named = flatten(w.params)
    moving = [only] if only else list(named)
    _, saved = loss(w)

    def function(*moved: Any) -> Any:
        arrays = {**named, **dict(zip(moving, moved, strict=True))}
        out, other = loss(w._replace(params=unflatten(arrays, din.Params)))
        return out, sides(other)

    def backward(cotangent: Any) -> list[Any]:
        gradients = flatten_gradients(din.backward(saved, float(cotangent)))
        found = [gradients[name] for name in moving]
        return [
            g.dense(len(named[name])) if isinstance(g, RowGradient) else g
            for name, g in zip(moving, found, strict=True)
        ]

    kinked_gradients.check(function, backward, [named[name] for name in moving], rng)


@pytest.mark.rules("din-R8")
@EVERY
@given(rng=strategies.generators(), axes=strategies.distinct_sizes(3))
def test_the_gradient_agrees_with_central_differences(
    rng: np.random.Generator, axes: tuple[int, ...], options: dict[str, Any]
) -> None:
    check(world(rng, axes, **options), np.random.default_rng(0))


@pytest.mark.rules("din-R8")
@EVERY
def test_each_parameter_has_a_gradient_of_its_own(options: dict[str, Any]) -> None:
    w = world(np.random.default_rng(2), (3, 4, 5), np.ones((3, 4), bool), **options)
    for name in flatten(w.params):
        check(w, np.random.default_rng(0), name)
