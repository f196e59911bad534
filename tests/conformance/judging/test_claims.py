"""Claims that cannot be understood end in one message; claims without substance are named."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mindref.backend import Capabilities, NumpyBackend
from mindref.conformance.judging.claims import claims_of, unhonoured
from mindref.errors import BackendError
from tests.conformance.small import Right, overclaiming, right


class Claiming(Right):
    """Claims what it is told to."""

    def __init__(self, claims: Any) -> None:
        super().__init__()
        self.made = claims

    def capabilities(self) -> Any:
        return self.made


class Silent(Right):
    def capabilities(self) -> Any:
        raise OSError("no driver")


def claims(**fields: Any) -> Capabilities:
    return Capabilities(**{"operators": ("softmax",), **fields})


def test_what_the_reference_claims_is_understood_and_there() -> None:
    found = claims_of(NumpyBackend(), "numpy")
    assert found == NumpyBackend().capabilities()
    assert list(unhonoured(NumpyBackend(), found)) == []


@pytest.mark.parametrize(
    ("made", "says"),
    [
        ({"operators": []}, "expected Capabilities, got a dict"),
        (None, "got a NoneType"),
        (claims(operators=("softmax", "routng")), "operators: expected a tuple of embedding"),
        (claims(operators="softmax"), "got 'softmax'"),
        (claims(operators=("softmax", "softmax")), "expected each word once"),
        (claims(levels=("ops", "serve")), "levels: expected a tuple of ops, model, train"),
        (claims(options=("routing-R1",)), "options: expected a tuple of squash-R6"),
        (claims(gradients="auto"), "gradients: expected derived or automatic, got 'auto'"),
        (claims(dtypes=()), "dtypes: expected at least one"),
        (claims(dtypes=("float32",)), "got 'float32'"),
        (claims(dtypes=(("float32", "float8"),)), "float8"),
        (claims(dtypes=(("float32", "float32"),) * 2), "expected each precision once"),
    ],
)
def test_claims_that_say_nothing_are_refused(made: Any, says: str) -> None:
    with pytest.raises(BackendError) as caught:
        claims_of(Claiming(made), "mine:Mine")
    assert "backend mine:Mine: capabilities()" in str(caught.value)
    assert says in str(caught.value)


def test_a_backend_that_cannot_say_is_refused_with_the_cause() -> None:
    with pytest.raises(BackendError, match="got OSError: no driver"):
        claims_of(Silent(), "mine:Mine")


@pytest.mark.rules("backend-R13")
def test_every_claim_without_substance_is_named() -> None:
    found = list(unhonoured(overclaiming, overclaiming.capabilities()))
    assert found == [
        "operator squash is claimed, but ops has no squash",
        "level train is claimed, but there is no init",
        "level train is claimed, but there is no step",
        "level train is claimed, but there is no parameters",
        "level train is claimed, but there is no moments",
    ]


@pytest.mark.rules("backend-R13")
def test_gradients_must_come_from_somewhere() -> None:
    automatic = claims(gradients="automatic")
    (found,) = unhonoured(right, automatic)
    assert "no differentiate" in found
    half = Right()
    half.ops = SimpleNamespace(softmax=SimpleNamespace(forward=len))
    assert list(unhonoured(half, claims())) == [
        "operator softmax is claimed, but ops.softmax has no backward"
    ]


@pytest.mark.rules("backend-R16")
def test_devices_beyond_the_cpu_must_be_had() -> None:
    assert list(unhonoured(right, claims(devices=("cpu",)))) == []
    (found,) = unhonoured(right, claims(devices=("cpu", "cuda")))
    assert found == "several devices are claimed, but there is no on"


def test_operators_that_cannot_be_read_are_named() -> None:
    class Broken(NumpyBackend):
        @property
        def ops(self) -> Any:
            raise ImportError("no framework")

    (found,) = unhonoured(Broken(), claims())
    assert found == "ops cannot be read: ImportError: no framework"
