"""The recorder changes nothing and misses nothing (X1, X2, X8)."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mindref
from mindref.models import mind
from mindref.models.parameters import flatten, flatten_gradients
from mindref.ops.embedding import RowGradient
from mindref.study.record import Recorder
from mindref.study.run import Given, trace_of
from mindref.study.steps import KINDS
from mindref.training import optimiser
from tests.study.givens import VARIED, given

RECORDED = [
    *(Path(mindref.__file__).parent / "ops").glob("*.py"),
    Path(mind.__file__),
    Path(optimiser.__file__),
]


def results(it: Given, recorder: Recorder | None) -> list[Any]:
    """Return everything that forward, backward and the optimiser give."""
    loss, saved = mind.loss(*it, record=recorder)
    gradients = flatten_gradients(mind.backward(saved, record=recorder))
    params = {name: x.copy() for name, x in flatten(it.params).items()}
    state = optimiser.update(
        params, gradients, optimiser.init(params), learning_rate=0.01, record=recorder
    )
    out: list[Any] = [loss, *params.values(), *state.first.values(), *state.second.values()]
    for gradient in gradients.values():
        out += list(gradient) if isinstance(gradient, RowGradient) else [gradient]
    return out


@pytest.mark.parametrize("seed", range(50))
def test_x1_a_recorder_changes_not_one_bit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = VARIED[list(VARIED)[seed % len(VARIED)]]
    sizes = {"length": int(rng.integers(0, 12)), "pads": int(rng.integers(0, 4)), "users": 3}
    dtype = ("float32", "float64")[seed % 2]
    it = given(seed, **{**sizes, **settings, "dtype": dtype})
    without, recorder = results(it, None), Recorder()
    for plain, recorded in zip(without, results(it, recorder), strict=True):
        assert np.asarray(plain).tobytes() == np.asarray(recorded).tobytes()
    assert recorder.events


@pytest.mark.parametrize("name", VARIED)
def test_x2_the_trace_ends_with_what_the_functions_return(name: str) -> None:
    it = given(7, **VARIED[name])
    trace = trace_of(it)
    loss, saved = mind.loss(*it)
    gradients = mind.backward(saved)
    vectors, active, _ = mind.interests(it.params, it.batch.histories, it.catalogue, it.config)
    returned = {
        "loss": loss,
        "u": vectors[0],
        "active": active[0],
        f"w[{len(saved.interests.routing.rounds)}]": saved.interests.routing.couplings[0],
        "d_S": gradients.bilinear,
        "d_items": gradients.items.values,
        "d_items.rows": gradients.items.rows,
        **{f"d_W[{n + 1}]": layer.weight for n, layer in enumerate(gradients.layers)},
        **{f"d_bias[{n + 1}]": layer.bias for n, layer in enumerate(gradients.layers)},
    }
    for tensor, value in returned.items():
        assert trace.values[tensor].tobytes() == np.asarray(value).tobytes(), tensor


def test_what_is_recorded_are_copies() -> None:
    it = given()
    recorder = Recorder()
    mind.loss(*it, record=recorder)
    event = next(x for x in recorder.events if x.name == "routing.votes")
    it.params.bilinear[:] = 0
    assert event.arrays["bilinear"].any()


def told(path: Path) -> list[str]:
    """Return the events that a module tells a recorder of."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        named = isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant)
        if not named or not isinstance(node.args[0].value, str):
            continue
        called = ast.unparse(node.func)
        if called == "record" or called.startswith("record.part("):
            found.append(node.args[0].value)
    return found


def test_x8_every_event_has_its_steps_and_every_step_its_event() -> None:
    calls = Counter((path.stem, event) for path in RECORDED for event in told(path))
    assert all(times == 1 for times in calls.values()), "an event is told in one place"
    heard = {event for kind in KINDS for event in kind.event.split()}
    parts = {  # which operator speaks under which name
        "history": "embedding",
        "profile": "embedding",
        "target": "embedding",
        "negatives": "embedding",
        "routing": "routing",
        "layers": "relu_layer",
        "attention": "label_attention",
        "loss": "sampled_softmax",
        "update": "optimiser",
    }
    known = {(s, e) for s, e in calls if s == "mind"}
    for event in heard:
        head, _, rest = event.partition(".")
        if ("mind", event) in known:
            known.discard(("mind", event))
        elif event != "serve":
            assert (parts[head], rest.rpartition(".")[2]) in calls, event
    assert not known, "told by the model, shown by no step"
    shown = {(parts.get(e.partition(".")[0]), e.rpartition(".")[2]) for e in heard}
    assert {pair for pair in calls if pair[0] != "mind"} <= shown, "told, but shown by no step"


def test_x8_each_kind_of_step_has_one_equation_and_one_place() -> None:
    kinds = Counter(kind.kind for kind in KINDS)
    assert all(times == 1 for times in kinds.values())
    equations = Counter(kind.equation for kind in KINDS if not kind.kind.endswith(".embed"))
    repeated = [text for text, times in equations.items() if times > 1]
    assert not repeated


def test_x8_a_deleted_line_is_seen(tmp_path: Path) -> None:
    path = Path(mindref.__file__).parent / "ops" / "routing.py"
    text = path.read_text(encoding="utf-8")
    shorter = tmp_path / "routing.py"
    shorter.write_text(re.sub(r'\n +record\("votes".*', "\n        pass", text), encoding="utf-8")
    assert set(told(path)) - set(told(shorter)) == {"votes"}
