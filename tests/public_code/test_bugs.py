"""Each public bug differs from the reference, and its gradient is exact."""

import numpy as np
import pytest

from mindref import ops
from mindref.backend import load_backend
from mindref.conformance import gradient
from mindref.conformance.tolerances import SAME_MATH
from tests.conformance.independent.levels import IndependentBackend
from tests.public_code import bugs
from tests.public_code.bugs import BUGS

TOLERANCE = SAME_MATH[np.dtype(np.float64)]
LENGTH = 3.0  # length of a capsule for which finite differences detect the bug
FLOATS = {"routing": (0, 2, 3), "label_attention": (0, 1), "sampled_softmax": (0, 1, 2)}
UNAFFECTED = {
    bugs.PositionsCompete: {  # one behaviour and one interest: the axis has no effect
        "history": np.ones((1, 1, 5)),
        "mask": np.ones((1, 1), bool),
        "init_logits": np.ones((1, 1, 1)),
        "active": np.ones((1, 1), bool),
    },
    bugs.LogitsStored: {},  # the first call is correct
    bugs.UpdateSummedOverBatch: {"iterations": 1},
    bugs.AddedToWeights: {"iterations": 1},
    bugs.LogitsReplaced: {  # added to zeros, the result is equal
        "init_logits": np.zeros((3, 6, 4)),
        "iterations": 2,
        "gradient": "last",
    },
    bugs.BiasedVotes: {"mask": np.zeros((3, 6), bool)},
    bugs.NoMatrix: {"mask": np.zeros((3, 6), bool)},
    bugs.UnitBetweenIterations: {"iterations": 1},
    bugs.AlwaysThreeIterations: {"iterations": 3},
    bugs.GradientOfThirdIteration: {"iterations": 3, "gradient": "last"},
    bugs.ZeroLogits: {"init_logits": np.zeros((3, 6, 4)), "gradient": "last"},
    bugs.InactiveCompete: {"active": np.ones((3, 4), bool)},
    bugs.EpsilonSquash: {"x": np.full((2, 3), 1e5)},
    bugs.PowerBeforeArgmax: {"power": 2.0},
    bugs.RawPower: {"interests": np.ones((3, 4, 5)), "target": np.ones((3, 5))},
    bugs.PowerMultiplied: {"power": 1.0},
    bugs.AlwaysArgmax: {"power": np.inf},
    bugs.InactiveAttended: {"active": np.ones((3, 4), bool)},
    bugs.SizeOneAxis: {"active": np.eye(4, dtype=bool)[:3]},
    bugs.NoCorrection: {"target_log_expected": np.ones(3), "negative_log_expected": np.ones(4)},
    bugs.AccidentalHitsKept: {"negative_ids": np.array([6, 7, 8, 9])},
    bugs.TemperatureUnused: {"temperature": 1.0},
    bugs.OnlyUsersNormalised: {"normalise": False},
}
"""Changes of the arguments for which the step with the bug has no effect."""
AFFECTED = {
    bugs.PowerBeforeArgmax: {
        "power": np.inf,
        "interests": -np.eye(4, 5)[None] + np.zeros((3, 1, 1)),
    }
}
"""Changes of the arguments that a bug needs to differ."""


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


def operator_of(backend):
    return getattr(backend.ops, backend.stem)


@pytest.mark.parametrize("stem", FLOATS)
def test_an_operator_without_a_bug_matches_the_reference(stem):
    for changes in ({}, {"gradient": "last"}, {"power": 0.0}, {"power": 0.5}, {"power": np.inf}):
        arguments = make_arguments(stem, **changes)
        results = compute_results(getattr(IndependentBackend().ops, stem), arguments)
        assert distance(results, reference_results(stem, arguments)) < TOLERANCE


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_a_backend_of_one_operator_and_changes_the_result(bug):
    backend = load_backend(f"tests.public_code.bugs:{bug.__name__}")
    assert backend.capabilities().operators == (bug.stem,)
    arguments, operator = make_arguments(bug.stem, **AFFECTED.get(bug, {})), operator_of(backend)
    compute_results(operator, arguments)  # stored values change the second call
    results = compute_results(operator, arguments)
    assert distance(results, reference_results(bug.stem, arguments)) > np.sqrt(TOLERANCE)


@pytest.mark.parametrize("bug", BUGS)
def test_a_bug_is_correct_if_its_step_has_no_effect(bug):
    arguments = make_arguments(bug.stem, **UNAFFECTED[bug])
    results = compute_results(operator_of(bug()), arguments)
    assert distance(results, reference_results(bug.stem, arguments)) < TOLERANCE


@pytest.mark.parametrize("bug", [b for b in BUGS if b is not bugs.LogitsStored])
def test_the_gradient_of_a_bug_is_exact(bug):
    operator = operator_of(bug())
    arrays, numbers = make_arguments(bug.stem, **AFFECTED.get(bug, {}))
    moving = FLOATS.get(bug.stem, (0,))
    if bug is bugs.EpsilonSquash:  # scale for finite differences
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
    out, d_history, d_bilinear, _ = compute_results(
        operator_of(bugs.GradientOfThirdIteration()), arguments
    )
    assert np.array_equal(out, compute_results(IndependentBackend().ops.routing, arguments)[0])
    assert not d_history.any()
    assert not d_bilinear.any()
