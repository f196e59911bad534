"""Variants of a call in which one setting, size or property changes, and nothing else.

If a call is wrong and a variant is right, the changed setting is a condition of the mistake.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.mutants.call_properties import (
    PROPERTIES,
    has_property,
    without_property,
)
from mindref.conformance.operators import ARGUMENTS
from mindref.conformance.runner.call import (
    AnyArray,
    Call,
    is_float_array,
    map_arrays,
)

LARGEST_SIZE = 16
"""Axes that are longer are not shortened. The checks of long axes name a size themselves."""

RESULT_AXES = {
    "embedding": "md", "routing": "bkd", "relu_layer": "mo", "label_attention": "bd",
    "sampled_softmax": "",
}  # fmt: skip
"""Operator -> letters of the axes of `out`."""

ALWAYS_TESTED: dict[str, tuple[Any, ...]] = {"iterations": (1, 2, 3, 4), "power": (0.0, 1.0, 2.0)}
"""Setting -> values that are tested although no drawn call has them."""

SETTINGS_OF_MODELS = (
    "iterations", "power", "routing", "routing_axis", "routing_gradient", "squash", "attention",
    "interest_count", "last_relu", "temperature", "normalise",
)  # fmt: skip
"""Fields of a model's configuration that change no shape of a parameter."""

STEP = "the step of the first moments"

Level = float | str


class CallFactor(NamedTuple):
    """What changes from variant to variant."""

    name: str  # "iterations", "L", or a property such as "padding"
    kind: str  # "setting", "size" or "property"

    @property
    def is_ordered(self) -> bool:
        """Return whether the levels of the factor are whole numbers."""
        return self.kind == "size" or self.name == "iterations"


def factors_of(calls: Sequence[Call]) -> list[CallFactor]:
    """Return the factors that may vary in `calls`: settings, then properties, then sizes."""
    settings = [CallFactor(name, "setting") for name in values_of_settings(calls)]
    properties = [CallFactor(name, "property") for name in PROPERTIES if has_property(calls, name)]
    return settings + properties + [CallFactor(name, "size") for name in axis_names(calls[0])]


def variants(call: Call, factor: CallFactor, calls: Sequence[Call]) -> dict[Level, Call]:
    """Return level -> variant of `call`; the level of a property is "with" or "without".

    calls: all calls of the pool; a setting has the values that occur in them.
    """
    if factor.kind == "setting":
        values = values_of_settings(calls)[factor.name]
        return {value: with_setting(call, factor.name, value) for value in values}
    if factor.kind == "property":
        without = without_property(call, factor.name)
        return {} if without is None else {"with": call, "without": without}
    size = axis_size(call, factor.name)
    sizes = range(1, size + 1) if size <= LARGEST_SIZE else ()
    return {count: keep_first(call, factor.name, count) for count in sizes}


def level_of(call: Call, factor: CallFactor) -> tuple[Level, ...]:
    """Return the level of an ordered factor in `call`: a size, or a number of iterations."""
    if factor.kind == "size":
        size = axis_size(call, factor.name)
        return (size,) if size else ()
    value = settings_of(call).get(factor.name)
    return (value,) if factor.is_ordered and isinstance(value, int) else ()


def values_of_settings(calls: Sequence[Call]) -> dict[str, tuple[Level, ...]]:
    """Return setting -> the values in `calls`, if there are at least two values to test."""
    values: dict[str, set[Level]] = {}
    for call in calls:
        for name, value in settings_of(call).items():
            if isinstance(value, str | bool | int | float):
                values.setdefault(name, set(ALWAYS_TESTED.get(name, ()))).add(value)
    return {name: tuple(sorted(xs, key=str)) for name, xs in values.items() if len(xs) > 1}


def settings_of(call: Call) -> dict[str, Any]:
    """Return the numeric arguments of an operator, or the settings of a model."""
    config = call.numbers.get("config")
    if config is None:
        return call.numbers
    settings = {name: getattr(config, name) for name in SETTINGS_OF_MODELS}
    moments = call.arrays.get("moments")
    return settings if moments is None else {**settings, STEP: int(moments.step)}


def with_setting(call: Call, name: str, value: Level) -> Call:
    """Return `call` with another value of one setting."""
    config = call.numbers.get("config")
    if config is None:
        return call.change(**{name: value})
    if name == STEP:
        return call.change(moments=call.arrays["moments"]._replace(step=int(value)))
    return call.change(config=dataclasses.replace(config, **{name: value}))


def axis_names(call: Call) -> list[str]:
    """Return the axes of the arguments of an operator, such as "L", or "first" and "last"."""
    if call.stem in ("softmax", "squash"):
        return ["first", "last"]
    arguments = ARGUMENTS.get(call.stem)
    letters = dict.fromkeys("".join(arguments.axes.values()) if arguments else "")
    return [letter.upper() for letter in letters if letter != "v"]


def axis_size(call: Call, axis: str) -> int:
    """Return the size of an axis; 0 if no array of `call` has it."""
    sizes = [
        size
        for name, x in operator_arrays(call).items()
        for letter, size in zip(letters_of(call, name, x), x.shape, strict=True)
        if letter == axis
    ]
    return max(sizes, default=0)


def keep_first(call: Call, axis: str, count: int) -> Call:
    """Return `call` with only the first `count` numbers along an axis."""

    def cut(name: str, x: Any) -> Any:
        letters = letters_of(call, name, x)
        full = axis_size(call, axis)
        return x[
            tuple(
                slice(count if letter == axis and n == full else n)
                for letter, n in zip(letters, x.shape, strict=True)
            )
        ]

    arrays = {name: cut(name, x) for name, x in call.arrays.items()}
    cotangent = None if call.cotangent is None else cut("out", np.asarray(call.cotangent))
    return call._replace(arrays=arrays, cotangent=cotangent)


def operator_arrays(call: Call) -> dict[str, AnyArray]:
    """Return the arrays of an operator's call by name."""
    return {name: x for name, x in call.arrays.items() if isinstance(x, np.ndarray)}


def letters_of(call: Call, name: str, x: AnyArray) -> list[str]:
    """Return the names of the axes of an array of an operator's call or answer."""
    name = name.removeprefix("d_")
    if call.stem in ("softmax", "squash"):
        middle = [""] * max(0, x.ndim - 2)
        names = ["first", *middle, "last"]
        return names[len(names) - x.ndim :] if name == "mask" else names[-x.ndim :]
    axes = ARGUMENTS[call.stem].axes if call.stem in ARGUMENTS else {}
    letters = RESULT_AXES.get(call.stem, "") if name == "out" else axes.get(name, "")
    return [*[""] * (x.ndim - len(letters)), *letters.upper()[max(0, len(letters) - x.ndim) :]]


def scale_array(call: Call, name: str, factor: float) -> Call:
    """Return `call` with one array multiplied by `factor`."""
    with np.errstate(all="ignore"):
        x = np.asarray(call.arrays[name])
        return call.change(**{name: (x * factor).astype(x.dtype)})


def perturb_call(call: Call, rng: np.random.Generator) -> Call:
    """Return `call` with each float multiplied by a random number from 0.8 to 1.2."""

    def perturb(x: AnyArray) -> AnyArray:
        if not is_float_array(x):
            return x
        with np.errstate(all="ignore"):
            return np.asarray(x * rng.uniform(0.8, 1.2, x.shape)).astype(x.dtype)

    return call._replace(arrays=map_arrays(perturb, call.arrays))
