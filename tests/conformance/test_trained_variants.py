"""A wrong implementation of the catalogue can be trained like any backend."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.backend import load
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.errors import BackendError
from mindref.models.parameters import flatten
from tests.runs import trainer

TRAINED = "mindref.conformance.variants.trained"


def parameters(**changes: object) -> dict[str, np.ndarray]:
    """Return what a small training ends with."""
    made = trainer(dtype="float64", **changes)
    made.go()
    return flatten(made.state.params)


def test_a_variant_that_is_an_option_trains_to_what_the_option_does() -> None:
    """Softmax over behaviours is a mistake by default, and a setting."""
    found = parameters(backend=f"{TRAINED}:routing_softmax_over_behaviours")
    wanted = parameters(backend="numpy", routing_axis="behaviours")
    plain = parameters(backend="numpy")
    for name, x in wanted.items():
        np.testing.assert_allclose(
            found[name], x, rtol=LOSS_CURVE[np.dtype(np.float64)], err_msg=name
        )
    assert any(not np.allclose(plain[name], x) for name, x in wanted.items())


def test_a_variant_without_correction_learns_something_else() -> None:
    found = parameters(backend=f"{TRAINED}:no_log_q")
    plain = parameters(backend="numpy")
    assert all(np.isfinite(x).all() for x in found.values())
    assert any(not np.allclose(plain[name], x) for name, x in found.items())


def test_a_name_that_is_none_is_refused_with_the_nearest() -> None:
    with pytest.raises(BackendError, match="no variant hits_keep; the nearest are hits_kept"):
        load(f"{TRAINED}:hits_keep")
