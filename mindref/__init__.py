"""mindref: MIND, the multi-interest network with dynamic routing, as a norm and as a recommender.

In the order of the data flow:

    data         raw log -> arrays: readers, splits, samples, negatives, the built-in catalogue
    ops          the reference operators, forward and backward
    backend      who computes: the contract and the registry
    models       MIND, the composition of the operators
    optimiser    Adam with row-sparse updates
    kernels      all that a second time: compiled, without padding, the backend `numba`
    engine, feed, train    who takes a step, what it sees, and the loop, which prints nothing
    checkpoint   the run directory, atomic, no pickle
    metrics, ranking, evaluate, health    what came out of it
    recall       exact or approximate search, merged over interests
    recommender  all of it in a few lines of Python
    experiments  models compared and settings ablated, with seeds, intervals and tests
    bench        how fast each backend is, in one interleaved run
    conformance  what it takes to judge an implementation
    cli          all of it as commands
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mindref.recommender import MIND, load

__all__ = ["MIND", "load", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the recommender on first use, as it brings NumPy and more."""
    if name in ("MIND", "load"):
        from mindref import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module 'mindref' has no attribute {name!r}")
