"""Compute error bounds: run the reference on arrays that store an error for each value.

One run gives an error bound for every output and every gradient.
A bound may be larger than the real error, but in mode "worst" it is never smaller.

precision    properties of float dtypes, and errors of functions such as exp
arithmetic   add errors, and compute the error of one rounding
elementwise  errors of elementwise functions: x + y, x * y, exp, ...
sums         errors of sums, matrix products and argmax
choice       boolean masks, with the positions where errors could change the mask
functions    NumPy functions (np.where, np.sum, ...) for such arrays
bounded      the array class
evaluate     run the reference, and return values and error bounds
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
