"""Malformed claims end in one message; claims without a function are named."""

from types import SimpleNamespace

import pytest

from mindref.backend import Capabilities, NumpyBackend
from mindref.conformance.runner.claims import claims_of, missing_members
from mindref.errors import BackendError
from tests.conformance.small import Right, overclaiming, right


class Claiming(Right):
    def __init__(self, claims):
        super().__init__()
        self.claimed = claims

    def capabilities(self):
        return self.claimed


class Failing(Right):
    def capabilities(self):
        raise OSError("no driver")


def claims(**fields):
    return Capabilities(**{"operators": ("softmax",), **fields})


def test_the_claims_of_the_reference_are_valid():
    reference = claims_of(NumpyBackend(), "numpy")
    assert reference == NumpyBackend().capabilities()
    assert list(missing_members(NumpyBackend(), reference)) == []


@pytest.mark.rules("backend-R21")
@pytest.mark.parametrize(
    ("claimed", "says"),
    [
        ({"operators": []}, "expected Capabilities, got a dict"),
        (None, "got a NoneType"),
        (claims(operators=("softmax", "routng")), "operators: expected a tuple of embedding"),
        (claims(operators="softmax"), "got 'softmax'"),
        (claims(operators=("softmax", "softmax")), "expected each word once"),
        (claims(levels=("ops", "search")), "levels: expected a tuple of ops, model, train, serve"),
        (claims(options=("routing-R1",)), "options: expected a tuple of squash-R6"),
        (claims(options=("numerics-R16",)), "options: expected squash-R6 beside numerics-R16"),
        (
            claims(families=("mind", "mindplus")),
            "families: expected a tuple of mind, mind_plus, youtube_dnn, got",
        ),
        (claims(families=("mind", "mind")), "families: expected each word once"),
        (claims(families=("mind_plus",)), "families: expected mind, got"),
        (claims(concurrency=("processes",)), "concurrency: expected a tuple of threads, fork, got"),
        (claims(concurrency="fork"), "got 'fork'"),
        (claims(gradients="auto"), "gradients: expected derived or automatic, got 'auto'"),
        (claims(dtypes=()), "dtypes: expected at least one"),
        (claims(dtypes=("float32",)), "got 'float32'"),
        (claims(dtypes=(("float32", "float8"),)), "float8"),
        (claims(dtypes=(("float32", "float32"),) * 2), "expected each precision once"),
    ],
)
def test_malformed_claims_raise(claimed, says):
    with pytest.raises(BackendError) as caught:
        claims_of(Claiming(claimed), "mine:Mine")
    assert "backend mine:Mine: capabilities()" in str(caught.value)
    assert says in str(caught.value)


def test_a_backend_without_claims_raises_with_the_cause():
    with pytest.raises(BackendError, match="got OSError: no driver"):
        claims_of(Failing(), "mine:Mine")


@pytest.mark.rules("backend-R13")
def test_every_claim_without_a_function_is_named():
    messages = list(missing_members(overclaiming, overclaiming.capabilities()))
    assert messages == [
        "operator squash is claimed, but ops has no squash",
        "level train is claimed, but the backend has no method init",
        "level train is claimed, but the backend has no method step",
        "level train is claimed, but the backend has no method parameters",
        "level train is claimed, but the backend has no method moments",
    ]


@pytest.mark.rules("backend-R13")
def test_a_source_of_gradients_must_exist():
    automatic = claims(gradients="automatic")
    (message,) = missing_members(right, automatic)
    assert "no method differentiate" in message
    half = Right()
    half.ops = SimpleNamespace(softmax=SimpleNamespace(forward=len))
    assert list(missing_members(half, claims())) == [
        "operator softmax is claimed, but ops.softmax has no backward"
    ]


@pytest.mark.rules("backend-R16")
def test_other_devices_need_the_method_on():
    assert list(missing_members(right, claims(devices=("cpu",)))) == []
    (message,) = missing_members(right, claims(devices=("cpu", "cuda")))
    assert message == "several devices are claimed, but the backend has no method on"


def test_unreadable_operators_are_named():
    class Broken(NumpyBackend):
        @property
        def ops(self):
            raise ImportError("no framework")

    (message,) = missing_members(Broken(), claims())
    assert message == "ops cannot be read: ImportError: no framework"
