"""What is asked of interests as they are served: whose they are, and how many.

Spec: specs/model.md."""

from __future__ import annotations

from functools import partial

import numpy as np

from mindref.conformance.draws.worlds import active_interests, every_length, servings
from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.check import check
from mindref.conformance.judging.judge import Judge
from mindref.models.mind import Histories


@check("model-R6", draws=servings(), stem="interests")
def an_inactive_interest_is_zero(judge: Judge, call: Call) -> None:
    """Inactive interests are zero, and exactly those, whatever bias and profile are."""
    got = judge.ask(call)
    active = active_interests(call)
    judge.exactly(got, "active", active)
    judge.exactly(got, "interests", 0, where=~active[..., None])


@check("model-R3", draws=every_length(interest_count="log2"), stem="interests")
def the_number_of_interests_is_that_of_equation_9(judge: Judge, call: Call) -> None:
    """With n behaviours max(1, min(K, floor(log2 n))) interests are active, one for n = 0."""
    judge.exactly(judge.ask(call), "active", active_interests(call))


@check("model-R7", draws=every_length(interest_count="fixed"), stem="interests")
def a_fixed_number_of_interests_is_all_of_them(judge: Judge, call: Call) -> None:
    """Users with behaviours have all K interests, those without have one."""
    judge.exactly(judge.ask(call), "active", active_interests(call))


@check("model-R17", draws=servings(), stem="interests")
def without_behaviours_the_profile_speaks(judge: Judge, call: Call) -> None:
    """Users without behaviours have one interest, on which neither items nor S nor logits act."""
    params, histories, _ = call.arrays.values()
    empty = histories._replace(mask=np.zeros_like(histories.mask))
    before = judge.ask(call.change(histories=empty))
    deaf = params._replace(items=1 - 2 * params.items, bilinear=-3 * params.bilinear)
    other = empty._replace(init_logits=2 - histories.init_logits)
    judge.exactly(before, "active", np.arange(before["active"].shape[1]) == 0)
    judge.equal(judge.ask(call.change(params=deaf, histories=other)), before)


@check("model-R16", draws=servings(), stem="interests")
def the_order_of_behaviours_does_not_matter(judge: Judge, call: Call) -> None:
    """Places of a history in another order, with their mask and logits, leave the interests."""
    items, mask, logits, profile = call.arrays["histories"]
    order = judge.rng.permutation(items.shape[1])
    shuffled = Histories(items[:, order], mask[:, order], logits[:, order], profile)
    judge.same(judge.ask(call), judge.ask(call.change(histories=shuffled)))


@check("model-R16", draws=servings(), stem="interests")
def padding_does_not_matter(judge: Judge, call: Call) -> None:
    """More padded places, before and after, leave the interests."""
    items, mask, logits, profile = call.arrays["histories"]
    around = ((0, 0), (2, 3))
    longer = Histories(
        np.pad(items, around, constant_values=-7),
        np.pad(mask, around),
        np.pad(logits, (*around, (0, 0)), constant_values=5),
        profile,
    )
    judge.same(judge.ask(call), judge.ask(call.change(histories=longer)))


@check("model-R16", draws=servings(), stem="interests")
def the_rest_of_the_batch_does_not_matter(judge: Judge, call: Call) -> None:
    """Every user served alone gets the same interests as among others."""
    histories, together = call.arrays["histories"], judge.ask(call)
    for user in range(len(histories.mask)):
        alone = call.change(histories=Histories(*(x[user : user + 1] for x in histories)))
        got = judge.ask(alone)
        for part, want in judge.expected(alone).items():
            mine = together[part][user : user + 1]
            allowed = want.allowed + judge.expected(call)[part].allowed[user : user + 1]
            want = want._replace(value=mine, allowed=allowed)
            judge.close(
                part, got[part], want, partial(worst_of_both, judge, alone, call, part, user)
            )


@check("model-R17", draws=every_length(), stem="interests", agreement=True, share=0.3)
def interests_of_every_length_are_those_of_the_reference(judge: Judge, call: Call) -> None:
    """Interests of users with no, one, two, ... behaviours agree with the reference."""
    judge.agree(call)


def worst_of_both(judge: Judge, alone: Call, call: Call, part: str, user: int) -> Anything:
    """Return the allowed errors of the worst case of a user alone and among others together."""
    return judge.worst(alone, part) + judge.worst(call, part)[user : user + 1]
