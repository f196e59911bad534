"""Arrays that carry an error bound. The code of the reference runs on them without changes.

One pass through operators, model and optimiser gives a bound for every output and every gradient.
If errors cancel, a bound may be too wide. In mode "worst", a bound is never too narrow.

precision    float dtypes, and the accuracy of elementary functions in each dtype
arithmetic   rules for adding errors, and the error of one rounding
elementwise  the error of elementwise functions: x + y, x y, exp, ...
sums         the error of sums of products, of maxima, and of correlated operands
choice       masks that record at which positions errors could change a comparison
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
