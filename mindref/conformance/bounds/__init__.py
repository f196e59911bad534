"""Numbers that carry their allowed error, so that the reference itself says what is close enough.

The operators, the model and the optimiser run on them unchanged; a bound for every output and
every gradient comes out of the same pass. Permissive where errors cancel, never too narrow.

precision    types, and how good elementary functions in them are
arithmetic   how errors join, and what a rounding adds
elementwise  the error of sums, products, exp, ... element by element
sums         the error of sums of products and of maxima
choice       masks that know where they might be otherwise
functions    the functions of NumPy that the operators call
bounded      the array
evaluate     run the reference, get values and allowed errors
"""

from mindref.conformance.bounds.bounded import Bounded
from mindref.conformance.bounds.evaluate import (
    Allowances,
    Allowed,
    allowances,
    bounded,
    dense,
    run,
    value_and_error,
)
from mindref.conformance.bounds.precision import Precision

__all__ = [
    "Allowances",
    "Allowed",
    "Bounded",
    "Precision",
    "allowances",
    "bounded",
    "dense",
    "run",
    "value_and_error",
]
