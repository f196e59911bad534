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
from mindref.study.checks import apart
from mindref.study.evaluate import evaluate
from mindref.study.run import trace_of
from mindref.study.sources import current, known, span
from mindref.study.steps import KINDS
from mindref.study.trace import Trace
from tests import pages
from tests.study.givens import VARIED, given

SCHEMA = json.loads((resources.files("mindref.study") / "trace.schema.json").read_text("utf-8"))


@pytest.fixture(params=VARIED, scope="module")
def trace(request: pytest.FixtureRequest) -> Trace:
    """Return a trace of each kind."""
    return trace_of(given(3, **VARIED[request.param]))


def test_x3_every_axis_has_a_name_and_one_size(trace: Trace) -> None:
    sizes: dict[str, int] = {}
    for tensor in trace.tensors.values():
        assert len(tensor.axes) == np.ndim(tensor.values), tensor.name
        for axis, size in zip(tensor.axes, np.shape(tensor.values), strict=True):
            assert sizes.setdefault(axis, size) == size, (tensor.name, axis)
    for axis, labels in trace.labels.items():
        assert len(labels) == sizes.get(axis, len(labels)), axis


def test_x4_every_step_says_what_why_where_and_what_must_hold(trace: Trace) -> None:
    for step in trace.steps:
        assert 0 < len(step.title) <= 90
        assert step.why
        assert step.equation
        assert step.source
        assert step.invariants, step.id
        for invariant in step.invariants:
            assert invariant.holds, (step.id, invariant)


def test_x4_the_lines_that_are_shown_are_those_that_run() -> None:
    for place, digest in current().items():
        found = span(place)
        assert found.module.startswith("mindref.")
        lines = inspect.getsource(import_module(found.module)).splitlines()
        shown = "\n".join(lines[found.first - 1 : found.last])
        assert inspect.cleandoc("\n" + shown).split() == found.text.split()
        assert hashlib.sha256(found.text.encode()).hexdigest() == digest


def test_x4_the_shipped_table_knows_every_line() -> None:
    assert current() == known(), "read the texts of the steps again, then sources --write"


def test_x4_every_rule_of_a_step_is_on_its_page() -> None:
    for kind in KINDS:
        for rule in kind.rules.split():
            assert rule in pages.rules(rule.partition("-")[0]), (kind.kind, rule)


def test_a_place_that_is_not_there_is_an_error() -> None:
    with pytest.raises(LookupError):
        span("mindref.ops.routing:forward@no such words")


@pytest.mark.slow(every=4)
def test_x5_the_json_fits_the_schema_and_comes_back_to_the_byte(trace: Trace) -> None:
    text = trace.to_json()
    jsonschema.Draft202012Validator(SCHEMA).validate(json.loads(text))
    again = Trace.from_json(text)
    assert again.to_json() == text
    for name, tensor in trace.tensors.items():
        assert again.values[name].tobytes() == np.ascontiguousarray(tensor.values).tobytes()


def test_x5_the_schema_refuses_what_lacks_something() -> None:
    plain = json.loads(trace_of(given()).to_json())
    del plain["steps"][3]["invariants"][0]["residual"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(SCHEMA).validate(plain)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "mindref.trace/2"}', "null"])
def test_x5_what_is_no_trace_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="trace"):
        Trace.from_json(text)


def test_x6_the_same_bytes_under_another_hash_seed() -> None:
    code = (
        "import hashlib; from tests.study.givens import given\n"
        "from mindref.study.run import trace_of\n"
        "print(hashlib.sha256(trace_of(given(3)).to_json().encode()).hexdigest())"
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


def test_x7_a_large_user_makes_a_small_file() -> None:
    large: dict[str, Any] = {"interests": 7, "width": 64, "hidden": (64,), "length": 50}
    text = trace_of(given(1, **large)).to_json()
    assert len(text.encode()) < 2_000_000


def test_every_number_follows_from_its_recipe(trace: Trace) -> None:
    for tensor in trace.tensors.values():
        if tensor.recipe["op"] != "given":
            assert apart(evaluate(tensor.recipe, trace.values), tensor.values) < 1e-12, tensor.name


def test_a_wrong_number_is_seen(trace: Trace) -> None:
    values = dict(trace.values)
    values["m"] = values["m"] + 1e-9
    tensor = trace.tensors["z[1]"]
    assert apart(evaluate(tensor.recipe, values), tensor.values) > 1e-12


def test_every_question_has_one_right_answer(trace: Trace) -> None:
    asked = [step.question for step in trace.steps if step.question]
    for question in asked:
        assert 0 <= question.answer < len(question.choices)
        assert "{" not in question.text


def test_ids_are_unique_and_inputs_come_before(trace: Trace) -> None:
    ids = [step.id for step in trace.steps]
    assert len(ids) == len(set(ids))
    seen: set[str] = set()
    for step in trace.steps:
        assert set(step.inputs) <= seen, step.id
        seen |= {tensor.name for tensor in step.outputs}
        assert "{" not in step.id + step.title + step.equation
