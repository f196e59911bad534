"""mask: interests that a user lacks, padding, garbage in it, and a user with nothing at all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms, mask_of


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    whole, lacking = case(rng, [5, 5], [4, 4], 5, 4), case(rng, [5, 5], [2, 3], 5, 4)
    padded, garbage = case(rng, [3, 5], [4, 4], 5, 4), case(rng, [2, 4], [3, 2], 5, 3)
    garbage["logits"][~garbage["mask"]] = np.nan
    huge = case(rng, [4, 3], [2, 1], 4, 3)
    huge["logits"][~np.broadcast_to(huge["active"][:, None], huge["logits"].shape)] = 1e4
    empty = case(rng, [0, 4], [1, 3], 4, 3)
    return [
        Group(
            "fewer interests",
            "an interest masked too late has drawn weight already",
            (
                Case("everything is there", whole),
                Case("2 and 3 of 4 interests", lacking),
                Case("huge logits where nothing is", huge),
            ),
        ),
        Group(
            "padding",
            "a padded place that still speaks",
            (Case("3 and 5 of 5 behaviours", padded),),
        ),
        Group("garbage", "zero times NaN is NaN", (Case("NaN in the padding", garbage),)),
        Group("no behaviour", "zero over zero", (Case("0 and 4 of 4 behaviours", empty),)),
    ]


def case(
    rng: np.random.Generator, lengths: Sequence[int], counts: Sequence[int], places: int, most: int
) -> Inputs:
    """Return logits for users of so many behaviours and interests."""
    logits = rng.normal(size=(len(lengths), places, most))
    return {"logits": logits, "mask": mask_of(lengths, places), "active": mask_of(counts, most)}


def reference(given: Inputs) -> Array:
    """Return the weights of `softmax.forward` with both masks."""
    allowed = given["mask"][:, :, None] & given["active"][:, None, :]
    return softmax.forward(given["logits"], allowed, axis=2)[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return exp of the logits of the interests that take part; zero is a sum of nothing."""
    b, i, j = index
    if not given["mask"][b, i]:
        return Terms("sum", (("nothing: the place is padded", 0.0),))
    if not given["active"][b, j]:
        return Terms("sum", (("nothing: the user lacks the interest", 0.0),))
    there = [int(k) for k in np.flatnonzero(given["active"][b])]
    logits = given["logits"][b, i, there]
    raised = dict(zip(there, np.exp(logits - logits.max()), strict=True))
    every = [(f"exp(b - max) of interest {k}", float(x)) for k, x in raised.items()]
    return Terms("quotient", (every[there.index(j)], *every))
