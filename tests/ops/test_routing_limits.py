"""Limits and symmetries of routing that specs/routing.md promises, and its named options."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import (
    RoutingCase,
    distinct_sizes,
    generators,
    masks,
    normal,
    routing_cases,
)
from mindref.conformance.tolerances import VANISHING, same_math
from mindref.ops import squash
from tests.ops.runs import run, users

SAME = {"rtol": same_math(np.float64), "atol": VANISHING}
ROUNDS = st.integers(1, 5)


@pytest.mark.rules("routing-R19")
@given(routing_cases())
def test_routing_draws_no_random_numbers_and_has_no_state(case: RoutingCase) -> None:
    first, _ = run(case)
    run(case._replace(history=2 * case.history))  # a call between, which must leave no trace
    np.testing.assert_array_equal(run(case)[0], first)


@pytest.mark.rules("routing-R20")
@given(routing_cases())
def test_a_user_does_not_depend_on_the_batch(case: RoutingCase) -> None:
    together, _ = run(case)
    for b in range(len(together)):
        history, mask, _, init_logits, active = (x[b : b + 1] for x in case)
        own, _ = run(RoutingCase(history, mask, case.bilinear, init_logits, active))
        np.testing.assert_allclose(together[b], own[0], **SAME)


@pytest.mark.rules("routing-R21")
@given(routing_cases(), generators())
def test_permuting_a_history_with_its_logits_changes_nothing(
    case: RoutingCase, rng: np.random.Generator
) -> None:
    order = rng.permutation(case.history.shape[1])
    other = case._replace(
        history=case.history[:, order],
        mask=case.mask[:, order],
        init_logits=case.init_logits[:, order],
    )
    np.testing.assert_allclose(run(other)[0], run(case)[0], **SAME)


@pytest.mark.rules("routing-R22")
@given(routing_cases(), generators())
def test_relabelling_the_interests_permutes_the_capsules(
    case: RoutingCase, rng: np.random.Generator
) -> None:
    order = rng.permutation(case.active.shape[1])
    other = case._replace(init_logits=case.init_logits[:, :, order], active=case.active[:, order])
    np.testing.assert_allclose(run(other)[0], run(case)[0][:, order], **SAME)


@pytest.mark.rules("routing-R23")
@given(data=st.data(), rng=generators())
def test_a_single_interest_is_the_squashed_sum_of_all_votes_whatever_its_logits(
    data: st.DataObject, rng: np.random.Generator
) -> None:
    users_, length, width = data.draw(distinct_sizes(3))
    history, bilinear = normal(rng, users_, length, width), normal(rng, width, width)
    mask = data.draw(masks(users_, length))
    active = np.ones((users_, 1), bool)
    logits = normal(rng, users_, length, 1, scale=10.0)
    capsules, _ = run(RoutingCase(history, mask, bilinear, logits, active))
    sums = np.einsum("bl,de,ble->bd", mask, bilinear, history)
    np.testing.assert_allclose(capsules[:, 0], squash.forward(sums)[0], **SAME)


@pytest.mark.rules("routing-R24")
@given(routing_cases(), ROUNDS, st.floats(-2, 2))
def test_equal_logits_keep_all_capsules_equal(case: RoutingCase, rounds: int, logit: float) -> None:
    equal = case._replace(init_logits=np.full(case.init_logits.shape, logit))
    capsules, _ = run(equal, iterations=rounds)
    expected = np.where(case.active[..., None], capsules[:, :1], 0)
    np.testing.assert_allclose(capsules, expected, **SAME)


@pytest.mark.rules("routing-R25")
@given(routing_cases(), ROUNDS)
def test_a_matrix_for_each_pair_is_b2i_routing_when_all_are_equal(
    case: RoutingCase, rounds: int
) -> None:
    _, length, interests = case.init_logits.shape
    copies = np.tile(case.bilinear, (length, interests, 1, 1))
    general, _ = run(case._replace(bilinear=copies), iterations=rounds)
    np.testing.assert_allclose(general, run(case, iterations=rounds)[0], **SAME)


@pytest.mark.rules("routing-R26")
@given(routing_cases(general=True))
def test_distinct_matrices_separate_interests_even_with_zero_logits(case: RoutingCase) -> None:
    capsules, _ = run(case._replace(init_logits=np.zeros_like(case.init_logits)))
    for b, _, active in users(case):
        gaps = capsules[b, active][:, None] - capsules[b, active]
        gaps[np.diag_indices(len(active))] = 1
        assert np.abs(gaps).max(axis=-1).min() > 0


@pytest.mark.rules("routing-R27")
@pytest.mark.parametrize("kind", squash.KINDS)
@given(case=routing_cases())
def test_the_kind_of_squash_is_used_in_every_iteration(kind: str, case: RoutingCase) -> None:
    _, saved = run(case, kind=kind)
    for turn in saved.iterations:
        sums = np.einsum("blk,bld->bkd", turn.weights.out, saved.votes)
        np.testing.assert_allclose(turn.capsules, squash.forward(sums, kind=kind)[0], **SAME)
