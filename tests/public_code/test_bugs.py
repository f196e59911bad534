"""Each public bug differs from the reference in one step, with the exact gradient."""

import numpy as np
import pytest

from mindref import ops
from mindref.backend import load_backend
from mindref.conformance import gradient
from mindref.conformance.tolerances import SAME_MATH
from tests.public_code import attention_bugs as attention
from tests.public_code import loss_bugs as loss
from tests.public_code import routing_bugs as routing
from tests.public_code.bugs import BUGS
from tests.public_code.routing import Routing

TOLERANCE = SAME_MATH[np.dtype(np.float64)]
LENGTH = 3.0  # length of a capsule for which finite differences detect the bug
FLOATS = {"routing": (0, 2, 3), "label_attention": (0, 1), "sampled_softmax": (0, 1, 2)}
CORRECT_OPERATORS = (Routing, attention.Attention, loss.Loss)


def make_arguments(stem, **changes):
    """Return arguments on which all bugs of the operator differ, with changes."""
    rng = np.random.default_rng(4)
    if stem == "squash":
        return [changes.get("x", 1e-5 * rng.standard_normal((3, 5)))], {}
    if stem == "routing":
        arrays_by_name = {
            "history": rng.standard_normal((3, 6, 5)),
            "mask": np.arange(6) < np.array([[4], [6], [5]]),
            "bilinear": rng.standard_normal((5, 5)) / np.sqrt(5),
            "init_logits": rng.standard_normal((3, 6, 4)),
            "active": np.arange(4) < np.array([[2], [3], [4]]),
        }
        numbers = {"iterations": 4, "gradient": "all"}
    elif stem == "label_attention":
        arrays_by_name = {
            "interests": rng.standard_normal((3, 4, 5)),
            "target": rng.standard_normal((3, 5)),
            "active": np.arange(4) < np.array([[2], [3], [4]]),
        }
        numbers = {"power": 2.0}
    else:
        arrays_by_name = {
            "user": rng.standard_normal((3, 5)),
            "target": rng.standard_normal((3, 5)),
            "negatives": rng.standard_normal((4, 5)),
            "target_ids": np.array([1, 2, 3]),
            "negative_ids": np.array([2, 7, 1, 8]),
            "target_log_expected": rng.standard_normal(3),
            "negative_log_expected": rng.standard_normal(4),
        }
        numbers = {"temperature": 0.5, "normalise": True}
    arrays = [changes.get(name, x) for name, x in arrays_by_name.items()]
    return arrays, {name: changes.get(name, x) for name, x in numbers.items()}


def compute_results(operator, call):
    arrays, numbers = call
    out, saved = operator.forward(*arrays, **numbers)
    d_out = np.cos(np.arange(out.size)).reshape(out.shape)
    gradients = operator.backward(d_out, saved)
    return [out, *(gradients if isinstance(gradients, tuple) else (gradients,))]


def distance(results, right):
    pairs = zip(results, right, strict=True)
    return max(np.abs(a - b).max() / max(np.abs(b).max(), TOLERANCE) for a, b in pairs)


def reference_results(stem, arguments):
    return compute_results(getattr(ops, stem), arguments)


def error_of(operator, arguments):
    results = compute_results(operator, arguments)
    return distance(results, reference_results(operator.stem, arguments))


UNAFFECTED = {
    routing.PositionsCompete: {  # one behaviour and one interest: the axis has no effect
        "history": np.ones((1, 1, 5)),
        "mask": np.ones((1, 1), bool),
        "init_logits": np.ones((1, 1, 1)),
        "active": np.ones((1, 1), bool),
    },
    routing.LogitsStored: {},  # the first call is correct
    routing.UpdateSummedOverBatch: {"iterations": 1},
    routing.AddedToWeights: {"iterations": 1},
    routing.LogitsReplaced: {  # added to zeros, the result is equal
        "init_logits": np.zeros((3, 6, 4)),
        "iterations": 2,
        "gradient": "last",
    },
    routing.BiasedVotes: {"mask": np.zeros((3, 6), bool)},
    routing.NoMatrix: {"mask": np.zeros((3, 6), bool)},
    routing.UnitBetweenIterations: {"iterations": 1},
    routing.AlwaysThreeIterations: {"iterations": 3},
    routing.GradientOfThirdIteration: {"iterations": 3, "gradient": "last"},
    routing.ZeroLogits: {"init_logits": np.zeros((3, 6, 4)), "gradient": "last"},
    routing.InactiveCompete: {"active": np.ones((3, 4), bool)},
    routing.EpsilonSquash: {"x": np.full((2, 3), 1e5)},
    attention.PowerBeforeArgmax: {"power": 2.0},
    attention.RawPower: {"interests": np.ones((3, 4, 5)), "target": np.ones((3, 5))},
    attention.PowerMultiplied: {"power": 1.0},
    attention.AlwaysArgmax: {"power": np.inf},
    attention.InactiveAttended: {"active": np.ones((3, 4), bool)},
    attention.SizeOneAxis: {"active": np.eye(4, dtype=bool)[:3]},
    loss.NoCorrection: {"target_log_expected": np.ones(3), "negative_log_expected": np.ones(4)},
    loss.AccidentalHitsKept: {"negative_ids": np.array([6, 7, 8, 9])},
    loss.TemperatureUnused: {"temperature": 1.0},
    loss.OnlyUsersNormalised: {"normalise": False},
}
AFFECTED = {
    attention.PowerBeforeArgmax: {
        "power": np.inf,
        "interests": -np.eye(4, 5)[None] + np.zeros((3, 1, 1)),
    }
}
"""Changes of the arguments that a bug needs to differ."""


@pytest.mark.parametrize("operator", CORRECT_OPERATORS)
def test_an_operator_without_a_bug_matches_the_reference(operator):
    for changes in ({}, {"gradient": "last"}, {"power": 0.0}, {"power": 0.5}, {"power": np.inf}):
        assert error_of(operator(), make_arguments(operator.stem, **changes)) < TOLERANCE


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_changes_the_result(bug):
    arguments, operator = make_arguments(bug.stem, **AFFECTED.get(bug, {})), bug()
    compute_results(operator, arguments)  # stored values change the second call
    assert error_of(operator, arguments) > np.sqrt(TOLERANCE)


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_correct_if_its_step_has_no_effect(bug):
    assert error_of(bug(), make_arguments(bug.stem, **UNAFFECTED[bug])) < TOLERANCE


@pytest.mark.parametrize("bug", [b for b in BUGS if b is not routing.LogitsStored])
def test_the_gradient_of_a_bug_is_exact(bug):
    arguments, operator = make_arguments(bug.stem, **AFFECTED.get(bug, {})), bug()
    arrays, numbers = arguments
    moving = FLOATS.get(bug.stem, (0,))
    if bug is routing.EpsilonSquash:  # scale for finite differences
        arrays = [x * LENGTH / np.abs(x).max() for x in arrays]

    def function(*moved):
        call_arrays = list(arrays)
        for index, x in zip(moving, moved, strict=True):
            call_arrays[index] = x
        return operator.forward(*call_arrays, **numbers)[0]

    def slopes(cotangent):
        gradients = operator.backward(cotangent, operator.forward(*arrays, **numbers)[1])
        return gradients if isinstance(gradients, tuple) else (gradients,)

    inputs = [arrays[index] for index in moving]
    gradient.check_gradient(
        function, slopes, inputs, np.random.default_rng(1), step=gradient.SHORT_STEP
    )


def test_gradient_of_third_iteration_is_zero_for_two_iterations():
    arguments = make_arguments("routing", iterations=2, gradient="last")
    out, d_history, d_bilinear, _ = compute_results(routing.GradientOfThirdIteration(), arguments)
    assert np.array_equal(out, compute_results(Routing(), arguments)[0])
    assert not d_history.any()
    assert not d_bilinear.any()


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_a_backend_of_one_operator_with_a_rule_to_break(bug):
    backend = load_backend(f"tests.public_code.bugs:{bug.__name__}")
    assert backend.capabilities().operators == (bug.stem,)
    assert bug.deviation
    assert bug.seen_in
    assert bug.rule.startswith(bug.stem)
