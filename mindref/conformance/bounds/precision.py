"""Properties of float dtypes: rounding, range, and the accuracy of elementary functions.

Spec: specs/numerics.md, the table of functions. The worst-case errors of exp, log and power are
those of OpenCL (full profile). The statistical errors are average errors of libraries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mindref.errors import ConfigError, say


class Type(NamedTuple):
    """A float dtype, by the properties that determine errors."""

    unit: float  # the largest relative error of one rounding
    floor: float  # smaller results may be flushed to zero, so no relative bound applies to them
    largest: float  # the largest finite number


TYPES = {
    "float64": Type(2.0**-53, 2.0**-1022, (2 - 2.0**-52) * 2.0**1023),
    "float32": Type(2.0**-24, 2.0**-126, (2 - 2.0**-23) * 2.0**127),
    "float16": Type(2.0**-11, 2.0**-24, 65504.0),  # hardware does not flush subnormals of float16
    "bfloat16": Type(2.0**-8, 2.0**-126, (2 - 2.0**-7) * 2.0**127),
}
"""The dtypes that a backend may claim, by name."""

MODES = ("statistical", "worst")


class Ulps(NamedTuple):
    """The error of a function in units in the last place of its result."""

    worst: float
    statistical: float
    absolute: bool = False  # results near 0 may also deviate by this number of ULP of 1


ULPS = {  # numerics-R9
    "sqrt": Ulps(0.5, 0.5),
    "exp": Ulps(3, 1),
    "log": Ulps(3, 1, absolute=True),
    "logaddexp": Ulps(3, 1, absolute=True),
    "power": Ulps(16, 1),
}
"""Errors of the elementary functions that the operators use. + - * / have the error 0.5."""


class Precision(NamedTuple):
    """The dtypes of a computation: of its inputs, its sums, and its stored results."""

    input: str
    accumulate: str
    store: str

    @classmethod
    def of(cls, types: str | Sequence[str]) -> Precision:
        """Return a Precision from one dtype, (input, accumulate) or (input, accumulate, store).

        With two names, results are stored in the dtype of the inputs. Raises ConfigError for an
        unknown name and for any other number of names.
        """
        names = (types,) if isinstance(types, str) else tuple(types)
        unknown = [name for name in names if name not in TYPES]
        if unknown or not 1 <= len(names) <= 3:
            raise ConfigError(say("precision", f"one to three of {', '.join(TYPES)}", names))
        if len(names) == 3:
            return cls(*names)
        return cls(names[0], names[-1], names[0])

    def __str__(self) -> str:
        """Return the names of the dtypes with "/" between them; one name if all are equal."""
        if self.store != self.input:
            return "/".join(self)
        return self.input if self.accumulate == self.input else f"{self.input}/{self.accumulate}"
