"""mindref: reference implementation, conformance suite, recommender and study tool for MIND.

MIND is the multi-interest network with dynamic routing (Li et al., CIKM 2019). The packages in the
order of the data flow:

    data         raw log -> arrays: readers, splits, samples, negatives, the synthetic catalogue
    ops          reference operators: forward and backward in whole-array NumPy
    kernels      compiled operators and the fused step of the backend `numba`
    backend      the backend contract and the registry of installed backends
    models       the model families: MIND, MIND+, YouTube DNN, MaxMF, WALS and others
    training     batch loader, optimiser, training loop, distributed training
    run          the run directory: checkpoints, metadata, item table, report
    evaluation   metrics, top-n lists, interest statistics, baselines
    recall       exact or approximate search, merged over the interests of a user
    recommender  the Python interface: `Recommender`, `MIND`, `load`
    conformance  tests for other implementations
    study        watch and change each step of the algorithm; exercises
    experiments  comparisons of models and ablations of settings, with intervals and tests
    bench        timings of all backends in one interleaved run
    doctor       diagnosis of an installation
    process      limits of the process and child processes
    cli          the commands
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mindref.recommender import MIND, Recommender, load

__all__ = ["MIND", "Recommender", "load", "__version__"]

logging.getLogger("mindref").addHandler(logging.NullHandler())  # callbacks-R9
"""The logger of the Python interface. It prints nothing unless the program configures `logging`."""


def __getattr__(name: str) -> Any:
    """Import the recommender on first use, because it imports NumPy."""
    if name in ("MIND", "Recommender", "load"):
        from mindref import recommender

        return getattr(recommender, name)
    raise AttributeError(f"module 'mindref' has no attribute {name!r}")
