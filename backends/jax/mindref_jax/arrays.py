"""The operators from NumPy to NumPy, as the contract of a backend wants them.

Spec: specs/backend.md. Every result is copied on its way out, so it shares memory with nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mindref.errors import ShapeError
from mindref.ops.embedding import RowGradient  # the type alone
from mindref.shapes import Array, Ints
from mindref_jax import (
    embedding,
    label_attention,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)
from mindref_jax.devices import computing


class Operator(NamedTuple):
    """An operator of JAX, what it refuses, and which of its arguments have a gradient."""

    function: Callable[..., Any]
    check: Callable[..., None]
    moving: tuple[int, ...]


OPERATORS = {
    "embedding": Operator(embedding.embedding, embedding.check, (0,)),
    "softmax": Operator(softmax.softmax, softmax.check, (0,)),
    "squash": Operator(squash.squash, squash.check, (0,)),
    "routing": Operator(routing.routing, routing.check, (0, 2, 3)),
    "relu_layer": Operator(relu_layer.relu_layer, relu_layer.check, (0, 1, 2)),
    "label_attention": Operator(label_attention.label_attention, label_attention.check, (0, 1)),
    "sampled_softmax": Operator(sampled_softmax.sampled_softmax, sampled_softmax.check, (0, 1, 2)),
}


class OnDevice(NamedTuple):
    """An operator as the contract has it, computed on one device."""

    stem: str
    device: Any

    def forward(self, *arrays: Array, **numbers: Any) -> tuple[Array, Any]:
        """Return the result and what is saved: for routing its couplings, else nothing."""
        with computing(self.device):
            given = checked(self.stem, arrays, numbers)
            found = COMPILED[self.stem](given, frozenset(numbers.items()))
            if self.stem != "routing":
                return fetched(found), None
            out, couplings = found
            return fetched(out), SimpleNamespace(couplings=fetched(couplings))


def ops(device: Any = None) -> SimpleNamespace:
    """Return the operators on a device; None is where JAX computes by itself."""
    return SimpleNamespace(**{stem: OnDevice(stem, device) for stem in OPERATORS})


def differentiate(
    stem: str,
    arrays: Sequence[Array],
    numbers: Mapping[str, Any],
    d_out: Array,
    device: Any = None,
) -> list[Any]:
    """Return the gradients of the arguments that the page lists."""
    with computing(device):
        given = checked(stem, arrays, numbers)
        if stem == "embedding":
            table, rows, weights = given
            return [by_rows(table, rows, weights, d_out)]
        found = GRADIENTS[stem](given, frozenset(numbers.items()), d_out)
        return [fetched(x) for x in found]


def by_rows(table: Array, rows: Ints, weights: Array, d_out: Array) -> RowGradient:
    """Return the gradient of a table as its rows, found without one of the table's size."""
    distinct, places = np.unique(rows, return_inverse=True)  # embedding-R5
    given = (table[distinct], places.reshape(rows.shape), weights)
    (values,) = GRADIENTS["embedding"](given, frozenset(), d_out)  # embedding-R3
    counting = np.isin(distinct, rows[weights != 0])  # embedding-R6
    return RowGradient(distinct[counting].astype(np.int64), fetched(values)[counting])


def checked(stem: str, arrays: Sequence[Array], numbers: Mapping[str, Any]) -> list[Any]:
    """Return what an operator takes. Raises ShapeError for what it or JAX has no type for."""
    for x in arrays:
        if x.dtype.kind not in "fiub":
            raise ShapeError(f"{stem}: expected numbers that JAX has a type for, got {x.dtype}")
    OPERATORS[stem].check(*arrays, **numbers)
    # JAX takes no bytes in the order of another machine; floats of that kind were refused
    return [x.astype(x.dtype.newbyteorder("=")) if x.dtype.kind in "iu" else x for x in arrays]


def apply(function: Any, arrays: Sequence[Any], numbers: frozenset[Any]) -> Any:
    """Call an operator."""
    return function(*arrays, **dict(numbers))


def pull_back(
    operator: Operator, arrays: Sequence[Any], numbers: frozenset[Any], d_out: Any
) -> Any:
    """Return the gradients of the moving arguments."""

    def of_moving(*moving: Any) -> Any:
        given = list(arrays)
        for place, x in zip(operator.moving, moving, strict=True):
            given[place] = x
        out = apply(operator.function, given, numbers)
        return out[0] if isinstance(out, tuple) else out

    out, back = jax.vjp(of_moving, *(arrays[place] for place in operator.moving))
    return back(jnp.asarray(d_out, out.dtype))


COMPILED = {
    stem: jax.jit(partial(apply, operator.function), static_argnums=1)
    for stem, operator in OPERATORS.items()
}
GRADIENTS = {
    stem: jax.jit(partial(pull_back, operator), static_argnums=1)
    for stem, operator in OPERATORS.items()
}


def fetched(x: Any) -> npt.NDArray[Any]:
    """Return an array of JAX as one of NumPy, in memory of its own."""
    return np.array(x, copy=True)


def placed(x: Any) -> Any:
    """Return a copy of an array of NumPy as one of JAX, of the same type, inside `computing`."""
    return jnp.array(np.asarray(x, order="C"), copy=True)
