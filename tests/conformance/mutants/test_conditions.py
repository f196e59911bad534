"""Sentences about the settings, sizes, magnitudes, positions and steps that are wrong."""

from types import SimpleNamespace

import numpy as np
import pytest

from mindref.conformance.mutants import (
    conditions,
    magnitudes,
    wrong_positions,
)
from mindref.conformance.mutants.call_variants import CallFactor
from mindref.conformance.mutants.loader import backend_of
from mindref.conformance.runner.check_runner import draw_calls
from tests.conformance.mutants.failed_checks import (
    ATTENTION,
    MORE_ITERATIONS,
    ONE_ITERATION,
    SOFTMAX,
    SQUASH,
    TWO_ITERATIONS,
    diagnose,
    edit,
    find_check,
    mutant,
    named,
)

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
    right, wrong, _ = magnitudes.find_limit(WrongBelow(), tiny, "logits")
    assert 1e290 / magnitudes.PRECISE <= wrong < 1e290 <= right <= 1e290 * magnitudes.PRECISE


@pytest.mark.rules("conformance-R32")
def test_positions_from_n_on_need_no_longer_right_axis():
    def sentence(*right_sizes):
        masks = [np.arange(size) >= 3 for size in (5, 6, 7)]
        return wrong_positions.describe_axis("out", 0, "D", masks, list(right_sizes))

    assert sentence(2, 3) == "in out, positions of axis D are wrong from 3 on (3 calls)"
    assert sentence() == sentence(7)  # right for another reason, such as equal numbers
    assert sentence(2, 8) == ""


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
    assert text == "wrong with K = 3; right with 1 and 2 (4 calls, otherwise unchanged)"
    text = sentence(WrongAt(3), three[:1], three[:1])
    assert text.endswith(
        "right with 1 and 2 (1 call, and 3 with other numbers, otherwise unchanged)"
    )
    four, from_three = of_size(4), WrongAt(3, 4)
    text = sentence(from_three, four, four + three)  # `three` may be right for another reason
    assert text.startswith("right up to K = 2, wrong from 3 on")
    text = sentence(from_three, four, calls)
    assert text.startswith("wrong with K = 3 and 4; right with 1 and 2")


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


class WrongSquash:
    """A squash whose results are 1 % too long where `is_wrong(x, norm)`."""

    def __init__(self, is_wrong):
        self.is_wrong = is_wrong
        self.inner = backend_of().ops.squash
        self.backward = self.inner.backward

    def forward(self, x, *, kind):
        out, saved = self.inner.forward(x, kind=kind)
        norm = np.linalg.norm(x, axis=-1, keepdims=True)
        factor = np.where(self.is_wrong(x, norm), 1.01, 1)
        return (out * factor).astype(out.dtype), saved


def diagnose_squash(is_wrong):
    backend = backend_of()
    backend.ops.squash = WrongSquash(is_wrong)
    (diagnosis,) = diagnose(backend, SQUASH)
    return diagnosis


@pytest.mark.rules("conformance-R32")
def test_no_limit_is_stated_for_a_band_of_norms():
    text = diagnose_squash(lambda x, norm: (norm >= 2) & (norm <= 50) & (x.shape[-1] % 2 == 0))
    assert "wrong with last = 2, 4, 6 and 8; right with 1, 3, 5" in text
    assert "wrong from" not in text


@pytest.mark.rules("conformance-R32")
def test_no_limit_is_stated_if_another_call_is_right_beyond_it():
    call = next(c for c in draw_calls(find_check(SOFTMAX), 9) if np.any(c.arrays["logits"]))
    limits = [(call, magnitudes.Limit(0.5, 1.0, is_band=False))] * 3
    text = magnitudes.describe_limits("logits", limits, [])
    assert text.startswith("right while the largest absolute value of logits is at most ")
    larger = call.change(logits=4 * call.arrays["logits"])
    assert "at most" not in magnitudes.describe_limits("logits", limits, [larger])


@pytest.mark.rules("conformance-R32")
def test_sizes_of_all_wrong_calls_are_stated():
    text = diagnose_squash(lambda x, norm: x.shape[-1] in (2, 3, 4))
    assert "wrong with last = 2, 3 and 4; right with 1 (4 calls, otherwise unchanged)" in text
    outcomes = conditions.Outcomes(wrong=(2,), right=(1,))

    def sentence(*wrong):
        factor = CallFactor("last", "size")
        return conditions.condition_text(factor, outcomes, "(4 calls)", (1, 5), wrong)

    tested = "wrong with last = 2; right with 1 (4 calls)"
    assert sentence(2) == tested
    assert sentence(2, 3, 4) == f"{tested}; other wrong calls have last = 3 and 4"
    assert sentence(1, 2) == ""


@pytest.mark.rules("conformance-R32")
@pytest.mark.slow
def test_a_wrong_loss_is_a_wrong_step():
    """The parameters are wrong at a later step; no step is resumed."""
    backend = backend_of()
    step = backend.step

    def wrong_step(state, batch, catalogue, config, learning_rate):
        state, loss = step(state, batch, catalogue, config, learning_rate)
        if state.moments.step == 100:
            state.params.items[...] *= 1.001
        return state, loss + (0.01 if state.moments.step == 30 else 0)

    backend.step = wrong_step
    (diagnosis,) = diagnose(backend, "many_steps/each_step_follows_from_the_state_before_it")
    assert "Step 30 of 205 is the first that does not follow" in diagnosis
    assert "resumed" not in diagnosis
