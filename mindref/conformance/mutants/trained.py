"""Train with a mutant (a wrong implementation) as backend, to measure the effect of its mistake.

Only mutants of scope "suite" are available. Write "_" for each "-" in the name of the mutant:

    mindref train --backend mindref.conformance.mutants.trained:no_log_q

A mutant is an edited copy of the reference, so it is slower than the default backend.
If only `forward` is edited, `backward` uses the values that the edited `forward` saved.
"""

from __future__ import annotations

import difflib

from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner.claims import LEVELS
from mindref.conformance.runner.composed_backend import ComposedBackend


def __getattr__(name: str) -> ComposedBackend:
    """Return the mutant `name` as a backend. Raises AttributeError for an unknown name."""
    mutants = {mutant.name.replace("-", "_"): mutant for mutant in suite_mutants()}
    if name not in mutants:
        near = difflib.get_close_matches(name, mutants, n=3, cutoff=0)
        raise AttributeError(f"no mutant {name}; the nearest are {', '.join(near)}")
    return backend_of(mutants[name], tuple(LEVELS))
