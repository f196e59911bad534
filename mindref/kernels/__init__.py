"""Compiled operators (Numba) in the index notation of the pages, and the fused path.

Same stems as `mindref.ops`, same shapes, dtypes and errors. The gradients are derived a second
time, element by element, so that one wrong derivation does not affect both. BLAS computes the
matrix products; everything else is compiled (`_jit.py`). A compiled function may call compiled
functions of other files: its cached machine code is valid only while all of these files are
unchanged.

Modules without an operator of the same name:

    fused/                    levels 2 and 3 of the backend contract
    backend.py                all operators, as the backend exposes them
    exponential.py            vectorised exponentials
    top_n.py                  selection of top-n items in exact search, union of lists
    matmul.py                 matrix products within compiled code
    prefetch.py               prefetch of table rows
    _jit.py                   the one decorator of all compiled functions

Importing this package does not import Numba; the modules do.
"""

from __future__ import annotations

from collections.abc import Callable

CACHE_LINE = 64
"""Bytes of a cache line. On processors with longer lines, `prefetch.py` requests some twice."""

listeners: list[Callable[[], None]] = []
"""Functions that are called whenever Numba compiles a function; compilation takes seconds."""
