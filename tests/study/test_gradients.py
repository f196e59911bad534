"""Gradients: finite differences, the unrolled forward pass."""

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.study.gradients import differences, unrolled
from mindref.study.tracing import trace_pair
from tests.study.pairs import SETTINGS, make_small_pair

NO_SLOPE = ("d_items", "d_v.mixed")  # table rows with their own numbers; half of d_v


def make_exact_pair(**changes):
    """Return a pair whose gradient goes through all iterations."""
    return make_small_pair(0, **{"power": 2.0, "routing_gradient": "all", **changes})


def parameter_gradients(pair):
    """Return the gradients that the library computes, by tensor of the trace."""
    gradients = mind.backward(mind.loss(*pair)[1])
    layers = {f"W[{n}]": layer.weight for n, layer in enumerate(gradients.layers, start=1)}
    biases = {f"bias[{n}]": layer.bias for n, layer in enumerate(gradients.layers, start=1)}
    tables = {
        "items": gradients.items.dense(len(pair.params.items)),
        "profile": gradients.profile.dense(len(pair.params.profile)),
    }
    return {"S": gradients.bilinear, **tables, **layers, **biases}


def trace_gradients(pair):
    """Return every gradient of the trace, by the tensor that a finite difference changes."""
    values = trace_pair(pair, phases=("forward", "backward")).values
    return {
        differences.perturbed_tensor(name): x
        for name, x in values.items()
        if name.startswith(("d_", "from_")) and name not in NO_SLOPE
        if x.dtype == np.float64 and x.size
    }


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("gradient", ["all", "last"])
@pytest.mark.slow(every=6)
def test_gradients_equal_finite_differences(name, gradient):
    changes = {"iterations": 3, "power": 2.0, **SETTINGS[name], "routing_gradient": gradient}
    pair = make_small_pair(0, 2, **changes)
    rng = np.random.default_rng(0)
    of_trace, of_library = trace_gradients(pair), parameter_gradients(pair)
    assert len(of_trace) >= 15
    for gradients, count in ((of_trace, 4), (of_library, 24)):
        for tensor, closed in gradients.items():
            for index in rng.permutation(list(np.ndindex(closed.shape)))[:count]:
                position = tuple(int(i) for i in index)
                difference = differences.finite_difference(pair, tensor, position).difference
                assert difference == pytest.approx(closed[position], rel=1e-6, abs=1e-8), tensor


def test_the_gradient_last_differs_from_the_exact_gradient():
    pair = make_exact_pair(routing_gradient="last")
    gradient = parameter_gradients(pair)["S"][1, 2]
    fixed, loose = (
        differences.finite_difference(x, "S", (1, 2)).difference for x in (pair, make_exact_pair())
    )
    assert differences.slope_error(gradient, fixed) < 1e-8
    assert differences.slope_error(gradient, loose) > 1e-3


def test_differences_of_single_uses_sum_to_the_total():
    pair = make_exact_pair(iterations=3)
    uses = ("Se@z[1]", "Se@b[2]", "Se@z[2]", "Se@b[3]", "Se@z[3]")
    parts = [differences.finite_difference(pair, use, (4, 1)).difference for use in uses]
    whole = differences.finite_difference(pair, "Se", (4, 1)).difference
    assert sum(parts) == pytest.approx(whole, rel=1e-7)
    assert min(np.abs(parts)) > 1e-6


def test_the_target_is_used_twice():
    pair = make_exact_pair(routing_gradient="last")
    both, query, in_loss = (
        differences.finite_difference(pair, tensor, (2,)).difference
        for tensor in ("t", "query", "t.loss")
    )
    assert query + in_loss == pytest.approx(both, rel=1e-7)
    assert min(abs(query), abs(in_loss)) > 1e-6


def test_a_step_over_a_kink_is_reduced():
    pair = make_exact_pair()
    affine = unrolled.forward(pair, {}).values["y[1]"][0]
    first = pair.params.layers[0]
    bias = first.bias.copy()
    bias[3] += 0.5e-5 - affine[0, 3]  # the unit is half a step from its corner
    layers = (first._replace(bias=bias), *pair.params.layers[1:])
    pair = pair._replace(params=pair.params._replace(layers=layers))
    gradient = parameter_gradients(pair)["bias[1]"][3]
    numeric = differences.finite_difference(pair, "bias[1]", (3,))
    assert numeric.kink
    assert numeric.step < 0.5e-5
    assert numeric.difference == pytest.approx(gradient, rel=1e-6)
    evaluate = differences.loss_evaluator(pair, "bias[1]", (3,))
    blind = (evaluate(1e-5)[0] - evaluate(-1e-5)[0]) / 2e-5
    assert blind != pytest.approx(gradient, rel=1e-3)


@pytest.mark.parametrize(
    ("tensor", "index", "hint"),
    [
        ("SS", (0, 0), "closest: S"),
        ("S", (0,), "within"),
        ("S", (0, 4), "within"),
        ("w[9]", (0, 0), "w["),
    ],
)
def test_unknown_tensors_and_indices_raise(tensor, index, hint):
    with pytest.raises(ConfigError) as raised:
        differences.finite_difference(make_small_pair(0), tensor, index)
    assert hint in str(raised.value)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("pads", [0, 3])
def test_the_unrolled_pass_equals_the_loss_of_the_model(name, pads):
    for seed in range(5):
        pair = make_small_pair(seed, pads, **SETTINGS[name])
        loss, _ = mind.loss(*pair)
        np.testing.assert_allclose(unrolled.forward(pair, {}).losses, loss, rtol=1e-14)


def test_copies_are_independent():
    pair = make_small_pair(power=2.0)
    offsets = np.zeros((6, 9, 4))
    offsets[range(6), [0, 3, 8, 0, 3, 8], [0, 2, 3, 0, 2, 3]] = [0.1] * 3 + [-0.1] * 3
    together = unrolled.forward(pair, {"e": offsets}).losses
    alone = [unrolled.forward(pair, {"e": one[None]}).losses[0] for one in offsets]
    np.testing.assert_allclose(together, alone, rtol=1e-13)
    assert len(set(together.tolist())) == 6


@pytest.mark.parametrize("name", ["S", "W[1]", "b[1]"])
def test_a_change_of_an_input_copies_only_its_array(name):
    pair = make_exact_pair()
    inputs = differences.input_arrays(pair)
    changed = differences.input_arrays(differences.perturb_input(pair, name, (0, 0), 0.5))
    assert changed[name][0, 0] == inputs[name][0, 0] + 0.5
    copied = {x for x in inputs if not np.shares_memory(inputs[x], changed[x])}
    assert copied - {"profile"} == {name}
