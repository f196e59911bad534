"""Which numbers of an answer depend on one number of a call, by operator.

Written from the specification pages. If the pages do not define whether a number becomes NaN, the
number is neither in `lost` nor in `spared`. Examples are inactive interests of an affected user,
and gradients that sum affected numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.runner.call import Call
from mindref.shapes import Bools

Position = tuple[int, ...]


class NanReach(NamedTuple):
    """Masks by part of the answer."""

    lost: dict[str, Bools]  # numbers that a NaN makes NaN
    spared: dict[str, Bools]  # numbers that stay unchanged


def masked_out(call: Call) -> dict[str, Bools]:
    """Return for each masked array where its masks exclude it."""
    arrays = call.arrays
    if call.stem == "softmax":
        return {"logits": ~np.broadcast_to(arrays["mask"], arrays["logits"].shape)}
    if call.stem == "label_attention":
        return {"interests": component_mask(~arrays["active"], arrays["interests"])}
    if call.stem == "routing":
        allowed = arrays["mask"][:, :, None] & arrays["active"][:, None, :]
        history = component_mask(~arrays["mask"], arrays["history"])
        return {"history": history, "init_logits": ~allowed}
    return {}


def component_mask(mask: Bools, x: Any) -> Bools:
    """Return a mask of vectors as a mask of their components."""
    return np.broadcast_to(mask[..., None], x.shape)


def mask_at(shape: tuple[int, ...], *index: Any) -> Bools:
    """Return a mask of this shape that is true at an index."""
    mask = np.zeros(shape, bool)
    mask[index] = True
    return mask


def reach_of_part(lost: Bools, *spared: str, **further: Bools) -> NanReach:
    """Return a reach: NaN in `lost` of the result, and nowhere else in it or in these gradients."""
    return NanReach({"out": lost}, {n: ~lost for n in ("out", *spared)} | further)


def table_reach(call: Call, position: Position) -> NanReach:
    """A number of the table reaches that component of every vector that uses the row.

    That includes uses with weight 0. The gradient does not depend on the table.
    """
    table, rows, _ = call.arrays.values()
    users = (rows == position[0]).any(axis=1)
    component = users[:, None] & mask_at(table.shape[1:], position[1])
    return reach_of_part(component, d_table=np.ones(table.shape, bool))


def weights_reach(call: Call, position: Position) -> NanReach:
    """A weight reaches its vector, and the gradient of the row that it multiplies."""
    table, rows, _ = call.arrays.values()
    row = mask_at(table.shape, rows[position])
    reach = reach_of_part(mask_at((len(rows), table.shape[1]), position[0]), d_table=~row)
    return NanReach({**reach.lost, "d_table": row}, reach.spared)


def slice_reach(call: Call, position: Position) -> NanReach:
    """A logit reaches the unmasked positions of its slice; gradients at masked ones are open."""
    index: list[Any] = list(position)
    index[call.numbers["axis"]] = slice(None)
    slice_mask = mask_at(call.arrays["logits"].shape, *index)
    return reach_of_part(slice_mask & ~masked_out(call)["logits"], d_logits=~slice_mask)


def capsule_reach(call: Call, position: Position) -> NanReach:
    """A component reaches its capsule."""
    return reach_of_part(mask_at(call.arrays["x"].shape, *position[:-1]), "d_x")


def history_reach(call: Call, position: Position) -> NanReach:
    """A number of a user reaches the active capsules of the user; inactive ones are open."""
    return users_reach(call, mask_at(call.arrays["mask"].shape[:1], position[0]))


def logits_reach(call: Call, position: Position) -> NanReach:
    """A logit does the same, unless one interest alone is active: routing-R23."""
    reach = history_reach(call, position)
    single = call.arrays["active"][position[0]].sum() == 1
    return NanReach({"out": np.zeros_like(reach.lost["out"])}, reach.spared) if single else reach


def bilinear_reach(call: Call, position: Position) -> NanReach:
    """A number of the matrix reaches every user who has a behaviour; everything else is open."""
    return NanReach(users_reach(call, call.arrays["mask"].any(axis=1)).lost, {})


def users_reach(call: Call, users: Bools) -> NanReach:
    """Return the reach of a number that affects these users (B,) of routing."""
    history, _, _, logits, active = call.arrays.values()
    out = np.broadcast_to(users[:, None, None], (*active.shape, history.shape[-1]))
    spared = {
        n: np.broadcast_to(~users[:, None, None], x.shape)
        for n, x in (("d_history", history), ("d_init_logits", logits))
    }
    return NanReach({"out": out & active[..., None]}, {"out": ~out, **spared})


def row_reach(call: Call, position: Position) -> NanReach:
    """A number of a row of a layer reaches that row."""
    x, bias = call.arrays["x"], call.arrays["bias"]
    row = mask_at((len(x), len(bias)), position[0])
    return reach_of_part(row, d_x=~mask_at(x.shape, position[0]))


def column_reach(call: Call, position: Position) -> NanReach:
    """A weight or bias reaches the column of its output, also in the gradients of W and b."""
    x, weight, bias = call.arrays.values()
    columns = mask_at(bias.shape, position[-1])
    column = np.broadcast_to(columns, (len(x), len(bias)))
    return reach_of_part(column, d_bias=~columns, d_weight=np.broadcast_to(~columns, weight.shape))


def interests_reach(call: Call, position: Position) -> NanReach:
    """A number of an interest reaches its user; with p = 0 only that component."""
    interests, target, _ = call.arrays.values()
    user = mask_at(target.shape, position[0])
    lost = mask_at(target.shape, position[0], position[2]) if call.numbers["power"] == 0 else user
    spared = {"out": ~user, "d_target": ~user}
    return NanReach({"out": lost}, spared | {"d_interests": ~mask_at(interests.shape, position[0])})


def query_reach(call: Call, position: Position) -> NanReach:
    """A number of the target reaches its user; with p = 0 no result depends on it."""
    reach = interests_reach(call, (position[0], 0, position[1]))
    if call.numbers["power"] > 0:
        return reach
    none_lost = np.zeros_like(reach.lost["out"])
    return NanReach({"out": none_lost}, {**reach.spared, "out": ~none_lost})


def loss_reach(call: Call, position: Position) -> NanReach:
    """A number of a user or target reaches the mean loss; gradients of other users are spared.

    Whether it does for a user without negatives (sampled_softmax-R10) is open.
    """
    user, _, _, ids, negative_ids = list(call.arrays.values())[:5]
    rival = bool((negative_ids != ids[position[0]]).any())
    other_users = ~mask_at(user.shape, position[0])
    return NanReach({"out": np.array(rival)}, {"d_user": other_users, "d_target": other_users})


def negatives_reach(call: Call, position: Position) -> NanReach:
    """A number of a negative reaches the mean loss, even if it is the target of every user."""
    return NanReach({"out": np.array(True)}, {})


REACHES: dict[str, dict[str, Callable[[Call, Position], NanReach]]] = {
    "embedding": {"table": table_reach, "weights": weights_reach},
    "softmax": {"logits": slice_reach},
    "squash": {"x": capsule_reach},
    "routing": {"history": history_reach, "bilinear": bilinear_reach, "init_logits": logits_reach},
    "relu_layer": {"x": row_reach, "weight": column_reach, "bias": column_reach},
    "label_attention": {"interests": interests_reach, "target": query_reach},
    "sampled_softmax": {"user": loss_reach, "target": loss_reach, "negatives": negatives_reach},
}
"""Operator -> argument -> the reach of one number of it."""
