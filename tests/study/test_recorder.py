"""The recorder changes nothing and misses nothing (X1, X2, X8)."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mindref.ops as reference
from mindref.conformance.mutants.anchors import Edit
from mindref.models import mind
from mindref.models.parameters import flatten, flatten_gradients
from mindref.study.record import InstrumentedReference, instrument_reference, read_probes
from mindref.study.steps import KINDS
from mindref.study.tracing import TrainingPair, trace_pair
from mindref.training import optimiser
from tests.study.pairs import VARIED, make_random_pair

PARTS = {  # file of a probe -> the parts that it records for; "": none
    "embedding": ("history", "profile", "target", "negatives"),
    "routing": ("routing",),
    "relu_layer": ("layers",),
    "label_attention": ("attention",),
    "sampled_softmax": ("loss",),
    "optimiser": ("update",),
    "mind": ("",),
}


def results(it: TrainingPair, copies: InstrumentedReference | None) -> list[Any]:
    """Return everything that forward, backward and the optimiser compute."""
    model, adam = (copies.modules.mind, copies.modules.optimiser) if copies else (mind, optimiser)
    ops = copies.modules.ops if copies else reference
    loss, saved = model.loss(*it, ops=ops)
    gradients = flatten_gradients(model.backward(saved, ops=ops))
    params = {name: x.copy() for name, x in flatten(it.params).items()}
    state = adam.update(params, gradients, adam.init(params), learning_rate=0.01)
    out: list[Any] = [loss, *params.values(), *state.first.values(), *state.second.values()]
    for gradient in gradients.values():
        out += list(gradient) if hasattr(gradient, "rows") else [gradient]
    return out


@pytest.mark.parametrize("seed", range(50))
def test_x1_recording_changes_no_result(seed: int) -> None:
    rng = np.random.default_rng(seed)
    settings = VARIED[list(VARIED)[seed % len(VARIED)]]
    sizes = {"length": int(rng.integers(0, 12)), "pads": int(rng.integers(0, 4)), "users": 3}
    dtype = ("float32", "float64")[seed % 2]
    it = make_random_pair(seed, **{**sizes, **settings, "dtype": dtype})
    copies = instrument_reference()
    for plain, recorded in zip(results(it, None), results(it, copies), strict=True):
        assert np.asarray(plain).tobytes() == np.asarray(recorded).tobytes()
    assert copies.recorder.events


@pytest.mark.parametrize("name", VARIED)
def test_x2_the_trace_has_the_results_of_the_functions(name: str) -> None:
    it = make_random_pair(7, **VARIED[name])
    trace = trace_pair(it)
    loss, saved = mind.loss(*it)
    gradients = mind.backward(saved)
    vectors, active, _ = mind.interests(it.params, it.batch.histories, it.catalogue, it.config)
    returned = {
        "loss": loss,
        "v": vectors[0],
        "active": active[0],
        f"w[{len(saved.interests.routing.iterations)}]": saved.interests.routing.couplings[0],
        "d_S": gradients.bilinear,
        "d_items": gradients.items.values,
        "d_items.rows": gradients.items.rows,
        **{f"d_W[{n + 1}]": layer.weight for n, layer in enumerate(gradients.layers)},
        **{f"d_bias[{n + 1}]": layer.bias for n, layer in enumerate(gradients.layers)},
    }
    for tensor, value in returned.items():
        assert trace.values[tensor].tobytes() == np.asarray(value).tobytes(), tensor


def test_recorded_arrays_are_copies() -> None:
    it = make_random_pair()
    modules, recorder = instrument_reference()
    modules.mind.loss(*it, ops=modules.ops)
    event = next(x for x in recorder.events if x.name == "routing.votes")
    it.params.bilinear[:] = 0
    assert event.arrays["bilinear"].any()


def recorded(edits: Iterable[Edit]) -> Counter[tuple[str, str]]:
    """Return how often each event is recorded, by stem of the file and event."""
    calls = Counter()
    for edit in edits:
        for node in ast.walk(ast.parse(edit.text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "record":
                calls[(Path(edit.file).stem, ast.literal_eval(node.args[0]))] += 1
    return calls


def without_step(calls: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the recorded events that no step of the table shows."""
    read = {event for kind in KINDS for event in kind.event.split()}
    return {
        (stem, event)
        for stem, event in calls
        if not read & {f"{part}.{event}".lstrip(".") for part in PARTS[stem]}
        and not (stem == "optimiser" and event in {name.rpartition(".")[2] for name in read})
    }


def without_probe(calls: Iterable[tuple[str, str]]) -> set[str]:
    """Return the events of the table of steps that no probe records."""
    known = {f"{part}.{event}".lstrip(".") for stem, event in calls for part in PARTS[stem]}
    read = {event for kind in KINDS for event in kind.event.split()} - {"serve"}
    return {
        e
        for e in read
        if e not in known and f"{e.partition('.')[0]}.{e.rpartition('.')[2]}" not in known
    }


def test_x8_each_event_is_recorded_once_and_shown_by_a_step() -> None:
    calls = recorded(read_probes())
    assert all(times == 1 for times in calls.values()), "each event has one probe"
    assert without_step(calls) == set()
    assert without_probe(calls) == set()


def test_x8_each_kind_of_step_has_one_equation_and_one_place() -> None:
    kinds = Counter(kind.kind for kind in KINDS)
    assert all(times == 1 for times in kinds.values())
    equations = Counter(kind.equation for kind in KINDS if not kind.kind.endswith(".embed"))
    repeated = [text for text, times in equations.items() if times > 1]
    assert not repeated


@pytest.mark.parametrize("event", ["votes", "iteration", "d_sums"])
def test_x8_a_missing_probe_is_detected(event: str) -> None:
    calls = recorded(probe for probe in read_probes() if f'record("{event}"' not in probe.text)
    assert f"routing.{event}" in without_probe(calls)
