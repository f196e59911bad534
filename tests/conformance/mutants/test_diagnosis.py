"""The diagnosis of mistakes that the catalogue has in another form, twice, or not at all."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import Capabilities
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants import (
    deviation,
    matching,
)
from mindref.conformance.mutants.loader import backend_of
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check_runner import ExampleBudget, draw_calls, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses
from tests.conformance.mutants.failed_checks import (
    MORE_ITERATIONS,
    NAMED,
    SOFTMAX,
    SOFTMAX_GRADIENT,
    SQUASH,
    TWO_ITERATIONS,
    diagnose,
    edit,
    find_check,
    mutant,
    named,
)


def with_backward(backward):
    """Return the softmax of base 2 with another gradient."""
    backend = backend_of(named("softmax-base-two"))
    backend.ops.softmax.backward = backward
    return backend


@pytest.mark.rules("conformance-R29")
def test_a_call_in_another_dtype_has_the_bounds_of_its_dtype():
    call = draw_calls(find_check(SQUASH), 5)[3].to("float32")
    assert np.any(call.arrays["x"])
    precision = Precision.of("float64")
    want = deviation.expected_or_none(call, precision)
    pool = deviation.make_pool(BackendImplementation(backend_of()), [call], [want])
    assert pool.wrong_calls == []


PREVIOUS = """
before = saved_iterations[iteration - 1].capsules if iteration else 0 * capsules
logits = logits + vote_agreement(votes, before)"""
STALE = mutant(edit("routing", "forward: logits = agreement", PREVIOUS))
"""The update uses the capsules of the iteration before, and zeros in the first iteration."""
ONCE = mutant(
    edit("routing", "forward: routing-R19", "iterations = max(1, iterations - 1)", "before")
)
"""One iteration fewer, which equals STALE if there are two iterations."""


@pytest.mark.rules("conformance-R16")
@pytest.mark.slow
def test_a_name_must_hold_in_the_calls_of_every_failure(monkeypatch):
    fewer = ONCE._replace(name="one-fewer", description="one iteration fewer", rule="routing-R5")
    monkeypatch.setattr(matching, "suite_mutants", lambda: (fewer,))
    backend = backend_of(STALE)
    precision = Precision.of("float64")
    calls = [call.forward_only() for call in draw_calls(find_check(TWO_ITERATIONS), 5)]
    wants = [deviation.expected_or_none(call, precision) for call in calls]
    pool = deviation.make_pool(BackendImplementation(backend), calls, wants)
    assert matching.fit_of(fewer, pool).is_complete
    (diagnosis,) = diagnose(backend, TWO_ITERATIONS)
    assert not diagnosis.startswith(NAMED)


@pytest.mark.rules("conformance-R30")
@pytest.mark.slow
def test_a_mistake_that_fits_most_calls_is_named_with_the_others():
    change = edit("routing", "forward: routing-R19", "logits = init_logits * (iterations == 5)")
    (diagnosis,) = diagnose(backend_of(mutant(change)), MORE_ITERATIONS)
    assert re.match(rf"{NAMED} this mistake in (\d+) of \1 wrong calls: ", diagnosis)
    assert "[routing-starts-from-zero, routing-R5" in diagnosis
    assert diagnosis.endswith("; not in calls with iterations = 5")


@pytest.mark.rules("conformance-R31")
def test_gradients_do_not_hide_a_wrong_result():
    backend = with_backward(lambda d_out, saved: 0 * d_out)
    (diagnosis,) = diagnose(backend, SOFTMAX_GRADIENT)
    assert "[softmax-base-two, softmax-R1]" in diagnosis
    assert diagnosis.startswith(f"{NAMED} this mistake: ")


@pytest.mark.rules("conformance-R33")
def test_two_mistakes_are_both_named():
    edits = named("softmax-base-two").edits + named("softmax-mask-as-factor").edits
    (diagnosis,) = diagnose(backend_of(mutant(*edits)), SOFTMAX)
    assert diagnosis.startswith(f"{NAMED} these two mistakes: ")
    assert "[softmax-base-two, softmax-R1]" in diagnosis
    assert "[softmax-mask-as-factor, softmax-R2]" in diagnosis


@pytest.mark.rules("conformance-R30")
@pytest.mark.slow
def test_a_loss_of_digits_is_compared_in_size():
    text = """
sums = saved.p_negatives.sum(axis=1)
d_target_logits = ((2 - sums) - 2) * scale / saved.temperature"""
    change = edit("sampled_softmax", "backward: sampled_softmax-R12", text)
    backend = backend_of(mutant(change, rule="sampled_softmax-R12"))
    (diagnosis,) = diagnose(backend, "values/losses_near_zero_match_the_reference")
    assert diagnosis.startswith("your ")
    assert "[p-minus-one-cancels, sampled_softmax-R12]" in diagnosis


def without_squash_options(backend):
    """Return the squash of a backend that claims no option and treats "unit" as "squash"."""
    inner = backend.ops.squash

    def forward(x, *, kind):
        return inner.forward(x, kind="squash")

    operators = SimpleNamespace(squash=SimpleNamespace(forward=forward, backward=inner.backward))
    claims = Capabilities(("squash",), options=())
    return SimpleNamespace(name="b", ops=operators, capabilities=lambda: claims)


@pytest.mark.rules("conformance-R2", "conformance-R16")
def test_an_option_that_is_not_claimed_is_not_blamed():
    backend = without_squash_options(backend_of(named("squash-epsilon-under-the-root")))
    (diagnosis,) = diagnose(backend, SQUASH)
    assert diagnosis.startswith(f"{NAMED} this mistake: ")
    assert "squash-R6" not in diagnosis


@pytest.mark.rules("conformance-R1")
def test_an_error_of_the_diagnosis_loses_no_result(monkeypatch):
    def fail(*arguments):
        raise TypeError("a bug")

    monkeypatch.setattr("mindref.conformance.mutants.diagnosis.diagnose_failures", fail)
    implementation = BackendImplementation(backend_of(named("softmax-base-two")))
    budget = ExampleBudget(2, 0, shrink=False)
    check, precision = find_check(SOFTMAX), Precision.of("float64")
    results = [run_check(check, implementation, precision, budget)]
    (result,) = add_diagnoses(implementation, results)
    assert result.status == "failed"
    assert "because of a bug in the suite (TypeError: a bug); please report it" in result.diagnosis


@pytest.mark.rules("conformance-R1")
@pytest.mark.parametrize("answer", [None, "text", 1j])
def test_a_result_that_is_no_number_has_a_diagnosis(answer):
    backend = backend_of()
    inner = backend.ops.squash
    backend.ops.squash = SimpleNamespace(
        forward=lambda x, *, kind: (np.full(x.shape, answer), inner.forward(x, kind=kind)[1]),
        backward=inner.backward,
    )
    assert diagnose(backend, SQUASH)[0].startswith("no match among the known mistakes")


@pytest.mark.rules("conformance-R16")
def test_only_mutants_that_change_the_operator_are_compared():
    check = find_check(TWO_ITERATIONS)
    files = {e.file for m in matching.candidate_mutants([check]) for e in m.edits}
    assert {"ops/routing.py", "ops/softmax.py", "ops/squash.py", "shapes.py"} <= files
    assert not {"ops/embedding.py", "ops/sampled_softmax.py", "models/mind.py"} & files


@dataclasses.dataclass
class Buffered:
    """Softmax returns a buffer that depends on the shape only."""

    inner: object

    def __post_init__(self):
        self.buffers = {}

    def forward(self, logits, mask, *, axis):
        out, saved = self.inner.forward(logits, mask, axis=axis)
        buffer = self.buffers.setdefault((out.shape, out.dtype), np.empty_like(out))
        buffer[...] = out
        return buffer, saved

    def backward(self, d_out, saved):
        return self.inner.backward(d_out, saved)


@pytest.mark.rules("conformance-R16")
@pytest.mark.slow
def test_a_shared_buffer_is_named():
    backend = backend_of()
    backend.ops.softmax = Buffered(backend.ops.softmax)
    (diagnosis,) = diagnose(backend, "numerics/results_share_no_memory[softmax]")
    assert "[softmax-in-a-buffer, backend-R12]" in diagnosis
