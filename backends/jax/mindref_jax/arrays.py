"""The operators as functions of NumPy arrays, as the backend contract requires.

Spec: specs/backend.md. Every result is copied, so it shares memory with no other array.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from mindref.errors import ShapeError
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints
from mindref_jax import (
    embedding,
    label_attention,
    pooled_softmax,
    relu_layer,
    routing,
    sampled_softmax,
    softmax,
    squash,
)
from mindref_jax.devices import compute_on

Result: TypeAlias = jax.Array | tuple[jax.Array, jax.Array]
"""The result of an operator; of routing, the capsules and the coupling weights."""

Out = TypeVar("Out")
Numbers: TypeAlias = frozenset[tuple[str, Hashable]]
"""Names and values of the keyword-only arguments, as a static argument of jax.jit."""


class Operator(NamedTuple):
    """An operator of JAX, its argument check, and the indices of its differentiable arguments."""

    function: Callable[..., Result]
    check: Callable[..., None]
    differentiable: tuple[int, ...]
    defaults: dict[str, Hashable]  # of the keyword-only arguments


DIFFERENTIABLE = {
    embedding: (0,), softmax: (0,), squash: (0,), routing: (0, 2, 3, 5), relu_layer: (0, 1, 2),
    label_attention: (0, 1), sampled_softmax: (0, 1, 2),
    pooled_softmax: (0, 2, 3),  # beyond the contract
}  # fmt: skip
"""Module of an operator -> the indices of its differentiable arguments."""

OPERATORS = {
    stem: Operator(
        function, module.check_inputs, indices, getattr(function, "__kwdefaults__", None) or {}
    )
    for module, indices in DIFFERENTIABLE.items()
    for stem in [module.__name__.rpartition(".")[2]]
    for function in [getattr(module, stem)]
}

SAME_RESULT = {"routing": {"gradient": "all"}}
"""Stem -> numbers that change only gradients; so their values share the program of `forward`."""


class DeviceOperator(NamedTuple):
    """An operator of the backend contract on one device."""

    stem: str
    device: jax.Device | None

    def forward(
        self, *arrays: Array, log_weights: Array | None = None, **numbers: Hashable
    ) -> tuple[Array, SimpleNamespace | None]:
        """Return the result, and saved values: the coupling weights for routing, otherwise None.

        log_weights: the optional sixth array of routing.
        """
        optional = () if log_weights is None else (log_weights,)
        with compute_on(self.device):
            arguments = check_arguments(self.stem, (*arrays, *optional), numbers)
            static = static_numbers(self.stem, numbers, **SAME_RESULT.get(self.stem, {}))
            result = COMPILED[self.stem](arguments, static)
            if self.stem != "routing":
                return copy_to_numpy(result), None
            out, couplings = result
            return copy_to_numpy(out), SimpleNamespace(couplings=copy_to_numpy(couplings))


def make_operators(device: jax.Device | None = None) -> SimpleNamespace:
    """Return the operators on a device; None is the default device of JAX."""
    return SimpleNamespace(**{stem: DeviceOperator(stem, device) for stem in OPERATORS})


def differentiate(
    stem: str, arrays: Sequence[Array], numbers: Mapping[str, Hashable], d_out: Array
) -> list[Array | RowGradient]:
    """Return the gradients of the differentiable arguments in order; call in `compute_on`."""
    arguments = check_arguments(stem, arrays, numbers)
    if stem == "embedding":
        table, rows, weights = arguments
        return [table_gradient(table, rows, weights, d_out)]
    gradients = GRADIENTS[stem](arguments, static_numbers(stem, numbers), d_out)
    return [copy_to_numpy(x) for x in gradients]


def table_gradient(table: Array, rows: Ints, weights: Array, d_out: Array) -> RowGradient:
    """Return the row gradient of a table, without an array of the size of the table."""
    distinct, index = np.unique(rows, return_inverse=True)  # embedding-R5
    arguments = (table[distinct], index.reshape(rows.shape), weights)
    (values,) = GRADIENTS["embedding"](arguments, frozenset(), d_out)  # embedding-R3
    used = np.isin(distinct, rows[weights != 0])  # embedding-R6
    return RowGradient(distinct[used].astype(np.int64), copy_to_numpy(values)[used])


def check_arguments(
    stem: str, arrays: Sequence[Array], numbers: Mapping[str, Hashable]
) -> list[npt.NDArray[Any]]:
    """Return the arguments of an operator in native byte order; raises ShapeError if invalid."""
    for x in arrays:
        if x.dtype.kind not in "fiub":
            raise ShapeError(f"{stem}: expected a dtype that JAX supports, got {x.dtype}")
    call(OPERATORS[stem].check, arrays, frozenset(numbers.items()))
    return [convert_integers(x) for x in arrays]


def convert_integers(x: Array) -> Array:
    """Return integers as int64, or uint64 as uint64, in native byte order, which JAX needs.

    So one compiled program serves all integer types. The check raises for other byte orders of
    floats.
    """
    if x.dtype.kind not in "iu":
        return x
    return x.astype(np.uint64 if x.dtype.itemsize == 8 and x.dtype.kind == "u" else np.int64)


def static_numbers(stem: str, numbers: Mapping[str, Hashable], **replaced: Hashable) -> Numbers:
    """Return all numbers of an operator, defaults included, as a static argument of jax.jit."""
    return frozenset({**OPERATORS[stem].defaults, **numbers, **replaced}.items())


def call(function: Callable[..., Out], arrays: Sequence[Array], numbers: Numbers) -> Out:
    """Call an operator, or its check; jax.jit treats a frozenset of numbers as static."""
    return function(*arrays, **dict(numbers))


def compute_vjp(
    operator: Operator, arrays: Sequence[Array], numbers: Numbers, d_out: Array
) -> tuple[jax.Array, ...]:
    """Return the gradients of the differentiable arguments (vector-Jacobian product)."""

    # log_weights of routing are optional
    indices = [index for index in operator.differentiable if index < len(arrays)]

    def function(*inputs: jax.Array) -> jax.Array:
        arguments = list(arrays)
        for index, x in zip(indices, inputs, strict=True):
            arguments[index] = x
        out = call(operator.function, arguments, numbers)
        return out[0] if isinstance(out, tuple) else out

    out, vjp = jax.vjp(function, *(arrays[index] for index in indices))
    return vjp(jnp.asarray(d_out, out.dtype))


COMPILED = {
    stem: jax.jit(partial(call, operator.function), static_argnums=1)
    for stem, operator in OPERATORS.items()
}
GRADIENTS = {
    stem: jax.jit(partial(compute_vjp, operator), static_argnums=1)
    for stem, operator in OPERATORS.items()
}


def copy_to_numpy(x: jax.Array) -> npt.NDArray[Any]:
    """Return a copy of a JAX array as a NumPy array."""
    return np.array(x, copy=True)


def copy_from_numpy(x: npt.NDArray[Any]) -> jax.Array:
    """Return a copy of a NumPy array as a JAX array of the same dtype; call in `compute_on`.

    NumPy copies: jnp.array would compile a copy for each shape.
    """
    return jax.device_put(np.array(x, order="C"))
