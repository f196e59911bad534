"""The trace: complete, consistent, exact, and the same again (X3 to X7)."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import subprocess
import sys
from importlib import import_module, resources
from typing import Any

import jsonschema
import numpy as np
import pytest

from mindref.errors import DataError
from mindref.study.invariants import relative_difference
from mindref.study.recipe_arrays import evaluate_recipe
from mindref.study.sources import current_hashes, find_span, recorded_hashes
from mindref.study.steps import KINDS
from mindref.study.trace import Trace
from mindref.study.tracing import trace_pair
from tests import spec_pages
from tests.study.pairs import VARIED, make_random_pair

SCHEMA = json.loads((resources.files("mindref.study") / "trace.schema.json").read_text("utf-8"))


@pytest.fixture(params=VARIED, scope="module")
def trace(request: pytest.FixtureRequest) -> Trace:
    """Return a trace of each kind."""
    return trace_pair(make_random_pair(3, **VARIED[request.param]))


def test_x3_every_axis_has_a_name_and_one_size(trace: Trace) -> None:
    sizes: dict[str, int] = {}
    for tensor in trace.tensors.values():
        assert len(tensor.axes) == np.ndim(tensor.values), tensor.name
        for axis, size in zip(tensor.axes, np.shape(tensor.values), strict=True):
            assert sizes.setdefault(axis, size) == size, (tensor.name, axis)
    for axis, labels in trace.labels.items():
        assert len(labels) == sizes.get(axis, len(labels)), axis


def test_x4_every_step_has_title_reason_source_and_invariants(trace: Trace) -> None:
    for step in trace.steps:
        assert 0 < len(step.title) <= 90
        assert step.why
        assert step.equation
        assert step.source
        assert step.invariants, step.id
        for invariant in step.invariants:
            assert invariant.holds, (step.id, invariant)


def test_x4_source_lines_are_those_of_the_imported_modules() -> None:
    for place, digest in current_hashes().items():
        found = find_span(place)
        assert found.module.startswith("mindref.")
        lines = inspect.getsource(import_module(found.module)).splitlines()
        shown = "\n".join(lines[found.first - 1 : found.last])
        assert inspect.cleandoc("\n" + shown).split() == found.text.split()
        assert hashlib.sha256(found.text.encode()).hexdigest() == digest


def test_x4_the_stored_hashes_are_current() -> None:
    assert current_hashes() == recorded_hashes(), (
        "read the texts of the steps again, then sources --write"
    )


def test_x4_every_rule_of_a_step_is_on_its_page() -> None:
    for kind in KINDS:
        for rule in kind.rules.split():
            assert rule in spec_pages.rules(rule.partition("-")[0]), (kind.kind, rule)


def test_an_unknown_source_anchor_raises() -> None:
    with pytest.raises(LookupError):
        find_span("mindref.ops.routing:forward@no such words")


@pytest.mark.slow(every=4)
def test_x5_the_json_is_valid_and_restores_every_byte(trace: Trace) -> None:
    text = trace.to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))
    again = Trace.from_json(text)
    assert again.to_json() == text
    for name, tensor in trace.tensors.items():
        assert again.values[name].tobytes() == np.ascontiguousarray(tensor.values).tobytes()


def test_x5_the_schema_rejects_a_missing_field() -> None:
    plain = json.loads(trace_pair(make_random_pair()).to_json())
    del plain["steps"][3]["invariants"][0]["residual"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(plain)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "mindref.trace/2"}', "null"])
def test_x5_other_texts_raise(text: str) -> None:
    with pytest.raises(DataError, match="trace"):
        Trace.from_json(text)


def test_x6_the_json_does_not_depend_on_the_hash_seed() -> None:
    code = (
        "import hashlib; from tests.study.pairs import make_random_pair\n"
        "from mindref.study.tracing import trace_pair\n"
        "print(hashlib.sha256(trace_pair(make_random_pair(3)).to_json().encode()).hexdigest())"
    )
    found = set()
    for seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_x7_the_trace_of_a_large_model_is_small() -> None:
    large: dict[str, Any] = {"interests": 7, "width": 64, "hidden": (64,), "length": 50}
    text = trace_pair(make_random_pair(1, **large)).to_json()
    assert len(text.encode()) < 2_000_000


def test_every_number_follows_from_its_recipe(trace: Trace) -> None:
    for tensor in trace.tensors.values():
        if tensor.recipe["op"] != "input":
            assert (
                relative_difference(evaluate_recipe(tensor.recipe, trace.values), tensor.values)
                < 1e-12
            ), tensor.name


def test_a_wrong_number_differs_from_its_recipe(trace: Trace) -> None:
    values = dict(trace.values)
    values["Se"] = values["Se"] + 1e-9
    tensor = trace.tensors["z[1]"]
    assert relative_difference(evaluate_recipe(tensor.recipe, values), tensor.values) > 1e-12


def test_every_question_has_one_right_answer(trace: Trace) -> None:
    asked = [step.question for step in trace.steps if step.question]
    for question in asked:
        assert 0 <= question.answer < len(question.choices)
        assert "{" not in question.text


def test_ids_are_unique_and_inputs_are_earlier_outputs(trace: Trace) -> None:
    ids = [step.id for step in trace.steps]
    assert len(ids) == len(set(ids))
    seen: set[str] = set()
    for step in trace.steps:
        assert set(step.inputs) <= seen, step.id
        seen |= {tensor.name for tensor in step.outputs}
        assert "{" not in step.id + step.title + step.equation
