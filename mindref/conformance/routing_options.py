"""What is asked of the options of routing, each by who claims it. Spec: specs/routing.md.

Other axis, a matrix for each pair, other kinds of squash: rules that say (may).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from mindref.conformance.judging.call import Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.conformance.routing import calls
from mindref.conformance.routing_laws import shares_sum_to_one


@check("routing-R9", draws=calls(axis="behaviours"), stem="routing")
def an_interest_takes_the_same_of_all_in_sum(judge: Judge, call: Call) -> None:
    """One number added to all logits of an interest changes nothing; its weights sum to one."""
    logits = np.rint(8 * call.arrays["init_logits"]) / 8  # sums of these do not round
    shift = judge.rng.integers(-3, 4, (len(logits), 1, logits.shape[2])).astype(call.dtype)
    got = judge.ask(call.forward_only().change(init_logits=logits))
    judge.same(got, judge.ask(got.call.change(init_logits=logits + shift)))
    if "couplings" in got:
        shares_sum_to_one(judge, got, axis=1)


@check("routing-R9", draws=calls(axis="behaviours"), stem="routing", agreement=True)
def competing_behaviours_agree(judge: Judge, call: Call) -> None:
    """With the softmax over behaviours, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("routing-R9", draws=calls(axis="behaviours"), stem="routing", gradient=True, agreement=True)
def gradients_of_competing_behaviours_agree(judge: Judge, call: Call) -> None:
    """With the softmax over behaviours, backward agrees with the reference."""
    judge.agree(call)


@check("routing-R25", draws=calls(), stem="routing", gradient=True)
def equal_matrices_for_all_pairs_are_one(judge: Judge, call: Call) -> None:
    """General routing with one matrix throughout is B2I routing; its gradients sum to that."""
    _, places, interests = call.arrays["init_logits"].shape
    single = call.arrays["bilinear"]
    matrices = np.broadcast_to(single, (places, interests, *single.shape))
    general = judge.ask(call.change(bilinear=matrices))
    total = {"d_bilinear": lambda x: x.sum(axis=(0, 1))}
    judge.same(judge.ask(call), general, through=total)


@check("routing-R25", draws=calls(general=True), stem="routing", agreement=True)
def a_matrix_for_each_pair_agrees(judge: Judge, call: Call) -> None:
    """With a matrix for each place and interest, forward agrees with the reference."""
    judge.agree(call.forward_only())


@check("routing-R25", draws=calls(general=True), stem="routing", gradient=True, agreement=True)
def gradients_of_a_matrix_for_each_pair_agree(judge: Judge, call: Call) -> None:
    """With a matrix for each place and interest, backward agrees with the reference."""
    judge.agree(call)


@check("routing-R26", draws=calls(general=True), stem="routing")
def distinct_matrices_tell_interests_apart(judge: Judge, call: Call) -> None:
    """From zero logits, with a matrix for each pair, no two interests of a user are the same."""
    apart(judge, call, "matrices")


def apart(judge: Judge, call: Call, what: str) -> None:
    """Ask that interests with other such arrays differ where the logits do not: all are zero."""
    mask, active = call.arrays["mask"], call.arrays["active"]
    history = np.where(mask[..., None], call.arrays["history"], 1).astype(call.dtype)
    logits = np.zeros_like(call.arrays["init_logits"])
    given = {"history": history, "mask": np.ones_like(mask), "init_logits": logits}
    got = judge.ask(call.forward_only().change(**given, active=np.ones_like(active)))
    pairs = [pair for capsules in got["out"] for pair in pairwise(capsules)]
    differ = all(not np.array_equal(x, y) for x, y in pairs)
    judge.holds(differ, f"two interests with other {what} are the same", got, "out")


@check("routing-R27", draws=calls(rounds=(1,), kind="none"), stem="routing", gradient=True)
def without_squash_a_round_is_linear(judge: Judge, call: Call) -> None:
    """With kind none, behaviours twice as long give capsules twice as long, exactly."""
    longer = judge.ask(call.change(history=2 * call.arrays["history"]))
    judge.equal(longer, judge.ask(call), "out", through={"out": lambda x: 2 * x})


@check("routing-R27", draws=calls(rounds=(1,), kind="unit"), stem="routing", gradient=True)
def with_unit_length_only_directions_count(judge: Judge, call: Call) -> None:
    """With kind unit, behaviours twice as long give the same capsules, exactly."""
    longer = judge.ask(call.change(history=2 * call.arrays["history"]))
    judge.equal(longer, judge.ask(call), "out")


@check("routing-R27", draws=calls(kind="none"), stem="routing", gradient=True, agreement=True)
def rounds_without_squash_agree(judge: Judge, call: Call) -> None:
    """With kind none in every round, forward and backward agree with the reference."""
    judge.agree(call)


@check("routing-R27", draws=calls(kind="unit"), stem="routing", gradient=True, agreement=True)
def rounds_of_unit_length_agree(judge: Judge, call: Call) -> None:
    """With kind unit in every round, forward and backward agree with the reference."""
    judge.agree(call)
