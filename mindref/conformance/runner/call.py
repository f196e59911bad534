"""The inputs of one call of an operator or of a backend's method, and adapters that run calls.

Spec: specs/backend.md. The arrays of a call are in the order of the positional arguments.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from mindref.backend import OPTIONS, Capabilities
from mindref.config import Config
from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner import backend_answers
from mindref.conformance.runner.backend_answers import arrays_in
from mindref.conformance.runner.callers import CallFields, split_callers
from mindref.conformance.runner.layouts import lay_out
from mindref.models.family import computes_settings

AnyArray = npt.NDArray[Any]
Answer = dict[str, AnyArray]
"""The results of a call: name, such as "out" or "d_history" -> NumPy array."""

CALLERS = "callers"
"""Value of `Call.stem` for the calls of several callers (callers.py)."""

LEVEL_OF_STEM = {
    "loss": "model",
    "interests": "model",
    "training": "train",
    "steps": "train",
    "scores": "serve",
}
"""Values of `Call.stem` that are no operators -> the level that a backend needs."""


class Call(NamedTuple):
    """The inputs of one call of an operator or of a backend's method."""

    stem: str  # the computation: an operator such as "routing", or "loss", "training", ...
    arrays: dict[str, Any]
    numbers: dict[str, Any]
    cotangent: AnyArray | None = None  # d_out; None: compute no gradients

    @property
    def level(self) -> str:
        """Return the level that a backend needs for this call, such as "ops" or "model"."""
        return LEVEL_OF_STEM.get(self.stem, "ops")

    @property
    def differentiable(self) -> tuple[str, ...]:
        """Return the arguments with a gradient, in the order of the results of `backward`."""
        arguments = ARGUMENTS.get(self.stem)
        names = arguments.differentiable if arguments else ()
        return tuple(name for name in names if name in self.arrays)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the dtype of the first float array, or float64 if there is none."""
        floats = (x for x in arrays_in(self.arrays) if is_float_array(x))
        return next((x.dtype for x in floats), np.dtype(np.float64))

    @property
    def other_dtype(self) -> type[np.floating[Any]]:
        """Return float32 for a call in float64, else float64."""
        return np.float32 if self.dtype == np.float64 else np.float64

    def change(self, **changes: Any) -> Call:
        """Return the call with some values replaced. Raises KeyError for an unknown name."""
        cotangent = changes.pop("cotangent", self.cotangent)
        arrays = {name: changes.pop(name, x) for name, x in self.arrays.items()}
        numbers = {name: changes.pop(name, x) for name, x in self.numbers.items()}
        if changes:
            raise KeyError(f"{self.stem} has no {', '.join(changes)}")
        return Call(self.stem, arrays, numbers, cotangent)

    def to(self, dtype: npt.DTypeLike) -> Call:
        """Return the call with float arrays converted to `dtype`."""
        with np.errstate(over="ignore"):  # a number too large for `dtype` becomes inf
            arrays = map_floats(lambda x: x.astype(dtype), self.arrays)
            cotangent = map_floats(lambda x: x.astype(dtype), self.cotangent)
        return Call(self.stem, arrays, numbers_in_dtype(self.numbers, dtype), cotangent)

    def forward_only(self) -> Call:
        """Return the call without the cotangent, so that no gradient is computed."""
        return self._replace(cotangent=None)


def is_float_array(x: object) -> bool:
    """Return whether `x` is an array of floats, such as float32 or bfloat16."""
    if not isinstance(x, np.ndarray):
        return False
    # `name` is slow, and bfloat16 is a type of another package (kind V)
    return x.dtype.kind == "f" or (x.dtype.kind == "V" and x.dtype.name == "bfloat16")


def float_arrays(call: Call) -> list[AnyArray]:
    """Return the float arrays of `call`."""
    return [x for x in arrays_in(call.arrays) if is_float_array(x)]


def map_arrays(change: Callable[[AnyArray], object], x: Any) -> Any:
    """Return `x` (nested tuples and dicts) with `change` applied to every array."""
    if isinstance(x, np.ndarray):
        return change(x)
    if isinstance(x, dict):
        return {name: map_arrays(change, part) for name, part in x.items()}
    if isinstance(x, tuple):
        parts = [map_arrays(change, part) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x


def map_floats(change: Callable[[AnyArray], object], x: Any) -> Any:
    """Return `x` (nested tuples and dicts) with `change` applied to every float array."""
    return map_arrays(lambda array: change(array) if is_float_array(array) else array, x)


def numbers_in_dtype(numbers: dict[str, Any], dtype: npt.DTypeLike) -> dict[str, Any]:
    """Return `numbers` with `dtype` set in the "config", if `dtype` is float32 or float64."""
    name = np.dtype(dtype).name
    if "callers" in numbers:
        parts = numbers["callers"]
        callers = [{**x, "numbers": numbers_in_dtype(x["numbers"], dtype)} for x in parts]
        return {**numbers, "callers": tuple(callers)}
    if "config" not in numbers or name not in ("float32", "float64"):
        return numbers
    return {**numbers, "config": config_in_dtype(numbers["config"], name)}


@lru_cache(maxsize=1024)  # a replacement checks all settings
def config_in_dtype(config: Config, name: str) -> Config:
    """Return `config` with the dtype `name`."""
    return dataclasses.replace(config, dtype=name)


def named_arrays(x: object, name: str = "") -> dict[str, AnyArray]:
    """Return the arrays in nested tuples and dicts by name; "a.b" is the array "b" inside "a"."""
    if isinstance(x, np.ndarray):
        return {name: x}
    arrays: dict[str, AnyArray] = {}
    if isinstance(x, dict):
        for key, part in x.items():
            arrays |= named_arrays(part, f"{name}.{key}" if name else str(key))
    elif isinstance(x, tuple):
        names = getattr(x, "_fields", range(len(x)))
        for key, part in zip(names, x, strict=True):
            arrays |= named_arrays(part, f"{name}.{key}" if name else str(key))
    return arrays


def call_arrays(call: Call) -> dict[str, Any]:
    """Return all arrays of `call`; the cotangent has the name "d_out"."""
    return {**call.arrays, "d_out": call.cotangent}


def callers_call(calls: Sequence[Call], *, repeats: int = 1, fresh: int = 0) -> Call:
    """Return the calls of several callers as one call, which runs them in turn (callers.py)."""
    parts = tuple(
        {"stem": one.stem, "numbers": one.numbers, "gradients": one.differentiable} for one in calls
    )
    numbers = {"mode": "in turn", "repeats": repeats, "fresh": fresh, "callers": parts}
    arrays = {"callers": tuple(one.arrays for one in calls)}
    cotangent: Any = tuple(one.cotangent for one in calls)
    return Call(CALLERS, arrays, numbers, cotangent)


def calls_of_callers(call: Call) -> list[Call]:
    """Return the call of each caller of a call that `callers_call` made."""
    return [
        Call(part["stem"], part["arrays"], part["numbers"], part["d_out"])
        for part in split_callers(call_fields(call))
    ]


def call_fields(call: Call) -> CallFields:
    """Return a call as a dictionary, from which `backend_answers` runs it."""
    return CallFields(
        stem=call.stem,
        arrays=call.arrays,
        numbers=call.numbers,
        d_out=call.cotangent,
        gradients=call.differentiable,
    )


def copy_call(call: Call, read_only: bool = False, layout: str = "") -> Call:
    """Return `call` with copies of the arrays. The copies are writable unless `read_only`.

    layout: the layout of the copies in memory (layouts.py). By default, it is kept.
    """

    def copy_array(x: AnyArray) -> AnyArray:
        copy = lay_out(x, layout) if layout else np.array(x)
        copy.setflags(write=copy.flags.writeable and not read_only)
        return copy

    cotangent = map_arrays(copy_array, call.cotangent)
    return call._replace(arrays=map_arrays(copy_array, call.arrays), cotangent=cotangent)


OPTIONAL = {
    ("routing_axis", "behaviours"): "routing-R9",
    ("squash", "unit"): "squash-R6",
    ("squash", "none"): "squash-R7",
}
"""(setting, value) -> label of the optional feature of the operators that it needs."""

OPTIONAL_ARGUMENTS = {
    ("axis", "behaviours"): "routing-R9",
    ("kind", "unit"): "squash-R6",
    ("kind", "none"): "squash-R7",
}
"""(argument of an operator, value) -> label of the optional feature that it needs."""


class Implementation(Protocol):
    """Anything that can run a call, such as a backend."""

    name: str

    def answer(self, call: Call) -> Answer:
        """Run `call` and return the arrays of the answer by name."""


class BackendImplementation:
    """Adapts a backend to the protocol `Implementation`."""

    def __init__(self, backend: Any, *, loads_anew: bool = False) -> None:
        """Store the backend. loads_anew: whether loading its name again gives a new object."""
        self.backend, self.loads_anew = backend, loads_anew
        self.name = str(backend.name)
        self.claims: Capabilities = backend.capabilities()

    def answer(self, call: Call) -> Answer:
        """Run `call` on the backend and return the arrays of the answer by name."""
        return backend_answers.answer_call(self.backend, call_fields(call))


def is_claimed(implementation: Implementation, call: Call) -> bool:
    """Return whether the implementation claims the settings of the model in `call`."""
    backend, config = getattr(implementation, "backend", None), call.numbers.get("config")
    if call.stem == CALLERS:
        return all(is_claimed(implementation, one) for one in calls_of_callers(call))
    if backend is None or config is None:
        return True
    if unclaimed_options(implementation, call):  # conformance-R28
        return False
    return computes_settings(backend, config)  # backend-R20


def unclaimed_options(implementation: Implementation, call: Call) -> list[str]:
    """Return the labels of optional features that `call` needs and the backend does not claim."""
    backend, config = getattr(implementation, "backend", None), call.numbers.get("config")
    optional = OPTIONAL_ARGUMENTS if config is None else OPTIONAL
    settings = call.numbers if config is None else vars(config)
    claimed = OPTIONS if backend is None else backend.capabilities().options
    return [
        rule
        for (name, value), rule in optional.items()
        if settings.get(name) == value and rule not in claimed
    ]
