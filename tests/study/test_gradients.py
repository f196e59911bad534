"""Gradients: finite differences, the unrolled forward pass, and the ledger of 2R - 1 rows."""

import base64
import json

import numpy as np
import pytest

from mindref.errors import ConfigError
from mindref.models import mind
from mindref.ops import routing
from mindref.study.gradients import batched_differences, differences, ledger, unrolled
from mindref.study.record import instrument_reference
from mindref.study.tracing import trace_pair
from tests.study.pairs import SETTINGS, make_built_in_pair, make_small_pair

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


def curve_of_entry(factor=1.0):
    """Return the curve of an entry of S, compared with `factor` times its gradient."""
    pair = make_exact_pair()
    gradient = float(parameter_gradients(pair)["S"][0, 2])
    return differences.step_size_curve(pair, "S", (0, 2), factor * gradient)


def test_the_error_falls_and_rises_with_the_step():
    curve = curve_of_entry()
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert (curve.h[0], curve.h[-1], len(curve.h)) == (1e-1, 1e-13, 25)
    assert errors[curve.chosen["float64"]] < 1e-8
    assert errors[1e-1] > 1e4 * errors[1e-5]
    assert errors[1e-13] > 1e4 * errors[1e-5]
    assert curve.best["float32"] > 10 * curve.best["float64"]
    coarse = dict(zip(curve.h, curve.float32, strict=True))
    assert coarse[curve.chosen["float32"]] < 1e-2 < coarse[1e-5]
    assert curve == curve_of_entry()


def test_a_wrong_gradient_has_a_large_error_for_every_step():
    curve = curve_of_entry(1.001)
    errors = dict(zip(curve.h, curve.float64, strict=True))
    assert min(errors[h] for h in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7)) > 9e-4


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


def replace_in_copies(monkeypatch, stem, name, function):
    """Replace a function of an operator in the copies that the ledger runs."""

    def replaced():
        copies = instrument_reference()
        setattr(getattr(copies.modules.ops, stem), name, function)
        return copies

    monkeypatch.setattr(ledger, "instrument_reference", replaced)


@pytest.mark.parametrize("name", ["built-in user", *SETTINGS])
@pytest.mark.parametrize("by", ["Se", "S", "e"])
def test_rows_sum_to_the_total_and_equal_finite_differences(name, by):
    built_in = name == "built-in user"
    pair = make_built_in_pair() if built_in else make_small_pair(0, 2, **SETTINGS[name])
    table = ledger.make_ledger(pair, by)
    assert len(table.rows) == 2 * table.iterations - 1
    assert table.residual < 1e-12
    assert table.last_residual < 1e-12
    assert table.check.error < 1e-7
    for row in table.rows:
        assert row.check.error < 1e-6, row.name
        assert row.check.checked == row.closed.size
        assert built_in or row.check.norm == pytest.approx(row.norm, rel=1e-6)
        assert row.norm > 0


@pytest.mark.parametrize("name", ["S", "W[1]", "b[1]"])
def test_a_change_of_an_input_copies_only_its_array(name):
    pair = make_exact_pair()
    inputs = differences.input_arrays(pair)
    changed = differences.input_arrays(differences.perturb_input(pair, name, (0, 0), 0.5))
    assert changed[name][0, 0] == inputs[name][0, 0] + 0.5
    copied = {x for x in inputs if not np.shares_memory(inputs[x], changed[x])}
    assert copied - {"profile"} == {name}


@pytest.mark.rules("routing-R11", "routing-R12")
def test_sum_and_last_row_equal_the_gradients_of_the_reference():
    for gradient in ("all", "last"):
        pair = make_small_pair(3, 2, power=2.0, iterations=4, routing_gradient=gradient)
        table = ledger.make_ledger(pair, "S")
        returned = mind.backward(mind.loss(*pair)[1]).bilinear
        rows = table.rows if gradient == "all" else [r for r in table.rows if r.kept_by_last]
        np.testing.assert_allclose(
            sum(row.closed for row in rows), returned, rtol=1e-12, atol=1e-14
        )


def test_rows_are_in_backward_order_and_equal_the_trace():
    pair = make_exact_pair(iterations=3)
    table = ledger.make_ledger(pair)
    assert [row.name for row in table.rows] == ["z3", "b3", "z2", "b2", "z1"]
    tensors = ["from_z[3]", "from_a[2]", "from_z[2]", "from_a[1]"]
    assert [row.tensor for row in table.rows] == [*tensors, "from_z[1]"]
    assert [row.kept_by_last for row in table.rows] == [True, False, False, False, False]
    values = trace_pair(pair).values
    for row in table.rows:
        np.testing.assert_array_equal(row.closed, values[row.tensor])
    for by in ("Se", "S", "e"):
        total = np.sum([row.closed for row in ledger.make_ledger(pair, by).rows], axis=0)
        np.testing.assert_allclose(total, values[f"d_{by}"], rtol=1e-9, atol=1e-15)
    assert table.rows[0].share > max(row.share for row in table.rows[1:])


def test_a_wrong_softmax_gradient_affects_only_its_rows(monkeypatch):
    def diagonal(d_out, saved):
        return saved.out * d_out

    pair = make_small_pair(0, power=0.0, iterations=3)
    replace_in_copies(monkeypatch, "softmax", "backward", diagonal)
    table = ledger.make_ledger(pair)
    errors = {row.name: row.check.error for row in table.rows}
    assert errors["z3"] < 1e-7
    assert min(error for name, error in errors.items() if name != "z3") > 1e-3
    assert table.check.error > 1e-3


def test_a_missing_part_of_the_gradient_changes_the_residual(monkeypatch):
    pair = make_small_pair(0, power=2.0, iterations=3)
    real = routing.project_votes_backward

    def lossy(d_votes, history, bilinear):
        return real(1.001 * d_votes, history, bilinear)

    replace_in_copies(monkeypatch, "routing", "project_votes_backward", lossy)
    assert ledger.make_ledger(pair, "S").residual == pytest.approx(1e-3, rel=1e-2)


def test_large_arrays_are_compared_in_part(monkeypatch):
    monkeypatch.setattr(batched_differences, "MAX_ENTRIES", 10)
    table = ledger.make_ledger(make_small_pair(0, power=2.0, iterations=2))
    check = table.rows[0].check
    assert 5 < check.checked <= 10
    assert check.norm is None
    indices = batched_differences.select_indices(table.rows[0].closed)
    largest = np.unravel_index(np.argmax(np.abs(table.rows[0].closed)), table.rows[0].closed.shape)
    assert list(largest) in indices.tolist()


def test_rows_are_restored_from_json():
    table = ledger.make_ledger(make_small_pair(0, power=2.0))
    content = json.loads(json.dumps(table.to_json(), allow_nan=False))
    read = [
        np.frombuffer(base64.b64decode(row["data"]["data"]), "<f8").reshape(row["data"]["shape"])
        for row in content["rows"]
    ]
    np.testing.assert_array_equal(read, [row.closed for row in table.rows])
    total = float(np.linalg.norm(np.sum(read, axis=0)))
    assert total == pytest.approx(content["sum"]["norm"], rel=1e-12)
    assert content["last"]["keeps"] == [content["rows"][0]["name"]]
    assert ledger.make_ledger(make_small_pair(0), "S").to_json()["rows"][0]["data"] is None


def test_a_zero_gradient_has_a_ledger():
    """No unit of the last ReLU is active."""
    pair = make_small_pair(0, power=2.0, last_relu=True)
    shut = pair.params.layers[-1]
    layers = (*pair.params.layers[:-1], shut._replace(bias=shut.bias - 1e3))
    pair = pair._replace(params=pair.params._replace(layers=layers))
    table = ledger.make_ledger(pair)
    assert table.residual == table.last_residual == table.check.error == 0
    json.dumps(table.to_json(), allow_nan=False)


def test_an_unknown_ledger_raises():
    with pytest.raises(ConfigError, match="Se or S or e"):
        ledger.make_ledger(make_small_pair(0), "W")


def test_residuals_measure_a_wrong_total(monkeypatch):
    real = ledger.record_terms

    def other(pair, gradient):
        table = real(pair, gradient)
        return table._replace(totals={name: 1.01 * x for name, x in table.totals.items()})

    monkeypatch.setattr(ledger, "record_terms", other)
    table = ledger.make_ledger(make_small_pair(0, iterations=3))
    assert table.residual == pytest.approx(0.01 / 1.01)
    assert table.last_residual == pytest.approx(0.01 / 1.01)
