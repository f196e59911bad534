"""A mutant can be trained like any backend."""

import numpy as np
import pytest

from mindref.backend import load_backend
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.errors import BackendError
from mindref.models.parameters import flatten
from tests.runs import trainer

TRAINED = "mindref.conformance.mutants.trained"


def parameters(**changes):
    run = trainer(dtype="float64", **changes)
    run.train()
    return flatten(run.state.params)


def test_a_mutant_equal_to_an_option_trains_like_the_option():
    """The softmax over behaviours is a mistake by default, and a setting."""
    mutant = parameters(backend=f"{TRAINED}:routing_softmax_over_behaviours")
    option = parameters(backend="numpy", routing_axis="behaviours")
    plain = parameters(backend="numpy")
    for name, x in option.items():
        np.testing.assert_allclose(
            mutant[name], x, rtol=LOSS_CURVE[np.dtype(np.float64)], err_msg=name
        )
    assert any(not np.allclose(plain[name], x) for name, x in option.items())


def test_a_mutant_without_correction_trains_differently():
    mutant = parameters(backend=f"{TRAINED}:no_log_q")
    plain = parameters(backend="numpy")
    assert all(np.isfinite(x).all() for x in mutant.values())
    assert any(not np.allclose(plain[name], x) for name, x in mutant.items())


def test_an_unknown_mutant_raises_with_similar_names():
    with pytest.raises(BackendError, match="no mutant hits_keep; the nearest are hits_kept"):
        load_backend(f"{TRAINED}:hits_keep")
