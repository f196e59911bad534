"""Finite differences: of what is given, of what comes about on the way, at corners, by step."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.shapes import Array
from mindref.study.gradients import differences, unrolled
from tests.study import small_pair


def closed(pair: small_pair.TrainingPair) -> dict[str, Array]:
    """Return the library's own gradient of what is given, by the names of the trace."""
    _, saved = mind.loss(*pair)
    found = mind.backward(saved)
    tables = {
        "items": found.items.dense(len(pair.params.items)),
        "profile": found.profile.dense(len(pair.params.profile)),
    }
    layers = {f"W[{n}]": layer.weight for n, layer in enumerate(found.layers, start=1)}
    biases = {f"bias[{n}]": layer.bias for n, layer in enumerate(found.layers, start=1)}
    return {"S": found.bilinear, **tables, **layers, **biases}


@pytest.mark.parametrize("name", small_pair.SETTINGS)
@pytest.mark.parametrize("gradient", ["all", "last"])
@pytest.mark.slow(every=4)
def test_parameter_gradients_equal_finite_differences(name: str, gradient: str) -> None:
    pair = small_pair.make_small_pair(
        0, 2, **{**small_pair.SETTINGS[name], "routing_gradient": gradient}
    )
    for tensor, gradients in closed(pair).items():
        for index in list(np.ndindex(gradients.shape))[:: 1 if tensor == "S" else 5]:
            found = differences.finite_difference(pair, tensor, index)
            assert found.difference == pytest.approx(gradients[index], rel=1e-6, abs=1e-8)


def test_the_gradient_last_differs_from_the_exact_gradient() -> None:
    pair = small_pair.make_small_pair(0, power=2.0, routing_gradient="last")
    gradient = closed(pair)["S"]
    loose = differences.finite_difference(pair, "S", (1, 2), frozen=False)
    fixed = differences.finite_difference(pair, "S", (1, 2))
    assert (loose.frozen, fixed.frozen) == (False, True)
    assert differences.slope_error(gradient[1, 2], fixed.difference) < 1e-8
    assert differences.slope_error(gradient[1, 2], loose.difference) > 1e-3


def test_differences_of_single_uses_sum_to_the_total() -> None:
    """Moving m by one place of use and then by all others is moving it by all."""
    pair = small_pair.make_small_pair(0, power=2.0, routing_gradient="all", iterations=3)
    uses = ("Se@z[1]", "Se@b[2]", "Se@z[2]", "Se@b[3]", "Se@z[3]")
    parts = [differences.finite_difference(pair, use, (4, 1)).difference for use in uses]
    whole = differences.finite_difference(pair, "Se", (4, 1)).difference
    assert sum(parts) == pytest.approx(whole, rel=1e-7)
    assert min(np.abs(parts)) > 1e-6


def test_the_target_is_used_twice() -> None:
    pair = small_pair.make_small_pair(0, power=2.0)
    both = differences.finite_difference(pair, "t", (2,)).difference
    query = differences.finite_difference(pair, "query", (2,)).difference
    in_loss = differences.finite_difference(pair, "t.loss", (2,)).difference
    assert query + in_loss == pytest.approx(both, rel=1e-7)
    assert abs(query) > 1e-6
    assert abs(in_loss) > 1e-6


def test_a_difference_has_the_value_of_its_entry() -> None:
    pair = small_pair.make_small_pair(0)
    found = differences.finite_difference(pair, "S", (1, 2))
    assert found.value == pair.params.bilinear[1, 2]
    assert found.tensor, found.index == ("S", (1, 2))


def test_a_step_over_a_kink_is_reduced() -> None:
    """A unit of the rectifier is put half a step from its corner."""
    pair = small_pair.make_small_pair(0, power=2.0, routing_gradient="all")
    affine = unrolled.forward(pair, {}).values["y[1]"][0]
    first = pair.params.layers[0]
    bias = first.bias.copy()
    bias[3] += 0.5e-5 - affine[0, 3]
    layers = (first._replace(bias=bias), *pair.params.layers[1:])
    pair = pair._replace(params=pair.params._replace(layers=layers))
    gradient = closed(pair)["bias[1]"][3]
    found = differences.finite_difference(pair, "bias[1]", (3,))
    assert found.kink
    assert found.step < 0.5e-5
    assert found.difference == pytest.approx(gradient, rel=1e-6)
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
def test_unknown_tensors_and_indices_raise(tensor: str, index: tuple[int, ...], hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        differences.finite_difference(small_pair.make_small_pair(0), tensor, index)
    assert hint in str(raised.value)


def test_the_error_falls_and_rises_with_the_step() -> None:
    pair = small_pair.make_small_pair(0, power=2.0, routing_gradient="all")
    gradient = closed(pair)["S"][1, 2]
    curve = differences.step_size_curve(pair, "S", (1, 2), float(gradient))
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert (curve.h[0], curve.h[-1], len(curve.h)) == (1e-1, 1e-13, 25)
    assert errors[curve.chosen["float64"]] < 1e-8
    assert errors[1e-1] > 1e4 * errors[1e-5]
    assert errors[1e-13] > 1e4 * errors[1e-5]
    assert curve.best["float32"] > 10 * curve.best["float64"]
    coarse = dict(zip(curve.h, curve.float32, strict=True))
    assert coarse[curve.chosen["float32"]] < 1e-2 < coarse[1e-5]
    assert curve == differences.step_size_curve(pair, "S", (1, 2), float(gradient))


def test_a_wrong_gradient_has_a_large_error_for_every_step() -> None:
    pair = small_pair.make_small_pair(0, power=2.0, routing_gradient="all")
    gradient = closed(pair)["S"][1, 2]
    curve = differences.step_size_curve(pair, "S", (1, 2), 1.001 * float(gradient))
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert min(errors[h] for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)) > 9e-4
