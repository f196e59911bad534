"""The model and an optimiser step run on arrays with error bounds."""

import numpy as np
import pytest

from mindref.conformance.bounds import Precision, allowances
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.reference import evaluate_reference
from tests.assertions import nonempty
from tests.conformance.bounds.cases import round_inputs
from tests.conformance.bounds.rounded_arrays import implementations, parts_beyond_bound
from tests.models.worlds import OPTIONS, world

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # extremes underflow on purpose

TYPES = ("float32", "float64")
VISIBLE = {"float32": 1e-3, "float64": 1e-11}
"""The relative mistake in the loss and in each gradient that must be seen, in units of its peak."""


def evaluate(w, wrap):
    """Return interests, loss, gradients and the parameters after one step."""
    config = {"config": w.config}
    inputs = {"params": w.params, "batch": w.batch, "catalogue": w.catalogue}
    histories = {**inputs, "batch": w.batch.histories}
    batches = {**inputs, "batch": (w.batch,)}
    answers = [
        evaluate_reference(call, wrap)
        for call in (
            Call("interests", histories, config),
            Call("loss", inputs, config),
            Call("training", batches, {**config, "learning_rate": 0.01}),
        )
    ]
    return {name: x for answer in answers for name, x in answer.items()}


def draw_world(option):
    rng = np.random.default_rng(option)
    return world(rng, (3, 5, 3, 4), iterations=1 + option % 4, **OPTIONS[option])


@pytest.mark.parametrize("types", TYPES)
@pytest.mark.parametrize("option", range(len(OPTIONS)))
@pytest.mark.slow(every=4)
def test_correct_models_are_within_the_bound(option, types):
    w = draw_world(option)

    def answer(wrap):
        return evaluate(w, round_inputs(wrap, types))

    expected = allowances(answer, Precision.of(types), "statistical")
    for wrap in nonempty(implementations(types)):
        assert parts_beyond_bound(answer(wrap), expected) == []


@pytest.mark.parametrize("types", TYPES)
def test_a_wrong_scale_of_loss_or_gradient_exceeds_the_bound(types):
    """Holds for most cases, because a drawn case may be badly conditioned."""
    seen = {}
    for option in range(len(OPTIONS)):
        w = draw_world(option)
        expected = allowances(
            lambda wrap, w=w: evaluate(w, round_inputs(wrap, types)),
            Precision.of(types),
            "statistical",
        )
        for name, (value, allowed) in expected.parts.items():
            outside = (np.abs(value) * VISIBLE[types] > allowed).any() or not value.any()
            seen.setdefault(name, []).append(bool(outside))
    assert {name: np.mean(draws) for name, draws in seen.items() if np.mean(draws) < 0.8} == {}


def test_values_equal_those_of_the_model_without_errors():
    w = draw_world(0)
    bounded = allowances(lambda wrap: evaluate(w, wrap), Precision.of("float32"), "worst")
    for name, expected in evaluate(w, lambda x: np.array(x)).items():
        np.testing.assert_array_equal(bounded.parts[name].value, expected, err_msg=name)


def test_an_unused_row_stays_exact():
    w = draw_world(0)
    bounded = allowances(lambda wrap: evaluate(w, wrap), Precision.of("float32"), "worst")
    untouched = (bounded.parts["d_items"].value == 0).all(axis=1)
    if not untouched.any():
        pytest.fail("the draw should leave a row untouched")
    assert not bounded.parts["items"].error[untouched].any()
