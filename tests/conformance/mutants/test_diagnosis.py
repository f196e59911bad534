"""The diagnosis of mistakes that the catalogue has in another form, twice, or not at all."""

import dataclasses
import re
from types import SimpleNamespace

import numpy as np
import pytest

from mindref.backend import Capabilities
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants import (
    conditions,
    deviation,
    magnitudes,
    matching,
    wrong_positions,
)
from mindref.conformance.mutants.diagnosis import diagnose_failures
from mindref.conformance.mutants.loader import Edit, Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, draw_calls, run_check
from mindref.conformance.runner.diagnosed import add_diagnoses

NAMED = "your result equals the reference with"
SOFTMAX = "softmax/weights_match_the_reference"
SOFTMAX_GRADIENT = "softmax/softmax_gradient_matches_the_reference"
SQUASH = "squash/squash_matches_the_reference"
ATTENTION = "label_attention/power_one_matches_the_reference"
ONE_ITERATION = "routing/one_iteration_matches_the_reference"
TWO_ITERATIONS = "routing/two_iterations_match_the_reference"
MORE_ITERATIONS = "routing/four_and_five_iterations_match_the_reference"


def find_check(name):
    return next(check for check in all_checks() if check.name == name)


def mutant(*edits, rule="softmax-R1"):
    return Mutant("not-in-the-catalogue", rule, ("suite",), "not in the catalogue", "", "", edits)


def edit(file, anchor, text, position="new"):
    return Edit(f"ops/{file}.py", anchor, text, position)


def named(name):
    return next(m for m in suite_mutants() if m.name == name)


def diagnose(backend, *checks, dtype="float64"):
    """Return the diagnoses of the named checks, which must fail."""
    implementation = BackendImplementation(backend)
    budget = ExampleBudget(10, 0, shrink=False, any_failure=True)
    results = [
        run_check(find_check(name), implementation, Precision.of(dtype), budget) for name in checks
    ]
    assert all(result.status != "passed" for result in results)
    texts = diagnose_failures(implementation, results)
    return [texts[name] for name in checks]


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


ABSOLUTE = "scores = 0.9 * scores + 0.1 * np.abs(scores)"
FIRST_USER = "out = out * np.where(np.arange(len(out)) == 0, 1.2, 1.0)[:, None]"

CONDITIONS = [
    (
        edit("routing", "forward: capsules, s4 =", "z = z * (1 + 0.1 * (iteration > 1))", "before"),
        MORE_ITERATIONS,
        "wrong from 3 on",
    ),
    (
        edit("softmax", "forward: softmax-R2", "logits = np.clip(logits, -2.5, 2.5)", "before"),
        SOFTMAX,
        "The results are right while the largest absolute value of logits is at most",
    ),
    (
        edit("label_attention", "forward: gaps = gaps_below_largest", ABSOLUTE, "before"),
        ATTENTION,
        "wrong only with negative numbers in the inputs",
    ),
    (
        edit("routing", "forward: capsules, s4 =", "z = z * (1 + 0.1 * (~mask).any())", "before"),
        ONE_ITERATION,
        "wrong only with masked entries",
    ),
    (
        edit("label_attention", "forward: label_attention-R7", FIRST_USER, "after"),
        ATTENTION,
        "In out, only the first position of axis B is wrong",
    ),
]


@pytest.mark.rules("conformance-R32")
@pytest.mark.parametrize(("change", "check", "text"), CONDITIONS)
@pytest.mark.slow(every=3, start=1)
def test_the_condition_of_a_mistake_is_described(change, check, text):
    (diagnosis,) = diagnose(backend_of(mutant(change)), check)
    assert diagnosis.startswith("no match among the known mistakes")
    assert text in diagnosis


def has_first_history(call, other):
    """Return whether two calls have the same first behaviour."""
    first, second = (x.arrays["history"][:1, :1] for x in (call, other))
    return np.array_equal(first, second, equal_nan=True)


class Wrong:
    """A subject whose calls are wrong if L exceeds a size that may depend on the call."""

    implementation = None

    def __init__(self, limits, calls=()):
        self.limits, self.calls = limits, calls

    def is_wrong(self, call):
        length = call.arrays["mask"].shape[1]
        if self.calls and not any(has_first_history(call, other) for other in self.calls):
            return False
        return length > self.limits[int(call.arrays["mask"].shape[0]) % len(self.limits)]


def routing_calls():
    calls = draw_calls(find_check(TWO_ITERATIONS), 40)
    return [call for call in calls if call.arrays["mask"].shape[1] > 4]


@pytest.mark.rules("conformance-R32")
def test_a_condition_needs_enough_calls_with_one_limit():
    calls = routing_calls()
    assert len({len(call.arrays["mask"]) % 2 for call in calls[:4]}) == 2

    def sentences(subject, calls):
        return [x for x in conditions.describe_conditions(subject, calls, calls) if "L = " in x]

    assert "right up to L = 2, wrong from 3 on (4 calls" in sentences(Wrong([2]), calls)[0]
    assert sentences(Wrong([2, 3]), calls) == []
    few = calls[:2]
    assert sentences(Wrong([2], few), few) == []


class InBand:
    """A softmax that is wrong if the largest logit is from 2.5 to 8."""

    def __init__(self, inner):
        self.inner, self.backward = inner, inner.backward

    def forward(self, logits, mask, *, axis):
        largest = np.max(np.abs(np.where(mask, logits, 0)), initial=0)
        clipped = np.clip(logits, -2.5, 2.5) if 2.5 <= largest < 8 else logits
        return self.inner.forward(clipped, mask, axis=axis)


@pytest.mark.rules("conformance-R32")
def test_no_magnitude_is_named_if_a_right_call_is_beyond_it():
    backend = backend_of()
    backend.ops.softmax = InBand(backend.ops.softmax)
    (diagnosis,) = diagnose(backend, SOFTMAX)
    assert "multiplied by" in diagnosis
    assert "largest" not in diagnosis


class WrongBelow:
    """A subject whose calls are wrong if all logits are small."""

    implementation = None

    def is_wrong(self, call):
        return bool(np.max(np.abs(call.arrays["logits"])) < 1e-10)


def test_the_limit_of_a_magnitude_is_found_for_tiny_numbers():
    call = next(c for c in draw_calls(find_check(SOFTMAX), 9) if np.any(c.arrays["logits"]))
    tiny = call.change(logits=np.full(call.arrays["logits"].shape, 1e-300))
    right, wrong = magnitudes.find_limit(WrongBelow(), tiny, "logits")
    assert 1e290 / magnitudes.PRECISE <= wrong < 1e290 <= right <= 1e290 * magnitudes.PRECISE


@pytest.mark.rules("conformance-R32")
def test_positions_from_n_on_need_no_longer_right_axis():
    def sentence(*right_sizes):
        masks = [np.arange(size) >= 3 for size in (5, 6, 7)]
        return wrong_positions.describe_axis("out", 0, "D", masks, list(right_sizes))

    assert sentence(2, 3) == "in out, positions of axis D are wrong from 3 on (3 calls)"
    assert sentence() == sentence(7)  # right for another reason, such as equal numbers
    assert sentence(2, 8) == ""


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


class Counting:
    """A squash whose results are 1.5 times too long in each second call."""

    def __init__(self, inner):
        self.inner, self.backward, self.calls = inner, inner.backward, 0

    def forward(self, x, *, kind):
        self.calls += 1
        out, saved = self.inner.forward(x, kind=kind)
        return out * (1 + 0.5 * (self.calls % 2)), saved


def test_a_call_that_changes_when_it_is_repeated_is_described():
    backend = backend_of()
    backend.ops.squash = Counting(backend.ops.squash)
    (diagnosis,) = diagnose(backend, SQUASH)
    assert "The same call gives another answer when it is repeated" in diagnosis
    steady = backend_of(named("squash-to-the-power-one-half"))
    assert "repeated" not in diagnose(steady, SQUASH)[0]


def test_the_region_of_wrong_numbers_is_described():
    backend = backend_of()
    inner = backend.ops.label_attention

    def forward(interests, target, active, *, power):
        out, saved = inner.forward(interests, target, active, power=power)
        return out, (active, saved)

    def backward(d_out, saved):
        d_interests, *others = inner.backward(d_out, saved[1])
        return (d_interests + 0.5 * ~saved[0][:, :, None], *others)

    backend.ops.label_attention = SimpleNamespace(forward=forward, backward=backward)
    check = "label_attention/interest_gradients_match_the_reference"
    (diagnosis,) = diagnose(backend, check)
    assert "in d_interests, only numbers of inactive interests are wrong" in diagnosis.replace(
        "In d", "in d"
    )


class WrongAt:
    """A subject whose calls are wrong at certain numbers of interests K."""

    implementation = None

    def __init__(self, *wrong):
        self.wrong = wrong

    def is_wrong(self, call):
        return call.arrays["active"].shape[1] in self.wrong


@pytest.mark.rules("conformance-R32")
def test_a_threshold_needs_larger_sizes_and_no_right_call_beyond():
    calls = [c for c in routing_calls() if c.arrays["active"].shape[1] > 2]

    def sentence(subject, wrong, calls):
        texts = conditions.describe_conditions(subject, wrong, calls)
        return next(text for text in texts if "K = " in text)

    def of_size(*sizes):
        return [call for call in calls if call.arrays["active"].shape[1] in sizes]

    three = of_size(3)
    assert len(three) > 3
    assert of_size(5)
    text = sentence(WrongAt(3), three, calls)
    assert text == "wrong only with K = 3; right with 1 and 2 (4 calls, otherwise unchanged)"
    text = sentence(WrongAt(3), three[:1], three[:1])
    assert text.endswith(
        "right with 1 and 2 (1 call, and 3 with other numbers, otherwise unchanged)"
    )
    four, from_three = of_size(4), WrongAt(3, 4)
    text = sentence(from_three, four, four + three)  # `three` may be right for another reason
    assert text.startswith("right up to K = 2, wrong from 3 on")
    text = sentence(from_three, four, calls)
    assert text.startswith("wrong only with K = 3 and 4; right with 1 and 2")


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


@pytest.mark.rules("conformance-R32")
@pytest.mark.slow
def test_the_first_wrong_step_of_a_training_is_named():
    backend, first_rates = backend_of(), []
    step = backend.step

    def step_with_the_first_rate(state, batch, catalogue, config, learning_rate):
        if state.moments.step == 0:
            first_rates.append(learning_rate)
        rate = first_rates[-1] if first_rates else learning_rate
        return step(state, batch, catalogue, config, rate)

    backend.step = step_with_the_first_rate
    (diagnosis,) = diagnose(backend, "many_steps/each_step_follows_from_the_state_before_it")
    assert "Step 2 of 205 is the first that does not follow from the state before it" in diagnosis
    assert diagnosis.endswith("It is the first step with another learning rate.")


class Reversed:
    """A softmax that reads an array with negative strides in the wrong direction."""

    def __init__(self, inner):
        self.inner, self.backward = inner, inner.backward

    def forward(self, logits, mask, *, axis):
        wrong = any(stride < 0 for stride in logits.strides)
        return self.inner.forward(np.flip(logits, -1) if wrong else logits, mask, axis=axis)


@pytest.mark.rules("conformance-R32")
def test_the_layout_of_a_wrong_call_is_named():
    backend = backend_of()
    backend.ops.softmax = Reversed(backend.ops.softmax)
    (diagnosis,) = diagnose(backend, "layouts/memory_layout_has_no_influence[softmax]")
    assert diagnosis.endswith('right in C order, and wrong in the layout "reversed".')
