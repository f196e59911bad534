"""Calls of every operator for every option that changes its arithmetic, on any array type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mindref.conformance.bounds.precision import TYPES
from mindref.conformance.checks.embedding import embedding_calls
from mindref.conformance.checks.label_attention.agreement import label_attention_calls
from mindref.conformance.checks.relu_layer import relu_layer_calls
from mindref.conformance.checks.routing.agreement import routing_calls
from mindref.conformance.checks.sampled_softmax.agreement import sampled_softmax_calls
from mindref.conformance.checks.softmax import softmax_calls
from mindref.conformance.checks.squash import squash_calls
from mindref.ops import squash
from tests.conformance.bounds.rounded_arrays import round_to

CASES = {
    "softmax": softmax_calls(),
    **{f"squash {kind}": squash_calls(kind=kind) for kind in squash.KINDS},
    "embedding": embedding_calls(),
    **{f"relu_layer {flag}": relu_layer_calls(relu=(flag,)) for flag in (True, False)},
    **{f"routing r={n}": routing_calls(iterations=(n,), gradients=("all",)) for n in range(1, 7)},
    "routing last": routing_calls(gradients=("last",)),
    "routing behaviours": routing_calls(axis="behaviours"),
    "routing general": routing_calls(general=True),
    "routing unit": routing_calls(kind="unit"),
    "routing weighted": routing_calls(weighted=True),
    **{
        f"label_attention p={p}": label_attention_calls(powers=(p,))
        for p in (0.0, 0.5, 1.0, 2.0, 5.0, np.inf)
    },
    **{
        f"sampled_softmax {normalise}": sampled_softmax_calls(
            temperatures=(1.0, 0.5), normalise=(normalise,), nonempty=True
        )
        for normalise in (False, True)
    },
}


def round_inputs(wrap: Callable[[Any], Any], dtype: str) -> Callable[[Any], Any]:
    """Return `wrap` of an array whose numbers are rounded to a dtype first."""
    if dtype == "bfloat16":
        return lambda x: wrap(round_to(x, TYPES[dtype].unit))
    return lambda x: wrap(np.asarray(x).astype(dtype).astype(float))
