"""Conversions, memory and automatic gradients of the backend contract."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import OPERATORS, Capabilities, NumpyBackend
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants.loader import backend_of, suite_mutants
from mindref.conformance.runner import plan
from mindref.conformance.runner.call import BackendImplementation, Call, map_floats
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from mindref.conformance.runner.plan import RunSettings
from mindref.ops import squash

NARROW = Precision.of(("float16", "float32"))
X = np.array([[3.0, 4.0], [0.5, 0.0]])
D_OUT = np.array([[1.0, -2.0], [0.25, 3.0]])
CALL = Call("squash", {"x": X}, {"kind": "squash"}, D_OUT)


class Framework:
    """A backend of one operator whose gradient comes from `differentiate`."""

    name = "framework"

    def __init__(self, gradients=None):
        self.arguments = []
        self.gradients = gradients
        self.ops = SimpleNamespace(squash=SimpleNamespace(forward=squash.forward))

    def capabilities(self):
        return Capabilities(("squash",), gradients="automatic")

    def differentiate(self, stem, arrays, numbers, d_out):
        self.arguments.append((stem, arrays, numbers, d_out))
        return self.gradients


class Narrow(NumpyBackend):
    def from_numpy(self, x):
        return x.astype(np.float32).astype(x.dtype) if x.dtype.kind == "f" else x


def check_result(name, backend, dtype="float64"):
    check = next(c for c in all_checks() if c.name == name)
    budget = ExampleBudget(10, shrink=False)
    return run_check(check, BackendImplementation(backend), Precision.of(dtype), budget)


@pytest.mark.rules("backend-R14")
def test_automatic_gradients_are_those_that_differentiate_returns():
    backend = Framework((2 * D_OUT,))
    answer = BackendImplementation(backend).answer(CALL)
    assert np.array_equal(answer["d_x"], 2 * D_OUT)
    ((stem, (x,), numbers, d_out),) = backend.arguments
    assert (stem, numbers) == ("squash", {"kind": "squash"})
    assert np.array_equal(x, X)
    assert np.array_equal(d_out, D_OUT)


@pytest.mark.rules("backend-R14")
def test_a_gradient_of_none_means_zeros():
    answer = BackendImplementation(Framework((None,))).answer(CALL)
    assert np.array_equal(answer["d_x"], np.zeros_like(X))


@pytest.mark.rules("backend-R14")
def test_an_extra_gradient_raises_with_the_expected_names():
    with pytest.raises(TypeError, match="expected the gradients of x, got 2"):
        BackendImplementation(Framework((D_OUT, None))).answer(CALL)


@pytest.mark.rules("backend-R11")
def test_a_conversion_through_another_dtype_fails():
    name = "contract/conversion_round_trip_is_exact"
    assert check_result(name, NumpyBackend()).status == "passed"
    result = check_result(name, Narrow())
    assert result.status == "failed"
    assert "other bytes" in result.message


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize("kind", squash.KINDS)
def test_the_reference_returns_new_memory(kind):
    out, saved = squash.forward(X, kind=kind)
    assert not np.shares_memory(out, X)
    before = out.copy()
    squash.backward(D_OUT, saved)
    squash.forward(2 * X, kind=kind)
    assert np.array_equal(out, before)


def test_operators_are_composed_by_the_reference():
    """A backend without levels 2 and 3 is tested, and a wrong operator shows in the gradients."""
    name = "contract/operators_compose_to_the_model"
    assert check_result(name, backend_of(None, levels=("ops",))).status == "passed"
    wrong = next(v for v in suite_mutants() if v.name == "relu-layer-without-bias")
    assert check_result(name, backend_of(wrong, levels=("ops",))).status == "failed"


class Routing:
    """The routing of the reference, with or without the couplings in its saved values."""

    name = "routing"

    def __init__(self, gradients, *, couplings):
        self.gradients, self.couplings = gradients, couplings
        self.ops = SimpleNamespace(routing=SimpleNamespace(forward=self.forward))

    def forward(self, *arrays, **numbers):
        out, saved = backend_of(None).ops.routing.forward(*arrays, **numbers)
        return out, saved if self.couplings else SimpleNamespace(couplings=None)

    def capabilities(self):
        return Capabilities(("routing",), gradients=self.gradients)


@pytest.mark.rules("backend-R10")
@pytest.mark.parametrize("gradients", ["derived", "automatic"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_routing_returns_its_couplings(gradients, precision):
    (name,) = [c.name for c in all_checks() if "backend-R10" in c.rules]
    result = check_result(name, Routing(gradients, couplings=True), precision)
    assert result.status == "passed", result.message
    result = check_result(name, Routing(gradients, couplings=False), precision)
    assert (result.status, result.message) == ("failed", "couplings is missing in the answer")


class Half:
    """The operators of the reference in float32, with results rounded to float16."""

    name = "half"

    def __init__(self):
        ops = backend_of(None).ops
        self.ops = SimpleNamespace(**{stem: rounding(getattr(ops, stem)) for stem in OPERATORS})

    def capabilities(self):
        return Capabilities(OPERATORS, dtypes=(("float16", "float32"),))


def rounding(module):
    def forward(*arrays, **numbers):
        out, saved = module.forward(*map_floats(wide, arrays), **numbers)
        parts = {"couplings": narrow(saved.couplings)} if hasattr(saved, "couplings") else {}
        return narrow(out), SimpleNamespace(wide=saved, **parts)

    def backward(d_out, saved):
        return map_floats(narrow, module.backward(wide(np.asarray(d_out)), saved.wide))

    return SimpleNamespace(forward=forward, backward=backward)


def wide(x):
    return x.astype(np.float32)


def narrow(x):
    return np.asarray(x).astype(np.float16)


@pytest.mark.rules("conformance-R12")
@pytest.mark.parametrize("precision", [NARROW, Precision.of(("float16", "float32", "float32"))])
@pytest.mark.parametrize("stem", [*OPERATORS, "composition"])
@pytest.mark.slow(every=4)
def test_a_correct_narrow_backend_passes(stem, precision):
    settings, implementation = RunSettings("smoke"), BackendImplementation(Half())
    checks = [c for c in plan.planned_checks(all_checks(), precision) if c.stem == stem]
    assert checks
    for check in checks:
        result = plan.run_planned_check(check, implementation, precision, settings)
        assert result.status in ("passed", "not_claimed"), (result.check, result.message)
