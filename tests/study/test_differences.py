"""Finite differences: of what is given, of what comes about on the way, at corners, by step."""

from __future__ import annotations

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.shapes import Array
from mindref.study.gradients import differences, unrolled
from tests.study import small


def closed(given: small.Given) -> dict[str, Array]:
    """Return the library's own gradient of what is given, by the names of the trace."""
    _, saved = mind.loss(*given)
    found = mind.backward(saved)
    tables = {
        "items": found.items.dense(len(given.params.items)),
        "profile": found.profile.dense(len(given.params.profile)),
    }
    layers = {f"W[{n}]": layer.weight for n, layer in enumerate(found.layers, start=1)}
    biases = {f"bias[{n}]": layer.bias for n, layer in enumerate(found.layers, start=1)}
    return {"S": found.bilinear, **tables, **layers, **biases}


@pytest.mark.parametrize("name", small.SETTINGS)
@pytest.mark.parametrize("gradient", ["all", "last"])
@pytest.mark.slow(every=4)
def test_every_parameter_has_the_slope_that_the_library_says(name: str, gradient: str) -> None:
    given = small.given(0, 2, **{**small.SETTINGS[name], "routing_gradient": gradient})
    for tensor, gradients in closed(given).items():
        for index in list(np.ndindex(gradients.shape))[:: 1 if tensor == "S" else 5]:
            found = differences.difference(given, tensor, index)
            assert found.difference == pytest.approx(gradients[index], rel=1e-6, abs=1e-8)


def test_the_last_gradient_is_not_the_slope_of_the_loss() -> None:
    given = small.given(0, power=2.0, routing_gradient="last")
    gradient = closed(given)["S"]
    loose = differences.difference(given, "S", (1, 2), frozen=False)
    fixed = differences.difference(given, "S", (1, 2))
    assert (loose.frozen, fixed.frozen) == (False, True)
    assert differences.relative_error(gradient[1, 2], fixed.difference) < 1e-8
    assert differences.relative_error(gradient[1, 2], loose.difference) > 1e-3


def test_a_number_on_the_way_is_moved_where_it_stands() -> None:
    """Moving m by one place of use and then by all others is moving it by all."""
    given = small.given(0, power=2.0, routing_gradient="all", iterations=3)
    uses = ("m@z[1]", "m@b[2]", "m@z[2]", "m@b[3]", "m@z[3]")
    parts = [differences.difference(given, use, (4, 1)).difference for use in uses]
    whole = differences.difference(given, "m", (4, 1)).difference
    assert sum(parts) == pytest.approx(whole, rel=1e-7)
    assert min(np.abs(parts)) > 1e-6


def test_the_target_is_used_twice() -> None:
    given = small.given(0, power=2.0)
    both = differences.difference(given, "t", (2,)).difference
    query = differences.difference(given, "query", (2,)).difference
    in_loss = differences.difference(given, "t.loss", (2,)).difference
    assert query + in_loss == pytest.approx(both, rel=1e-7)
    assert abs(query) > 1e-6
    assert abs(in_loss) > 1e-6


def test_the_value_is_the_entrys() -> None:
    given = small.given(0)
    found = differences.difference(given, "S", (1, 2))
    assert found.value == given.params.bilinear[1, 2]
    assert found.tensor, found.index == ("S", (1, 2))


def test_a_step_over_a_corner_is_made_smaller() -> None:
    """A unit of the rectifier is put half a step from its corner."""
    given = small.given(0, power=2.0, routing_gradient="all")
    affine = unrolled.forward(given, {}).values["y[1]"][0]
    first = given.params.layers[0]
    bias = first.bias.copy()
    bias[3] += 0.5e-5 - affine[0, 3]
    layers = (first._replace(bias=bias), *given.params.layers[1:])
    given = given._replace(params=given.params._replace(layers=layers))
    gradient = closed(given)["bias[1]"][3]
    found = differences.difference(given, "bias[1]", (3,))
    assert found.corner
    assert found.step < 0.5e-5
    assert found.difference == pytest.approx(gradient, rel=1e-6)
    evaluate = differences.in_loss(given, "bias[1]", (3,))
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
def test_what_is_not_there_is_refused(tensor: str, index: tuple[int, ...], hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        differences.difference(small.given(0), tensor, index)
    assert hint in str(raised.value)


def test_the_curve_falls_and_rises_again() -> None:
    given = small.given(0, power=2.0, routing_gradient="all")
    gradient = closed(given)["S"][1, 2]
    curve = differences.curve(given, "S", (1, 2), float(gradient))
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert (curve.h[0], curve.h[-1], len(curve.h)) == (1e-1, 1e-13, 25)
    assert errors[curve.chosen["float64"]] < 1e-8
    assert errors[1e-1] > 1e4 * errors[1e-5]
    assert errors[1e-13] > 1e4 * errors[1e-5]
    assert curve.best["float32"] > 10 * curve.best["float64"]
    coarse = dict(zip(curve.h, curve.float32, strict=True))
    assert coarse[curve.chosen["float32"]] < 1e-2 < coarse[1e-5]
    assert curve == differences.curve(given, "S", (1, 2), float(gradient))


def test_a_wrong_gradient_never_comes_down() -> None:
    given = small.given(0, power=2.0, routing_gradient="all")
    gradient = closed(given)["S"][1, 2]
    curve = differences.curve(given, "S", (1, 2), 1.001 * float(gradient))
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert min(errors[h] for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)) > 9e-4
