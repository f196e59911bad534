"""Compute which numbers of an answer must become NaN if one number of the call is NaN.

If no specification page defines the effect on a number, no mask of `NanReach` is true there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from mindref.conformance.runner.call import Call
from mindref.shapes import Bools

Position = tuple[int, ...]


class NanReach(NamedTuple):
    """The effect of one NaN in a call: two masks for each array of the answer."""

    becomes_nan: dict[str, Bools]  # numbers that must become NaN
    unchanged: dict[str, Bools]  # numbers that must stay unchanged


def masked_out(call: Call) -> dict[str, Bools]:
    """Return array name -> mask, true at the elements of the array that the operator ignores."""
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
    """Return `mask` (...,), repeated along a new last axis to the shape of x (..., D)."""
    return np.broadcast_to(mask[..., None], x.shape)


def mask_at(shape: tuple[int, ...], *index: Any) -> Bools:
    """Return a mask of shape `shape` that is true only at `index`."""
    mask = np.zeros(shape, bool)
    mask[index] = True
    return mask


def reach_of_part(becomes_nan: Bools, *unchanged: str, **further: Bools) -> NanReach:
    """Return masks: `out` becomes NaN where `becomes_nan` is true.

    Elsewhere, `out` and the arrays `unchanged` stay the same. `further` has masks of more arrays.
    """
    return NanReach({"out": becomes_nan}, {n: ~becomes_nan for n in ("out", *unchanged)} | further)


def table_reach(call: Call, position: Position) -> NanReach:
    """If table[i, j] is NaN, outputs of row i must be NaN at j; d_table must not change."""
    table, rows, _ = call.arrays.values()
    users = (rows == position[0]).any(axis=1)
    component = users[:, None] & mask_at(table.shape[1:], position[1])
    return reach_of_part(component, d_table=np.ones(table.shape, bool))


def weights_reach(call: Call, position: Position) -> NanReach:
    """If weights[m, f] is NaN, row m of `out` and row rows[m, f] of `d_table` must be NaN."""
    table, rows, _ = call.arrays.values()
    row = mask_at(table.shape, rows[position])
    reach = reach_of_part(mask_at((len(rows), table.shape[1]), position[0]), d_table=~row)
    return NanReach({**reach.becomes_nan, "d_table": row}, reach.unchanged)


def slice_reach(call: Call, position: Position) -> NanReach:
    """If a logit is NaN, only the unmasked weights in the same slice along `axis` must be NaN."""
    index: list[Any] = list(position)
    index[call.numbers["axis"]] = slice(None)
    slice_mask = mask_at(call.arrays["logits"].shape, *index)
    return reach_of_part(slice_mask & ~masked_out(call)["logits"], d_logits=~slice_mask)


def capsule_reach(call: Call, position: Position) -> NanReach:
    """If a component of an input vector is NaN, the whole output vector must be NaN."""
    return reach_of_part(mask_at(call.arrays["x"].shape, *position[:-1]), "d_x")


def history_reach(call: Call, position: Position) -> NanReach:
    """If a behaviour of a user contains NaN, all active capsules of this user must be NaN."""
    return users_reach(call, mask_at(call.arrays["mask"].shape[:1], position[0]))


def logits_reach(call: Call, position: Position) -> NanReach:
    """If a user has a NaN logit and 2 or more active capsules, these must be NaN (routing-R23)."""
    reach = history_reach(call, position)
    single = call.arrays["active"][position[0]].sum() == 1
    return (
        NanReach({"out": np.zeros_like(reach.becomes_nan["out"])}, reach.unchanged)
        if single
        else reach
    )


def bilinear_reach(call: Call, position: Position) -> NanReach:
    """If `bilinear` contains NaN, all active capsules of users with behaviours must be NaN."""
    return NanReach(users_reach(call, call.arrays["mask"].any(axis=1)).becomes_nan, {})


def users_reach(call: Call, users: Bools) -> NanReach:
    """Return masks: active capsules of `users` (B,) become NaN, other users do not change."""
    history, _, _, logits, active = call.arrays.values()
    out = np.broadcast_to(users[:, None, None], (*active.shape, history.shape[-1]))
    unchanged = {
        n: np.broadcast_to(~users[:, None, None], x.shape)
        for n, x in (("d_history", history), ("d_init_logits", logits))
    }
    return NanReach({"out": out & active[..., None]}, {"out": ~out, **unchanged})


def row_reach(call: Call, position: Position) -> NanReach:
    """If row m of x contains NaN, row m of the result must be NaN."""
    x, bias = call.arrays["x"], call.arrays["bias"]
    row = mask_at((len(x), len(bias)), position[0])
    return reach_of_part(row, d_x=~mask_at(x.shape, position[0]))


def column_reach(call: Call, position: Position) -> NanReach:
    """If weight[i, j] or bias[j] is NaN, column j of the result must be NaN, and no other."""
    x, weight, bias = call.arrays.values()
    columns = mask_at(bias.shape, position[-1])
    column = np.broadcast_to(columns, (len(x), len(bias)))
    return reach_of_part(column, d_bias=~columns, d_weight=np.broadcast_to(~columns, weight.shape))


def interests_reach(call: Call, position: Position) -> NanReach:
    """If an interest is NaN at j, the user's result must be NaN: at j if p = 0, else everywhere."""
    interests, target, _ = call.arrays.values()
    user = mask_at(target.shape, position[0])
    becomes_nan = (
        mask_at(target.shape, position[0], position[2]) if call.numbers["power"] == 0 else user
    )
    unchanged = {"out": ~user, "d_target": ~user}
    return NanReach(
        {"out": becomes_nan}, unchanged | {"d_interests": ~mask_at(interests.shape, position[0])}
    )


def query_reach(call: Call, position: Position) -> NanReach:
    """If a user's target contains NaN, the user's result must be NaN if p > 0, else unchanged."""
    reach = interests_reach(call, (position[0], 0, position[1]))
    if call.numbers["power"] > 0:
        return reach
    none_nan = np.zeros_like(reach.becomes_nan["out"])
    return NanReach({"out": none_nan}, {**reach.unchanged, "out": ~none_nan})


def loss_reach(call: Call, position: Position) -> NanReach:
    """If a user has NaN, the mean loss must be NaN, but not the gradients of other users.

    If all negatives are accidental hits of this user, the loss may be finite (sampled_softmax-R10).
    """
    user, _, _, ids, negative_ids = list(call.arrays.values())[:5]
    rival = bool((negative_ids != ids[position[0]]).any())
    other_users = ~mask_at(user.shape, position[0])
    return NanReach({"out": np.array(rival)}, {"d_user": other_users, "d_target": other_users})


def negatives_reach(call: Call, position: Position) -> NanReach:
    """If a negative is NaN, the mean loss must be NaN, even if all users mask the negative."""
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
"""Operator -> argument -> function that computes the effect of a NaN in this argument."""
