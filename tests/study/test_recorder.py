"""The recorder changes nothing and misses nothing."""

import ast
import re

import numpy as np
import pytest

import mindref.ops as reference
from mindref.models import mind
from mindref.models.parameters import flatten, flatten_gradients
from mindref.study import record
from mindref.study.record import instrument_reference, read_probes
from mindref.study.steps import KINDS
from mindref.study.tracing import trace_pair
from mindref.training import optimiser
from tests.study.pairs import VARIED, make_random_pair


def results(pair, copies):
    """Return everything that forward, backward and the optimiser compute."""
    model, adam = (copies.modules.mind, copies.modules.optimiser) if copies else (mind, optimiser)
    ops = copies.modules.ops if copies else reference
    loss, saved = model.loss(*pair, ops=ops)
    gradients = flatten_gradients(model.backward(saved, ops=ops))
    params = {name: x.copy() for name, x in flatten(pair.params).items()}
    state = adam.update(params, gradients, adam.init(params), learning_rate=0.01)
    out = [loss, *params.values(), *state.first.values(), *state.second.values()]
    for gradient in gradients.values():
        out += list(gradient) if hasattr(gradient, "rows") else [gradient]
    return out


@pytest.mark.parametrize("seed", range(50))
@pytest.mark.slow(every=5)
def test_recording_changes_no_result(seed):
    rng = np.random.default_rng(seed)
    settings = VARIED[list(VARIED)[seed % len(VARIED)]]
    sizes = {"length": int(rng.integers(0, 12)), "pads": int(rng.integers(0, 4)), "users": 3}
    dtype = ("float32", "float64")[seed % 2]
    pair = make_random_pair(seed, **{**sizes, **settings, "dtype": dtype})
    copies = instrument_reference()
    for plain, recorded in zip(results(pair, None), results(pair, copies), strict=True):
        assert np.asarray(plain).tobytes() == np.asarray(recorded).tobytes()
    assert copies.recorder.events


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.slow(every=5, start=1)
def test_the_trace_has_the_results_of_the_functions(name):
    pair = make_random_pair(7, **VARIED[name])
    trace = trace_pair(pair)
    loss, saved = mind.loss(*pair)
    gradients = mind.backward(saved)
    vectors, active, _ = mind.interests(
        pair.params, pair.batch.histories, pair.catalogue, pair.config
    )
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


def test_recorded_arrays_are_copies():
    pair = make_random_pair()
    modules, recorder = instrument_reference()
    modules.mind.loss(*pair, ops=modules.ops)
    event = next(x for x in recorder.events if x.name == "routing.votes")
    pair.params.bilinear[:] = 0
    assert event.arrays["bilinear"].any()


def unmatched_events():
    """Return the recorded events that no step shows, and the shown events that no probe records."""
    copies = instrument_reference()
    results(make_random_pair(), copies)
    recorded = {event.name for event in copies.recorder.events}
    shown = {event for kind in KINDS for event in kind.events}
    return recorded - shown, shown - recorded


def recorded_events(text):
    """Return the events of the calls of `record` in the text of probes."""
    calls = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    return [ast.literal_eval(call.args[0]) for call in calls if ast.unparse(call.func) == "record"]


def test_each_event_is_recorded_once_and_shown_by_a_step():
    for file in {probe.file for probe in read_probes()}:
        text = "\n".join(probe.text for probe in read_probes() if probe.file == file)
        events = recorded_events(text)
        assert len(events) == len(set(events)), "each event has one probe"
    without_step, without_probe = unmatched_events()
    other_parameters = r"update\.(profile|layers\.\d\.(weight|bias))\.(before|after)"
    assert all(re.fullmatch(other_parameters, event) for event in without_step), without_step
    assert without_probe == {"serve"}  # recorded by the trace, not by a probe


def test_each_kind_of_step_is_unique_and_has_its_own_formulas():
    kinds = [kind.kind for kind in KINDS]
    assert len(kinds) == len(set(kinds))
    # three lookups share the formulas of embedding, and two updates those of Adam
    one_per_page = [x for x in KINDS if not re.match(r".*\.embed|update\.", x.kind)]
    assert len(one_per_page) == len({kind.formulas for kind in one_per_page})


@pytest.mark.parametrize("event", ["votes", "iteration", "d_sums"])
def test_a_missing_probe_is_detected(event, monkeypatch):
    probes = tuple(x for x in read_probes() if event not in recorded_events(x.text))
    monkeypatch.setattr(record, "read_probes", lambda: probes)
    assert f"routing.{event}" in unmatched_events()[1]
