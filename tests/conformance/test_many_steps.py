"""Trainings of many steps: the failure names the step from which the backend is wrong."""

import re

import numpy as np
import pytest

from mindref.conformance.bounds import Precision
from mindref.conformance.checks.many_steps import STEPS, with_moments
from mindref.conformance.mutants.loader import backend_of
from mindref.conformance.report.reproduction import script_text
from mindref.conformance.runner.call import BackendImplementation, named_arrays
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, draw_calls, run_check
from mindref.conformance.runner.claims import LEVELS
from mindref.conformance.runner.plan import RunSettings
from mindref.models.parameters import flatten
from tests.assertions import nonempty

SINGLE = Precision.of("float32")
EACH_STEP = "many_steps/each_step_follows_from_the_state_before_it"
LATER = "many_steps/later_steps_match_the_reference"
ALTERNATE = "many_steps/trainings_that_alternate_do_not_mix"


class Stepping:
    """The reference at level "train", with another step."""

    def __init__(self, step):
        self.reference = backend_of(None, tuple(LEVELS))
        self.change = step

    def __getattr__(self, name):
        return getattr(self.reference, name)

    def step(self, state, *inputs):
        return self.change(self.reference.step, state, *inputs)


def slow(number):
    return pytest.param(number, marks=pytest.mark.slow)


def result_of(name, step):
    check = next(check for check in all_checks() if check.name == name)
    backend = BackendImplementation(Stepping(step))
    return run_check(check, backend, SINGLE, ExampleBudget(2, 0, shrink=False))


def right(step, state, *inputs):
    return step(state, *inputs)


def wrong_from(number):
    """Return a step that moves every parameter a little too far from step `number` on."""

    def take(step, state, *inputs):
        state, loss = step(state, *inputs)
        if state.moments.step >= number:
            for x in flatten(state.params).values():
                x += np.float32(1e-3)
        return state, loss

    return take


def test_all_batches_of_a_long_training_have_the_same_shapes():
    check = next(check for check in all_checks() if check.name == EACH_STEP)
    for call in nonempty(draw_calls(check, 2)):
        shapes = [
            [x.shape for x in named_arrays(batch).values()] for batch in call.arrays["batches"]
        ]
        assert shapes == [shapes[0]] * STEPS
        assert len({batch.target.tobytes() for batch in call.arrays["batches"]}) > 1


@pytest.mark.rules("numerics-R1")
def test_drawn_moments_have_the_dtype_of_the_call():
    check = next(check for check in all_checks() if check.name == LATER)
    (call,) = draw_calls(check, 1)
    for dtype in (np.float64, np.float32):
        moments = with_moments(call.to(dtype), 10).arrays["moments"]
        assert {x.dtype for x in named_arrays(moments).values()} == {np.dtype(dtype)}


@pytest.mark.rules("optimiser-R4")
def test_a_small_error_in_some_early_steps_is_a_failure():
    def take(step, state, *inputs):
        before = {name: x.copy() for name, x in flatten(state.params).items()}
        state, loss = step(state, *inputs)
        if 2 <= state.moments.step <= 60:  # rows that the step does not use keep their bytes
            for name, x in flatten(state.params).items():
                x += np.float32(1e-4 * inputs[-1]) * (x != before[name])
        return state, loss

    result = result_of(EACH_STEP, take)
    assert result.status == "failed"
    assert re.match(rf"step \d+ of {STEPS}: ", result.message)


@pytest.mark.slow
@pytest.mark.parametrize("name", [EACH_STEP, LATER, ALTERNATE])
def test_the_reference_passes(name):
    assert result_of(name, right).status == "passed"


@pytest.mark.rules("optimiser-R4")
@pytest.mark.parametrize("number", [slow(1), 60, slow(STEPS)])
def test_a_failure_names_a_wrong_step(number):
    result = result_of(EACH_STEP, wrong_from(number))
    assert result.status == "failed"
    step = int(result.message.split()[1])
    assert number <= step <= STEPS
    assert result.message.startswith(f"step {step} of {STEPS}: ")
    (call,) = result.evidence.calls
    assert (call.stem, len(call.arrays["batches"])) == ("training", 1)
    assert "exits with 1" in script_text(result, "made:Backend", RunSettings("smoke"))


@pytest.mark.rules("conformance-R14")
def test_a_failure_that_no_single_step_shows_has_a_script():
    """The step is right if it is resumed, because the backend counts the steps of the object."""
    number = 0

    def take(step, state, *inputs):
        nonlocal number
        number += 1
        return wrong_from(0 if number % 50 == 0 else 10**9)(step, state, *inputs)

    result = result_of(EACH_STEP, take)
    assert result.status == "failed"
    assert "exits with 1" in script_text(result, "made:Backend", RunSettings("smoke"))


@pytest.mark.rules("optimiser-R4")
def test_a_wrong_loss_in_the_middle_fails():
    def take(step, state, *inputs):
        state, loss = step(state, *inputs)
        return state, loss * (1.5 if 40 < state.moments.step < 60 else 1)

    assert "losses" in result_of(EACH_STEP, take).message


@pytest.mark.rules("backend-R15")
def test_a_wrong_step_after_a_resumption_fails():
    assert result_of(LATER, wrong_from(100)).status == "failed"


@pytest.mark.slow
@pytest.mark.rules("backend-R12")
def test_two_trainings_that_share_moments_fail():
    shared = []

    def take(step, state, *inputs):
        first = [x for one in shared for x in flatten(one).values()]
        state, loss = step(state, *inputs)
        for x, y in zip(flatten(state.params).values(), first, strict=False):
            x += np.float32(1e-3) * y
        shared[:] = [state.params]
        return state, loss

    assert result_of(ALTERNATE, take).status == "failed"


@pytest.mark.rules("optimiser-R4")
@pytest.mark.parametrize("rows", [slice(None), slice(-1, None)])
@pytest.mark.slow(every=2)
def test_parameters_that_become_nan_fail(rows):
    def take(step, state, *inputs):
        state, loss = step(state, *inputs)
        if state.moments.step == 50:
            state.params.items[rows] = np.nan
        return state, loss

    assert result_of(EACH_STEP, take).message.startswith(f"step 50 of {STEPS}: items[")


@pytest.mark.rules("backend-R15")
@pytest.mark.slow
def test_a_number_of_steps_that_starts_again_fails():
    check = next(check for check in all_checks() if check.name == EACH_STEP)
    backend = Stepping(right)
    moments = backend.reference.moments

    def moments_of(state):
        now = moments(state)
        return now._replace(step=now.step % 128)

    backend.moments = moments_of
    result = run_check(
        check, BackendImplementation(backend), SINGLE, ExampleBudget(2, 0, shrink=False)
    )
    assert result.message == f"after step 128 of {STEPS}, the moments have step 0"


@pytest.mark.slow
def test_a_number_of_steps_that_changes_in_place_passes():
    """Moments are valid until the next step only."""
    backend = Stepping(right)
    moments, number = backend.reference.moments, np.array(0)

    def moments_of(state):
        now = moments(state)
        number[...] = now.step
        return now._replace(step=number)

    backend.moments = moments_of
    check = next(check for check in all_checks() if check.name == EACH_STEP)
    implementation = BackendImplementation(backend)
    result = run_check(check, implementation, SINGLE, ExampleBudget(2, 0, shrink=False))
    assert result.status == "passed"
