"""The trace: complete, consistent, exact, reproducible; its invariants can fail."""

import hashlib
import inspect
import json
import os
import subprocess
import sys
from importlib import import_module, resources

import jsonschema
import numpy as np
import pytest

from mindref.errors import DataError
from mindref.models.parameters import Catalogue
from mindref.study.invariants import RESIDUALS, TOLERANCE, relative_difference
from mindref.study.recipe_arrays import evaluate_recipe
from mindref.study.sources import current_hashes, find_span, recorded_hashes
from mindref.study.steps import KINDS
from mindref.study.trace import Trace
from mindref.study.tracing import trace_pair
from tests import spec_pages
from tests.assertions import nonempty
from tests.study.pairs import VARIED, make_random_pair

SCHEMA = json.loads((resources.files("mindref.study") / "trace.schema.json").read_text("utf-8"))


SAMPLED = [
    pytest.param(name, marks=() if number % 5 == 2 else pytest.mark.slow)
    for number, name in enumerate(VARIED)
]


@pytest.fixture(params=SAMPLED, scope="module")
def trace(request):
    return trace_pair(make_random_pair(3, **VARIED[request.param]))


def test_every_axis_has_a_name_and_one_size(trace):
    sizes = {}
    for tensor in trace.tensors.values():
        assert len(tensor.axes) == np.ndim(tensor.values), tensor.name
        for axis, size in zip(tensor.axes, np.shape(tensor.values), strict=True):
            assert sizes.setdefault(axis, size) == size, (tensor.name, axis)
    for axis, labels in trace.labels.items():
        assert len(labels) == sizes.get(axis, len(labels)), axis


def test_every_step_has_title_reason_source_and_invariants(trace):
    for step in trace.steps:
        assert 0 < len(step.title) <= 90
        assert step.why
        assert step.equation.plain
        assert step.source
        assert step.invariants, step.id
        for invariant in step.invariants:
            assert invariant.holds, (step.id, invariant)


def test_source_lines_are_those_of_the_imported_modules():
    for place, digest in nonempty(current_hashes().items()):
        span = find_span(place)
        assert span.module.startswith("mindref.")
        lines = inspect.getsource(import_module(span.module)).splitlines()
        shown = "\n".join(lines[span.first - 1 : span.last])
        assert inspect.cleandoc("\n" + shown).split() == span.text.split()
        assert hashlib.sha256(span.text.encode()).hexdigest() == digest


def test_the_stored_hashes_are_current():
    assert current_hashes() == recorded_hashes(), (
        "read the texts of the steps again, then sources --write"
    )


def test_every_rule_of_a_step_is_on_its_page():
    for kind in nonempty(KINDS):
        for rule in kind.rules.split():
            assert rule in spec_pages.rules(rule.partition("-")[0]), (kind.kind, rule)


def test_an_unknown_source_anchor_raises():
    with pytest.raises(LookupError):
        find_span("mindref.ops.routing:forward@no such words")


VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


@pytest.mark.slow(every=4)
def test_the_json_is_valid_and_restores_every_byte(trace):
    text = trace.to_json()
    VALIDATOR.validate(json.loads(text))
    again = Trace.from_json(text)
    assert again.to_json() == text
    for name, tensor in trace.tensors.items():
        assert again.values[name].tobytes() == np.ascontiguousarray(tensor.values).tobytes()


def test_the_schema_rejects_a_missing_field():
    plain = json.loads(trace_pair(make_random_pair()).to_json())
    del plain["steps"][3]["invariants"][0]["residual"]
    assert not VALIDATOR.is_valid(plain)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "mindref.trace/2"}', "null"])
def test_other_texts_raise(text):
    with pytest.raises(DataError, match="trace"):
        Trace.from_json(text)


def test_the_json_does_not_depend_on_the_hash_seed():
    code = (
        "import hashlib; from tests.study.pairs import make_random_pair\n"
        "from mindref.study.tracing import trace_pair\n"
        "print(hashlib.sha256(trace_pair(make_random_pair(3)).to_json().encode()).hexdigest())"
    )
    digests = {
        subprocess.check_output(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}
        )
        for seed in ("0", "1")
    }
    assert len(digests) == 1


def test_the_trace_of_a_large_model_is_small():
    large = {"interests": 7, "width": 64, "hidden": (64,), "length": 50}
    text = trace_pair(make_random_pair(1, **large)).to_json()
    assert len(text.encode()) < 2_000_000


def test_every_number_follows_from_its_recipe(trace):
    for tensor in trace.tensors.values():
        if tensor.recipe["op"] != "input":
            recomputed = evaluate_recipe(tensor.recipe, trace.values)
            assert relative_difference(recomputed, tensor.values) < 1e-12, tensor.name


def test_a_wrong_number_differs_from_its_recipe(trace):
    values = dict(trace.values)
    values["Se"] = values["Se"] + 1e-9
    tensor = trace.tensors["z[1]"]
    assert relative_difference(evaluate_recipe(tensor.recipe, values), tensor.values) > 1e-12


def test_every_question_has_one_right_answer(trace):
    for question in nonempty(step.question for step in trace.steps if step.question):
        assert 0 <= question.answer < len(question.choices)
        assert "{" not in question.text


def test_ids_are_unique_and_inputs_are_earlier_outputs(trace):
    ids = [step.id for step in trace.steps]
    assert len(ids) == len(set(ids))
    seen = set()
    for step in trace.steps:
        assert set(step.inputs) <= seen, step.id
        seen |= {tensor.name for tensor in step.outputs}
        assert "{" not in step.id + step.title + step.equation.plain


PADDED = trace_pair(make_random_pair(3, length=5, pads=2))


def put(place, value):
    """Return what writes a value at a place."""

    def plant(array):
        array[place] = value

    return plant


def first_two_swapped(array):
    array[[0, 1]] = array[[1, 0]]


def another_item(array):
    """Put the worst item in the place of the last of the list."""
    array[-1] = int(np.argmin(PADDED.values["best"]))


PLANTED = [
    ("ids", "between", "ids", put(0, 30)),
    ("ids", "between", "ids", put(0, -1)),
    ("history.embed", "sums", "history.weights", put((0, 0), 1.1)),
    ("interests.count", "any", "active", put(slice(None), 0)),
    ("routing.logits", "finite", "b[1]", put((0, 0), np.nan)),
    ("routing[2].weights", "sums", "w[2]", put((1, 1), 0.9)),
    ("routing[2].weights", "zero", "w[2]", put((6, 0), 1e-9)),
    ("routing[2].weights", "zero", "w[2]", put((0, 3), 1e-9)),
    ("routing[2].capsules", "shorter", "u[2]", put((0, 0), 1.001)),
    ("routing[2].capsules", "zero", "u[2]", put((3, 0), -1e-9)),
    ("layers[1].relu", "between", "x[1]", put((0, 0), -1e-9)),
    ("attention.weights", "sums", "h", put(0, 1.5)),
    ("loss.value", "between", "prob", put(2, 1.001)),
    ("loss.value", "between", "prob", put(2, np.nan)),
    ("update.S", "between", "S.second'", put((0, 0), -1e-9)),
    ("update.S", "near", "S.value'", put((2, 3), 9.0)),
    ("serve.scores", "most", "score", put((4, 0), 99.0)),
    ("serve.top", "ordered", "top", first_two_swapped),
    ("serve.top", "ordered", "top", another_item),
]


@pytest.mark.parametrize(("step", "kind", "tensor", "plant"), PLANTED)
def test_every_invariant_fails_for_a_wrong_number(step, kind, tensor, plant):
    (invariants,) = (each.invariants for each in PADDED.steps if each.id == step)
    checks = [x.check for x in invariants if x.check["kind"] == kind]
    wrong = np.array(PADDED.values[tensor])
    plant(wrong)
    values = {**PADDED.values, tensor: wrong}
    assert all(RESIDUALS[kind](check, PADDED.values) <= TOLERANCE for check in checks)
    assert not all(RESIDUALS[kind](check, values) <= TOLERANCE for check in checks)


def test_every_kind_of_invariant_is_tested():
    assert {kind for _, kind, _, _ in PLANTED} == set(RESIDUALS)


def test_an_untrained_item_in_the_history_is_traced():
    pair = make_random_pair(2)
    items = pair.batch.histories.items[0]
    rows, weights = pair.catalogue.rows, pair.catalogue.weights.copy()
    untrained = int(rows.max())  # its row is behind every row with a gradient
    weights[untrained] = 0
    changed = items.copy()
    changed[3] = untrained
    histories = pair.batch.histories._replace(items=changed[None])
    batch = pair.batch._replace(histories=histories)
    result = trace_pair(pair._replace(batch=batch, catalogue=Catalogue(rows, weights)))
    (tensor,) = (x for x in result.tensors.values() if x.recipe["op"] == "scatter")
    assert untrained not in result.values["d_items.rows"]
    assert not result.values["e"][3].any()
    assert relative_difference(evaluate_recipe(tensor.recipe, result.values), tensor.values) < 1e-12
