"""The Numba twins of the operators, in the index notation of the pages, and the fused path.

Same stems as `mindref.ops`, same shapes, types and errors; derived a second time, element by
element, so that a slip of one derivation is no slip of the other. Products of matrices are left to
BLAS, all else is compiled (`_jit.py`). A compiled function may call those of other files: what is
kept of it holds for as long as all of them are as they were.

    operators.py     all of them, as the backend hands them over
    fused/           levels 2 and 3
    rounds.py        the rounds of routing, and rounds_backward.py the way back
    exponential.py   exponentials in lanes
    pooling.py       what pooled_softmax does between its products
    ranking.py       the best items of a user, between the products of exact search
    unite.py         the lists of several interests as one
    product.py       products of matrices within compiled code
    ahead.py         rows of a table are asked for before their turn
    _jit.py          how everything is compiled

Importing this costs nothing: Numba comes with the modules.
"""

from __future__ import annotations

from collections.abc import Callable

LINE = 64
"""Bytes of a line of memory, which come at once. A row of 256 that begins within one lies on five.

Where they are more, some are asked for twice (`ahead.py`).
"""

listeners: list[Callable[[], None]] = []
"""Called whenever a function is compiled that no cache has: that takes seconds."""
