"""The contract of a backend, and the registry."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest

import mindref.ops
from mindref.backend import (
    DEFAULT_OPTIONS,
    OPERATORS,
    SEPARATE_PACKAGES,
    Capabilities,
    NumpyBackend,
    list_backends,
    load_backend,
)
from mindref.config import Config
from mindref.errors import BackendError
from mindref.models.parameters import flatten
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.run.source import Source
from tests import spec_pages
from tests.runs import python_output


class Counting(NumpyBackend):
    """The reference; it counts calls of operators, and has other saved values than they."""

    name = "counting"

    def __init__(self):
        self.calls = {}

    @property
    def ops(self):
        return SimpleNamespace(**{stem: self.counted(stem) for stem in OPERATORS})

    def counted(self, stem):
        module = getattr(mindref.ops, stem)

        def forward(*arrays, **numbers):
            self.calls[stem] = self.calls.get(stem, 0) + 1
            out, saved = module.forward(*arrays, **numbers)
            read = {"couplings": saved.couplings} if stem == "routing" else {}
            return out, SimpleNamespace(opened=lambda: saved, **read)

        def backward(d_out, sealed):
            self.calls[f"{stem} backward"] = self.calls.get(f"{stem} backward", 0) + 1
            return module.backward(d_out, sealed.opened())

        return SimpleNamespace(forward=forward, backward=backward)


class Automatic(NumpyBackend):
    """A backend whose framework would differentiate; its operators have no backward."""

    name = "automatic"

    @property
    def ops(self):
        forward_only = {stem: getattr(mindref.ops, stem).forward for stem in OPERATORS}
        return SimpleNamespace(**{k: SimpleNamespace(forward=f) for k, f in forward_only.items()})

    def capabilities(self):
        return Capabilities(OPERATORS, gradients="automatic")


counting = Counting()
automatic = Automatic()
half = SimpleNamespace(name="half", ops=mindref.ops)


class Moving(NumpyBackend):
    """A backend with two devices, one of them available."""

    name = "moving"

    def __init__(self, device="nowhere"):
        self.device = device

    def on(self, device):
        if device == "cuda":
            raise RuntimeError("no card in the slot")
        return Moving("cpu" if device == "auto" else device)


class Leaving:
    def __init__(self):
        raise SystemExit(0)


class Failing:
    def __init__(self):
        raise RuntimeError("no such device")


@pytest.mark.rules("backend-R2", "backend-R5")
@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("no_such_module:thing", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("tests.test_backend:missing", "AttributeError"),
        ("tests.test_backend:Failing", "RuntimeError: no such device"),
        ("tests.test_backend:Leaving", "SystemExit: 0"),
        ("tests.test_backend:half", "no capabilities, to_numpy, from_numpy"),
    ],
)
def test_a_backend_that_is_incomplete_or_fails_is_an_error(name, cause):
    with pytest.raises(BackendError) as caught:
        load_backend(name)
    assert cause in str(caught.value)
    assert name.removeprefix("tests.test_backend:") in str(caught.value)


@pytest.mark.rules("backend-R1", "backend-R7", "backend-R16")
def test_a_backend_is_loaded_by_its_name_or_module_and_moved_to_a_device():
    name = "tests.test_backend:Moving"
    devices = [load_backend(name, device).device for device in (None, "cpu", "auto")]
    assert devices == ["nowhere", "cpu", "cpu"]
    with pytest.raises(BackendError, match=r"^backend moving: device: expected cuda .* no card in"):
        load_backend(name, "cuda")
    for device in (None, "cpu", "auto"):
        assert load_backend("tests.test_backend:counting", device) is counting, "it has no devices"
    with pytest.raises(BackendError, match="backend numpy: device: expected cpu or auto, got cuda"):
        load_backend("numpy", "cuda")


@pytest.mark.rules("backend-R4")
def test_an_unknown_name_is_rejected_with_the_installed_names_or_the_missing_package(monkeypatch):
    with pytest.raises(BackendError, match=r"expected one of .*numpy.*, got 'nunpy'"):
        load_backend("nunpy")
    monkeypatch.setattr("mindref.backend.list_backends", dict)
    for name in SEPARATE_PACKAGES:
        with pytest.raises(BackendError) as caught:
            load_backend(name)
        assert f"in a checkout of mindref: pip install . './backends/{name}'" in str(caught.value)
    with pytest.raises(BackendError, match=r"got 'nunpy'$"):
        load_backend("nunpy")


@pytest.mark.rules("backend-R3")
def test_capabilities_are_read_without_importing_operators():
    script = """
import sys
from mindref.backend import list_backends, load_backend
names = list(list_backends())
claims = load_backend("numpy").capabilities()
print(names, len(claims.operators), [m for m in sys.modules if m.startswith("mindref.ops")])
"""
    assert python_output(script) == f"{list(list_backends())} {len(OPERATORS)} []\n"


def tiny(backend, **options):
    """Return a training of two steps."""
    settings = {"steps": 2, "batch": 8, "negatives": 8, "width": 4, "hidden": [5], "window": 4}
    config = Config.of("mind", {**settings, **options, "backend": backend})
    source = Source.of(None, {"users": 30, "items": 96})
    return Trainer(TrainingPlan(config, source, "leave_last_out"), source.read())


@pytest.mark.rules("backend-R6")
def test_a_backend_with_only_operators_trains_and_serves():
    counting.calls.clear()
    tiny("tests.test_backend:counting").train()
    # two training steps and one validation: three times to interests, twice to the loss
    assert counting.calls["routing"] == 3
    assert counting.calls["label_attention"] == 2
    assert counting.calls["sampled_softmax"] == 2
    assert counting.calls["relu_layer"] == 6
    assert counting.calls["routing backward"] == counting.calls["label_attention backward"] == 2
    assert counting.calls["embedding backward"] == 8  # history, profile, target, negatives


@pytest.mark.rules("backend-R10")
def test_saved_values_of_operators_are_not_read():
    """Training with sealed states ends in the parameters of the reference."""
    finals = []
    for backend in ("numpy", "tests.test_backend:counting"):
        outcome = tiny(backend, user_features=["age"]).train()
        finals.append(flatten(outcome.model().params))
    np.testing.assert_equal(finals[1], finals[0])


@pytest.mark.rules("backend-R9")
def test_a_backend_without_backward_serves_but_does_not_train():
    trainer = tiny("tests.test_backend:automatic")
    assert trainer.validate(trainer.state.params) >= 0
    with pytest.raises(BackendError, match="operators with backward, got gradients 'automatic'"):
        trainer.train()
    assert trainer.state.moments.step == 0


@pytest.mark.rules("backend-R8")
def test_operators_have_the_names_of_the_specification_pages():
    assert tuple(mindref.ops.OPS) == OPERATORS
    assert set(OPERATORS) <= set(spec_pages.names())
    assert all(getattr(mindref.ops, stem) is module for stem, module in mindref.ops.OPS.items())


def test_the_worked_example_shows_the_capabilities_of_numpy():
    (example,) = spec_pages.examples("backend")
    backend = load_backend(example["name"])
    result = json.loads(json.dumps(backend.capabilities()._asdict()))
    assert result == example["capabilities"]
    assert isinstance(backend.capabilities(), Capabilities)
    assert backend.to_numpy(3) == backend.from_numpy(3) == 3


def test_the_page_lists_the_options_that_are_claimed_by_default():
    (text,) = re.findall(r"The default is ([^.]*)\.", spec_pages.text("backend"))
    assert tuple(re.findall(r"[a-z_]+-R\d+", text)) == DEFAULT_OPTIONS
