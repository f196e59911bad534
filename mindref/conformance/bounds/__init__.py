"""Arrays that carry an error bound; the reference runs on them unchanged.

One pass through operators, model and optimiser gives a bound for every output and every gradient.
A bound may be too wide where errors cancel, but it is never too narrow.

precision    float dtypes, and the accuracy of elementary functions in them
arithmetic   how errors add up, and what a rounding adds
elementwise  the error of sums, products, exp, ... element by element
sums         the error of sums of products, of maxima, and of correlated operands
choice       masks that record where the errors leave a comparison open
functions    the NumPy functions that the operators call
bounded      the array class
evaluate     run the reference and return values and error bounds
"""

from mindref.conformance.bounds.bounded import Bounded
from mindref.conformance.bounds.evaluate import (
    Allowances,
    Allowed,
    allowances,
    bounded_input,
    dense_table,
    run_bounded,
    value_and_error,
)
from mindref.conformance.bounds.precision import Precision

__all__ = [
    "Allowances", "Allowed", "Bounded", "Precision", "allowances", "bounded_input", "dense_table",
    "run_bounded", "value_and_error",
]  # fmt: skip
