"""Properties of float dtypes, and the errors of exp, log, sqrt and power.

Spec: specs/numerics.md. The worst-case errors of exp, log and power are those of OpenCL (full
profile). The statistical errors are average errors of math libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mindref.errors import ConfigError, say


class Type(NamedTuple):
    """Properties of a float dtype."""

    unit: float  # the largest relative error of one rounding
    floor: float  # smaller results may be flushed to zero
    largest: float  # the largest finite number


TYPES = {
    "float64": Type(2.0**-53, 2.0**-1022, (2 - 2.0**-52) * 2.0**1023),
    "float32": Type(2.0**-24, 2.0**-126, (2 - 2.0**-23) * 2.0**127),
    "float16": Type(2.0**-11, 2.0**-24, 65504.0),  # hardware does not flush subnormals of float16
    "bfloat16": Type(2.0**-8, 2.0**-126, (2 - 2.0**-7) * 2.0**127),
}
"""Name of each dtype that a backend may claim -> properties of the dtype."""

MODES = ("statistical", "worst")


class Ulps(NamedTuple):
    """The error of a function, in units in the last place (ULP) of the result."""

    worst: float
    statistical: float
    absolute: bool = False  # if true, the same number of ULP of 1.0 is added


ULPS = {  # numerics-R9
    "sqrt": Ulps(0.5, 0.5),
    "exp": Ulps(3, 1),
    "expm1": Ulps(3, 1),
    "log": Ulps(3, 1, absolute=True),
    "log1p": Ulps(3, 1),
    "logaddexp": Ulps(3, 1, absolute=True),
    "power": Ulps(16, 1),
}
"""Errors of the functions that the operators use. The error of + - * / is 0.5 ULP."""


class Precision(NamedTuple):
    """The dtypes of the inputs, of sums, and of stored results."""

    input: str
    accumulate: str
    store: str

    @classmethod
    def of(cls, types: str | Sequence[str]) -> Precision:
        """Return the Precision of up to three dtype names: input, accumulate, store.

        A missing name equals the input dtype. Raises ConfigError for an unknown name, and if there
        are not one to three names.
        """
        names = (types,) if isinstance(types, str) else tuple(types)
        unknown = [name for name in names if name not in TYPES]
        if unknown or not 1 <= len(names) <= 3:
            raise ConfigError(say("precision", f"one to three of {', '.join(TYPES)}", names))
        if len(names) == 3:
            return cls(*names)
        return cls(names[0], names[-1], names[0])

    def __str__(self) -> str:
        """Return text such as "float32", "bfloat16/float32" or "bfloat16/float32/float32"."""
        if self.store != self.input:
            return "/".join(self)
        return self.input if self.accumulate == self.input else f"{self.input}/{self.accumulate}"
