"""What the contract promises of conversions, memory and automatic gradients, held by the judge."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mindref.backend import OPERATORS, Capabilities, NumpyBackend
from mindref.conformance.bounds import Precision
from mindref.conformance.judging import plan
from mindref.conformance.judging.call import Call, mapped
from mindref.conformance.judging.check import all_checks
from mindref.conformance.judging.engine import Effort, run_check
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.result import Result
from mindref.conformance.judging.subject import OfBackend
from mindref.conformance.variants.loader import backend_of, catalogue
from mindref.ops import squash
from mindref.shapes import Array

NARROW = Precision.of(("float16", "float32"))
X = np.array([[3.0, 4.0], [0.5, 0.0]])
D_OUT = np.array([[1.0, -2.0], [0.25, 3.0]])
ASKED = Call("squash", {"x": X}, {"kind": "squash"}, D_OUT)


class Framework:
    """One operator whose gradient comes from `differentiate`, in a form of the test's choice."""

    name = "framework"

    def __init__(self, gradients: Any = None) -> None:
        self.asked: list[Any] = []
        self.gradients = gradients
        self.ops = SimpleNamespace(squash=SimpleNamespace(forward=squash.forward))

    def capabilities(self) -> Capabilities:
        return Capabilities(("squash",), gradients="automatic")

    def differentiate(self, stem: str, arrays: Any, numbers: Any, d_out: Array) -> Any:
        self.asked.append((stem, arrays, numbers, d_out))
        return self.gradients


class Narrow(NumpyBackend):
    """Arrays go by way of another type."""

    def from_numpy(self, x: Any) -> Any:
        return x.astype(np.float32).astype(x.dtype) if x.dtype.kind == "f" else x


def judged(name: str, backend: Any) -> Result:
    check = next(c for c in all_checks() if c.name == name)
    return run_check(check, OfBackend(backend), Precision.of("float64"), Effort(8))


@pytest.mark.rules("backend-R14")
def test_automatic_gradients_are_those_that_differentiate_returns() -> None:
    backend = Framework((2 * D_OUT,))
    answer = OfBackend(backend).answer(ASKED)
    assert np.array_equal(answer["d_x"], 2 * D_OUT)
    ((stem, (x,), numbers, d_out),) = backend.asked
    assert (stem, numbers) == ("squash", {"kind": "squash"})
    assert np.array_equal(x, X)
    assert np.array_equal(d_out, D_OUT)


@pytest.mark.rules("backend-R14")
def test_none_stands_for_zeros() -> None:
    answer = OfBackend(Framework((None,))).answer(ASKED)
    assert np.array_equal(answer["d_x"], np.zeros_like(X))


@pytest.mark.rules("backend-R14")
def test_a_gradient_too_many_is_an_error_that_names_what_was_expected() -> None:
    with pytest.raises(TypeError, match="expected the gradients of x, got 2"):
        OfBackend(Framework((D_OUT, None))).answer(ASKED)


@pytest.mark.rules("backend-R11")
@pytest.mark.parametrize("x", [X, X[::2], X[:0], X > 1, X.astype(np.float32), np.array(-0.0)])
def test_the_reference_converts_without_a_change(x: Array) -> None:
    backend = NumpyBackend()
    there = backend.to_numpy(backend.from_numpy(x))
    assert (there.dtype, there.shape, there.tobytes()) == (x.dtype, x.shape, x.tobytes())


@pytest.mark.rules("backend-R11")
def test_a_conversion_by_way_of_another_type_fails() -> None:
    name = "backend/an_array_there_and_back_is_the_same_array"
    assert judged(name, NumpyBackend()).status == "passed"
    result = judged(name, Narrow())
    assert result.status == "failed"
    assert "other bytes" in result.message


@pytest.mark.rules("backend-R12")
@pytest.mark.parametrize("kind", squash.KINDS)
def test_the_reference_gives_back_memory_of_its_own(kind: str) -> None:
    out, saved = squash.forward(X, kind=kind)
    assert not np.shares_memory(out, X)
    before = out.copy()
    squash.backward(D_OUT, saved)
    squash.forward(2 * X, kind=kind)
    assert np.array_equal(out, before)


def test_operators_are_composed_by_the_reference() -> None:
    """A backend without levels 2 and 3 is asked, and a wrong operator shows in the gradients."""
    name = "backend/the_operators_compose_to_the_model"
    assert judged(name, backend_of(None, levels=("ops",))).status == "passed"
    wrong = next(v for v in catalogue() if v.name == "relu-layer-without-bias")
    assert judged(name, backend_of(wrong, levels=("ops",))).status == "failed"


class Routing:
    """The routing of the reference, which shows what it saved or keeps it to itself."""

    name = "routing"

    def __init__(self, gradients: str, *, shown: bool) -> None:
        made = backend_of(None).ops.routing
        self.gradients, self.shown = gradients, shown
        self.ops = SimpleNamespace(routing=SimpleNamespace(forward=self.forward))
        self.own = made.forward

    def forward(self, *arrays: Any, **numbers: Any) -> Any:
        out, saved = self.own(*arrays, **numbers)
        return out, saved if self.shown else SimpleNamespace(couplings=None)

    def capabilities(self) -> Capabilities:
        return Capabilities(("routing",), gradients=self.gradients)


@pytest.mark.rules("backend-R10")
@pytest.mark.parametrize("gradients", ["derived", "automatic"])
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_routing_shows_its_couplings_whoever_differentiates(gradients: str, precision: str) -> None:
    check = next(c for c in all_checks() if "backend-R10" in c.rules)
    for shown, status in ((True, "passed"), (False, "failed")):
        subject = OfBackend(Routing(gradients, shown=shown))
        found = run_check(check, subject, Precision.of(precision), Effort(10, 0, shrink=False))
        assert found.status == status, found.message
    assert found.message == "couplings did not come back"


class Half:
    """The operators of the reference in float32, their results rounded to float16."""

    name = "half"

    def __init__(self) -> None:
        made = backend_of(None).ops
        self.ops = SimpleNamespace(**{stem: rounding(getattr(made, stem)) for stem in OPERATORS})

    def capabilities(self) -> Capabilities:
        return Capabilities(OPERATORS, dtypes=(("float16", "float32"),))


def rounding(module: Any) -> SimpleNamespace:
    def forward(*arrays: Any, **numbers: Any) -> Any:
        out, saved = module.forward(*mapped(wide, arrays), **numbers)
        shown = {"couplings": narrow(saved.couplings)} if hasattr(saved, "couplings") else {}
        return narrow(out), SimpleNamespace(own=saved, **shown)

    def backward(d_out: Any, saved: Any) -> Any:
        found = module.backward(wide(np.asarray(d_out)), saved.own)
        return mapped(narrow, found)

    return SimpleNamespace(forward=forward, backward=backward)


def wide(x: Any) -> Any:
    return x.astype(np.float32)


def narrow(x: Any) -> Any:
    return np.asarray(x).astype(np.float16)


@pytest.mark.rules("conformance-R12")
@pytest.mark.parametrize("precision", [NARROW, Precision.of(("float16", "float32", "float32"))])
@pytest.mark.parametrize("stem", [*OPERATORS, "composition"])
@pytest.mark.slow(every=4)
def test_a_right_narrow_backend_passes_what_it_is_asked(stem: str, precision: Precision) -> None:
    settings, subject = Settings("smoke"), OfBackend(Half())
    checks = [c for c in plan.planned(all_checks(), precision) if c.stem == stem]
    assert checks
    results = [plan.judged(check, subject, precision, settings) for check in checks]
    assert {r.status for r in results} <= {"passed", "not_claimed"}, [
        (r.check, r.status, r.message) for r in results if r.status != "passed"
    ]
