"""Which numbers of an answer are computed from one number of the question, by operator.

Written from the pages. What they leave open (inactive interests of a user who is lost, gradients
that meet the number in a sum) is neither lost nor spared.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.judging.call import Call
from mindref.shapes import Bools

Place = tuple[int, ...]


class Reach(NamedTuple):
    """Masks by part of the answer."""

    lost: dict[str, Bools]  # what a NaN makes NaN
    spared: dict[str, Bools]  # what stays as it is


def left_out(call: Call) -> dict[str, Bools]:
    """Return for each array that masks speak of where they leave it out."""
    arrays = call.arrays
    if call.stem == "softmax":
        return {"logits": ~np.broadcast_to(arrays["mask"], arrays["logits"].shape)}
    if call.stem == "label_attention":
        return {"interests": spread(~arrays["active"], arrays["interests"])}
    if call.stem == "routing":
        allowed = arrays["mask"][:, :, None] & arrays["active"][:, None, :]
        return {"history": spread(~arrays["mask"], arrays["history"]), "init_logits": ~allowed}
    return {}


def spread(mask: Bools, x: Any) -> Bools:
    """Return a mask of vectors as one of their components."""
    return np.broadcast_to(mask[..., None], x.shape)


def only(shape: tuple[int, ...], *index: Any) -> Bools:
    """Return a mask of this shape that is true at an index."""
    mask = np.zeros(shape, bool)
    mask[index] = True
    return mask


def parted(own: Bools, *spared: str, **others: Bools) -> Reach:
    """Return a reach: `own` of the result is lost, all else spared, in these gradients too."""
    return Reach({"out": own}, {n: ~own for n in ("out", *spared)} | others)


def of_table(call: Call, place: Place) -> Reach:
    """A number of the table: that component of every vector that uses the row, of weight zero too.

    The gradient does not depend on the table.
    """
    table, rows, _ = call.arrays.values()
    users = (rows == place[0]).any(axis=1)
    own = users[:, None] & only(table.shape[1:], place[1])
    return parted(own, d_table=np.ones(table.shape, bool))


def of_weights(call: Call, place: Place) -> Reach:
    """A weight: its vector, and the gradient of the row that it weighs."""
    table, rows, _ = call.arrays.values()
    named = only(table.shape, rows[place])
    found = parted(only((len(rows), table.shape[1]), place[0]), d_table=~named)
    return Reach({**found.lost, "d_table": named}, found.spared)


def of_slice(call: Call, place: Place) -> Reach:
    """A logit: the places of its slice that the mask leaves; gradients of masked ones are open."""
    index: list[Any] = list(place)
    index[call.numbers["axis"]] = slice(None)
    whole = only(call.arrays["logits"].shape, *index)
    return parted(whole & ~left_out(call)["logits"], d_logits=~whole)


def of_capsule(call: Call, place: Place) -> Reach:
    """A component: its capsule."""
    return parted(only(call.arrays["x"].shape, *place[:-1]), "d_x")


def of_history(call: Call, place: Place) -> Reach:
    """A number of a user: that user's active capsules; what is inactive is open."""
    return of_users(call, only(call.arrays["mask"].shape[:1], place[0]))


def of_logits(call: Call, place: Place) -> Reach:
    """A logit: the same, unless one interest alone is active: it needs no logits (routing-R23)."""
    found = of_history(call, place)
    single = call.arrays["active"][place[0]].sum() == 1
    return Reach({"out": np.zeros_like(found.lost["out"])}, found.spared) if single else found


def of_bilinear(call: Call, place: Place) -> Reach:
    """A number of the matrix: every user who has a behaviour; all else is open."""
    return Reach(of_users(call, call.arrays["mask"].any(axis=1)).lost, {})


def of_users(call: Call, users: Bools) -> Reach:
    """Return the reach of what makes these users (B,) of routing lost."""
    history, _, _, logits, active = call.arrays.values()
    out = np.broadcast_to(users[:, None, None], (*active.shape, history.shape[-1]))
    spared = {
        n: np.broadcast_to(~users[:, None, None], x.shape)
        for n, x in (("d_history", history), ("d_init_logits", logits))
    }
    return Reach({"out": out & active[..., None]}, {"out": ~out, **spared})


def of_row(call: Call, place: Place) -> Reach:
    """A number of a row of a layer: that row."""
    x, bias = call.arrays["x"], call.arrays["bias"]
    own = only((len(x), len(bias)), place[0])
    return parted(own, d_x=~only(x.shape, place[0]))


def of_column(call: Call, place: Place) -> Reach:
    """A weight or bias: the column of its output, in the gradients of weight and bias as well."""
    x, weight, bias = call.arrays.values()
    columns = only(bias.shape, place[-1])
    own = np.broadcast_to(columns, (len(x), len(bias)))
    return parted(own, d_bias=~columns, d_weight=np.broadcast_to(~columns, weight.shape))


def of_interests(call: Call, place: Place) -> Reach:
    """A number of an interest: its user; with p = 0 that component, and the others are open."""
    interests, target, _ = call.arrays.values()
    user = only(target.shape, place[0])
    lost = only(target.shape, place[0], place[2]) if call.numbers["power"] == 0 else user
    spared = {"out": ~user, "d_target": ~user, "d_interests": ~only(interests.shape, place[0])}
    return Reach({"out": lost}, spared)


def of_query(call: Call, place: Place) -> Reach:
    """A number of the target: its user; with p = 0 nobody's result looks at it."""
    found = of_interests(call, (place[0], 0, place[1]))
    if call.numbers["power"] > 0:
        return found
    nobody = np.zeros_like(found.lost["out"])
    return Reach({"out": nobody}, {**found.spared, "out": ~nobody})


def of_loss(call: Call, place: Place) -> Reach:
    """A number of a user or target: the mean loss; other users' gradients are spared.

    Whether it shows where no negative is left for the user (sampled_softmax-R10) is open.
    """
    user, _, _, ids, others = list(call.arrays.values())[:5]
    rival = bool((others != ids[place[0]]).any())
    rest = ~only(user.shape, place[0])
    return Reach({"out": np.array(rival)}, {"d_user": rest, "d_target": rest})


def of_negatives(call: Call, place: Place) -> Reach:
    """A number of a negative: the mean loss, even if it is everybody's target."""
    return Reach({"out": np.array(True)}, {})


REACHES: dict[str, dict[str, Callable[[Call, Place], Reach]]] = {
    "embedding": {"table": of_table, "weights": of_weights},
    "softmax": {"logits": of_slice},
    "squash": {"x": of_capsule},
    "routing": {"history": of_history, "bilinear": of_bilinear, "init_logits": of_logits},
    "relu_layer": {"x": of_row, "weight": of_column, "bias": of_column},
    "label_attention": {"interests": of_interests, "target": of_query},
    "sampled_softmax": {"user": of_loss, "target": of_loss, "negatives": of_negatives},
}
"""Operator -> argument -> what one number of it reaches."""
