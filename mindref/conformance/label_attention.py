"""What is asked of label-aware attention: agreement and refusals. Spec: specs/label_attention.md.

The laws of the page are in label_attention_laws.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from mindref.conformance.draws.slopes import follow_from_forward
from mindref.conformance.gradient import SHORT_STEP
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.strategies import actives, frozen, generators, normal, sizes
from mindref.shapes import Array, Bools

POWERS = (1.0, 2.0, 0.5, 3.0, 5.0, 0.0, 100.0, np.inf)
SMOOTH = (1.0, 2.0, 3.0, 0.5)
STILL = (0.0, np.inf)
SPREADS = (1.0, 0.03, 0.4, 3.0)
"""Scores inside and outside of (-1, 1): powers shrink the ones and stretch the others."""


@st.composite
def calls(
    draw: st.DrawFn, *, powers: tuple[float, ...] = POWERS, spreads: tuple[float, ...] = SPREADS
) -> Call:
    """Draw interests whose scores are well apart and of either sign, some of them inactive."""
    b, k, d = draw(sizes(3))
    rng, active = draw(generators()), scattered(draw, draw(actives(b, k)))
    target = normal(rng, b, d)
    interests = scoring(rng, target, scores(rng, b, k) * draw(st.sampled_from(spreads)))
    if draw(st.booleans()):
        interests = np.where(active[..., None], interests, np.nan)
    arrays = {"interests": frozen(interests), "target": target, "active": active}
    power = draw(st.sampled_from(powers))
    return Call("label_attention", arrays, {"power": power}, normal(rng, b, d))


def scattered(draw: st.DrawFn, active: Bools) -> Bools:
    """Return the mask as it is, or with its places in another order for each user."""
    return draw(generators()).permuted(active, axis=1) if draw(st.booleans()) else active


def scores(rng: np.random.Generator, users: int, interests: int) -> Array:
    """Return numbers (B, K) of mixed signs, none near zero, no two of a user near each other."""
    size = 0.3 + 0.3 * np.arange(interests) + rng.uniform(-0.1, 0.1, (users, interests))
    return rng.permuted(size * rng.choice((-1.0, 1.0, 1.0), size.shape), axis=1)


def scoring(rng: np.random.Generator, target: Array, wanted: Array) -> Array:
    """Return random interests (B, K, D) whose products with the target (B, D) are those wanted."""
    found = rng.standard_normal((*wanted.shape, target.shape[1]))
    missing = wanted - np.einsum("bkd,bd->bk", found, target)
    along = target / np.sum(target**2, axis=1, keepdims=True)
    return found + missing[..., None] * along[:, None]


@check(
    "label_attention-R1",
    "label_attention-R3",
    draws=calls(powers=(1.0,)),
    stem="label_attention",
    agreement=True,
)
def plain_products_agree(judge: Judge, call: Call) -> None:
    """With p = 1, the softmax of plain products, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "label_attention-R2",
    draws=calls(powers=(2.0, 0.5, 3.0, 5.0)),
    stem="label_attention",
    agreement=True,
)
def small_powers_agree(judge: Judge, call: Call) -> None:
    """With p = 0.5, 2, 3 and 5 and scores of either sign, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "label_attention-R11", draws=calls(powers=(100.0, 30.0)), stem="label_attention", agreement=True
)
def large_powers_agree(judge: Judge, call: Call) -> None:
    """With p = 30 and 100, of scores inside and outside of (-1, 1), forward agrees."""
    judge.agree(call.forward_only())


@check(
    "label_attention-R5",
    "label_attention-R6",
    draws=calls(powers=STILL),
    stem="label_attention",
    agreement=True,
)
def the_ends_of_the_power_agree(judge: Judge, call: Call) -> None:
    """With p = 0 and p = infinity, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check(
    "label_attention-R8",
    draws=calls(powers=(*SMOOTH, 5.0)),
    stem="label_attention",
    gradient=True,
    agreement=True,
)
def gradients_of_the_interests_agree(judge: Judge, call: Call) -> None:
    """As values and as keys, the interests receive the gradient of the reference."""
    judge.agree(call, "d_interests")


@check(
    "label_attention-R9",
    draws=calls(powers=(*SMOOTH, 5.0)),
    stem="label_attention",
    gradient=True,
    agreement=True,
)
def the_gradient_of_the_target_agrees(judge: Judge, call: Call) -> None:
    """As query, the target receives the gradient of the reference."""
    judge.agree(call, "d_target")


@check(
    "label_attention-R10",
    draws=calls(powers=STILL),
    stem="label_attention",
    gradient=True,
    agreement=True,
)
def gradients_with_constant_weights_agree(judge: Judge, call: Call) -> None:
    """With p = 0 and p = infinity, the gradients are those of the reference."""
    judge.agree(call)


@check(
    "label_attention-R8",
    "label_attention-R9",
    draws=calls(powers=SMOOTH, spreads=(1.0, 0.5)),
    stem="label_attention",
    gradient=True,
    share=0.5,
)
def gradients_follow_from_forward(judge: Judge, call: Call) -> None:
    """Central differences of the backend's own forward agree with its gradients (float64)."""
    follow_from_forward(judge, call, step=SHORT_STEP)


@check("label_attention-R14", draws=calls(), stem="label_attention")
def arrays_that_do_not_fit_are_refused(judge: Judge, call: Call) -> None:
    """Another width, another number of interests, two types and masks of integers are refused."""
    call = call.forward_only()
    judge.ask(call)
    target, active = call.arrays["target"], call.arrays["active"]
    other = np.float32 if call.dtype == np.float64 else np.float64
    judge.refuses(call.change(target=np.concatenate((target, target), axis=1)))
    judge.refuses(call.change(active=np.concatenate((active, active), axis=1)))
    judge.refuses(call.change(target=target.astype(other)))
    judge.refuses(call.change(active=active.astype(np.int64)))


@check("label_attention-R15", draws=calls(), stem="label_attention")
def a_power_below_zero_is_refused(judge: Judge, call: Call) -> None:
    """A negative power and NaN are refused."""
    judge.ask(call.forward_only())
    judge.refuses(call.forward_only().change(power=-1.0))
    judge.refuses(call.forward_only().change(power=np.nan))


@check("label_attention-R16", draws=calls(), stem="label_attention")
def a_user_without_an_interest_is_refused(judge: Judge, call: Call) -> None:
    """There is nothing to attend to, and zeros would be an answer that nobody asked for."""
    judge.ask(call.forward_only())
    active = np.array(call.arrays["active"])
    active[-1] = False
    judge.refuses(call.forward_only().change(active=active))
