"""Train a wrong implementation of the catalogue, to see what its mistake costs.

Each variant is a backend here, by its name with underscores:

    mindref train --backend mindref.conformance.variants.trained:no_log_q

It is composed of the reference with the variant's edits, so it is slower than the default backend.
Where the edits leave the way back alone, that is the reference's over what the way forward saved.
"""

from __future__ import annotations

import difflib

from mindref.conformance.judging.claims import LEVELS
from mindref.conformance.judging.composed import Composed
from mindref.conformance.variants.loader import backend_of, catalogue


def __getattr__(name: str) -> Composed:
    """Return the backend of a variant; AttributeError for a name that is none."""
    known = {variant.name.replace("-", "_"): variant for variant in catalogue()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0)
        raise AttributeError(f"no variant {name}; the nearest are {', '.join(near)}")
    return backend_of(known[name], tuple(LEVELS))
