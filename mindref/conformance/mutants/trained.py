"""Provide each mutant of scope "suite" as a training backend, to measure its effect.

The name of a backend is the name of the mutant with underscores instead of hyphens:

    mindref train --backend mindref.conformance.mutants.trained:no_log_q

The backend is the reference with the edits of the mutant, so it is slower than the default backend.
If the edits do not change backward, backward uses the values that the edited forward saved.
"""

from __future__ import annotations

import difflib

from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner.claims import LEVELS
from mindref.conformance.runner.composed_backend import ComposedBackend


def __getattr__(name: str) -> ComposedBackend:
    """Return the backend of a mutant. Raises AttributeError for an unknown name."""
    mutants = {mutant.name.replace("-", "_"): mutant for mutant in suite_mutants()}
    if name not in mutants:
        near = difflib.get_close_matches(name, mutants, n=3, cutoff=0)
        raise AttributeError(f"no mutant {name}; the nearest are {', '.join(near)}")
    return backend_of(mutants[name], tuple(LEVELS))
