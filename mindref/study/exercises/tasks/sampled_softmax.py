"""sampled-softmax: corrections of several sizes, hits, repeats, large logits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.ops import sampled_softmax
from mindref.shapes import Array
from mindref.study.exercises.cases import Case, Group, Inputs, Terms


def groups(rng: np.random.Generator) -> list[Group]:
    """Return the cases."""
    huge = case(rng, [7, 2], [5, 4, 9], 4)
    huge["user"] = huge["user"] * 600
    return [
        Group(
            "no hits",
            "the formula and the sign of the correction; B, S and D differ",
            (
                Case("3 users, S=4 D=5", case(rng, [1, 2, 3], [4, 5, 6, 7], 5)),
                Case("1 user, S=3 D=2", case(rng, [8], [0, 1, 2], 2)),
            ),
        ),
        Group(
            "hits",
            "a negative that is the target of one user and not of the others",
            (
                Case("a hit for user 0 and for user 2", case(rng, [4, 2, 6], [5, 4, 6, 7], 3)),
                Case("two users with one target", case(rng, [4, 4], [3, 4, 5], 3)),
            ),
        ),
        Group(
            "repeats",
            "a negative that was drawn twice, and one that is a hit both times",
            (Case("9 twice, 4 twice", case(rng, [4, 2], [9, 4, 9, 4, 5], 3)),),
        ),
        Group(
            "nothing but hits",
            "a user to whom no negative is left",
            (Case("S=2, both hits", case(rng, [4], [4, 4], 3)),),
        ),
        Group(
            "large logits",
            "exp of them is infinite",
            (Case("products in the hundreds", huge),),
        ),
    ]


def case(
    rng: np.random.Generator, targets: Sequence[int], negatives: Sequence[int], width: int
) -> Inputs:
    """Return a batch of these items; an item has one vector and one count, wherever it stands."""
    table = rng.normal(size=(10, width))
    logs = rng.uniform(-2, 1, size=10)
    target_ids, negative_ids = np.array(targets), np.array(negatives)
    return {
        "user": rng.normal(size=(len(targets), width)),
        "target": table[target_ids],
        "negatives": table[negative_ids],
        "target_ids": target_ids,
        "negative_ids": negative_ids,
        "target_log_expected": logs[target_ids],
        "negative_log_expected": logs[negative_ids],
    }


ORDER = (
    *("user", "target", "negatives", "target_ids", "negative_ids"),
    *("target_log_expected", "negative_log_expected"),
)


def mean_loss(given: Inputs) -> tuple[Array, sampled_softmax.Saved]:
    """Return what the forward of the reference gives."""
    return sampled_softmax.forward(*(given[name] for name in ORDER))


def reference(given: Inputs) -> tuple[Array, ...]:
    """Return the losses of `sampled_softmax.forward` user by user, and of all together."""
    losses = []
    for b in range(len(given["user"])):
        alone = {
            n: given[n][b : b + 1] for n in ("user", "target", "target_ids", "target_log_expected")
        }
        losses.append(float(mean_loss({**given, **alone})[0]))
    return np.array(losses), mean_loss(given)[0]


def terms(given: Inputs, part: str, index: tuple[int, ...]) -> Terms:
    """Return the two logs of a user's loss, or the share of each user in the mean."""
    losses = reference(given)[0]
    if part == "loss":
        shares = losses / len(losses)
        return Terms("sum", tuple((f"user {b}: loss / B", float(x)) for b, x in enumerate(shares)))
    (b,) = index
    own = float(given["user"][b] @ given["target"][b] - given["target_log_expected"][b])
    logits = given["negatives"] @ given["user"][b] - given["negative_log_expected"]
    logits = logits[given["negative_ids"] != given["target_ids"][b]]
    total = float(np.logaddexp.reduce([own, *logits]))
    return Terms("sum", (("log(exp(y) + sum_s exp(z_s))", total), ("-y", -own)))
