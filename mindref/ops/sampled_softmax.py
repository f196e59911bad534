"""Sampled softmax: the loss of the target item against negatives that the batch shares.

Spec: specs/sampled_softmax.md. Source: Li et al., CIKM 2019, eq. 10-11; Jean et al. 2015 for the
correction. Differs: a loss (mean of minus log), log expected counts subtracted from every logit,
negatives equal to the target left out; temperature and normalisation are options, off by default.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mindref.errors import ShapeError, say
from mindref.ops import squash
from mindref.record import Record
from mindref.shapes import Array, Ints, bind, same_float


class Saved(NamedTuple):
    """Vectors, as each enters the gradient of the others, and the probabilities of the negatives.

    That of the target is not kept: backward needs only how far it is from one, which is their sum.
    """

    user: Array  # (B, D) as used: of unit length if normalised
    target: Array  # (B, D) as used
    negatives: Array  # (S, D) as used
    units: tuple[squash.Saved | None, ...]  # of user, target, negatives; None without normalising
    p_negatives: Array  # (B, S) zero for a hit
    temperature: float


def forward(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
    record: Record | None = None,
) -> tuple[Array, Saved]:
    """Map users (B, D), their target items (B, D) and shared negatives (S, D) to the mean loss ().

    target_ids (B,) and negative_ids (S,) say which negatives are the target itself;
    target_log_expected (B,) and negative_log_expected (S,) are the logs of the expected counts of
    those items in the drawn set, zeros for a full softmax. temperature > 0 divides the products;
    normalise divides users and items by their lengths first. Raises ShapeError for what does not
    fit and for an empty batch.
    """
    check(
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
        temperature,
    )
    (user, of_user), (target, of_target), (negatives, of_negatives) = (  # 1
        unit(x, normalise) for x in (user, target, negatives)
    )

    # 2: products over the temperature, less the log expected counts (sampled_softmax-R2, R6)
    at_target = np.einsum("bd,bd->b", user, target) / temperature - target_log_expected  # (B,)
    at_negatives = user @ negatives.T / temperature - negative_log_expected  # (B, S)
    if record is not None:
        record("unit", user=user, target=target, negatives=negatives)
        record("logits", at_target=at_target, at_negatives=at_negatives)
    hits = negative_ids == target_ids[:, None]  # (B, S)
    usable = np.isfinite(at_target) & np.isfinite(at_negatives).all(axis=1)  # (B,)
    at_target = np.where(usable, at_target, np.nan)  # 3, sampled_softmax-R18, numerics-R13
    at_negatives = np.where(hits, -np.inf, at_negatives)  # 3, sampled_softmax-R3, R13

    losses, p_negatives = lose(at_target, at_negatives)  # 4 (B,), (B, S)
    out = losses.mean(dtype=user.dtype)  # 5, sampled_softmax-R5
    if record is not None:
        record("hits", hits=hits, at_negatives=at_negatives)
        record("loss", losses=losses, out=out, p_negatives=p_negatives)
    units = (of_user, of_target, of_negatives)
    return out, Saved(user, target, negatives, units, p_negatives, temperature)


def backward(
    d_out: Array | float, saved: Saved, *, record: Record | None = None
) -> tuple[Array, Array, Array]:
    """Return d_user (B, D), d_target (B, D), d_negatives (S, D); repeated negatives stay apart."""
    scale = d_out / len(saved.user)  # 5: mean over the batch
    d_at_negatives = saved.p_negatives * scale / saved.temperature  # 4, 3: a hit has p = 0 (B, S)
    d_at_target = -d_at_negatives.sum(axis=1)  # 4, sampled_softmax-R12 (B,)
    d_user = d_at_target[:, None] * saved.target + d_at_negatives @ saved.negatives  # 2
    d_target = d_at_target[:, None] * saved.user  # 2
    d_negatives = d_at_negatives.T @ saved.user  # 2, sampled_softmax-R11
    if record is not None:
        record("d_logits", d_target=d_at_target, d_negatives=d_at_negatives)
        record("d_unit", d_user=d_user, d_target=d_target, d_negatives=d_negatives)
    gradients = zip((d_user, d_target, d_negatives), saved.units, strict=True)
    of_user, of_target, of_negatives = (through_unit(d, s) for d, s in gradients)  # 1
    if record is not None:
        record("d_vectors", d_user=of_user, d_target=of_target, d_negatives=of_negatives)
    return of_user, of_target, of_negatives


def lose(at_target: Array, at_negatives: Array) -> tuple[Array, Array]:
    """Map logits of targets (B,) and negatives (B, S) to losses (B,), and to p of negatives (B, S).

    A negative of minus infinity is left out; a target of NaN has the loss NaN. The softmax of both
    losses: `pooled_softmax` has other logits. -log softmax of the target is here
    log(1 + exp(log-sum-exp of the negatives - target)).
    """
    top = np.max(at_negatives, axis=1, initial=-np.inf)  # (B,)
    # no negative left: sampled_softmax-R10, pooled_softmax-R13
    top = np.where(np.isfinite(top), top, at_target)
    with np.errstate(over="ignore", divide="ignore"):  # a gap beyond the floats is weight 0
        raised = np.exp(at_negatives - top[:, None])  # sampled_softmax-R9, pooled_softmax-R12
        # the same id twice adds twice: sampled_softmax-R4, pooled_softmax-R8
        rest = np.log(raised.sum(axis=1))
    lead = top - at_target  # before the log is added, which a large top would swallow
    with np.errstate(invalid="ignore"):  # a NaN comes this far on purpose
        losses = np.logaddexp(0, lead + rest)  # sampled_softmax-R1 (B,)
    p_negatives = raised * np.exp(lead - losses)[:, None]  # (B, S)
    return losses, p_negatives


def unit(x: Array, normalise: bool) -> tuple[Array, squash.Saved | None]:
    """Return rows of length one, zero staying zero, or x itself if not `normalise`."""
    return squash.forward(x, kind="unit") if normalise else (x, None)  # sampled_softmax-R7


def through_unit(d_out: Array, saved: squash.Saved | None) -> Array:
    """Return the gradient before `unit`: the part across the direction, over the length."""
    return d_out if saved is None else squash.backward(d_out, saved)  # sampled_softmax-R8


def finite(where: str, **logs: Array) -> None:
    """Raise ShapeError, of an operator, for logs of expected counts that are no finite numbers."""
    for name, log in logs.items():
        if not np.isfinite(log).all():  # sampled_softmax-R15
            raise ShapeError(say(f"{where}: {name}", "finite logs", "an infinite one or NaN"))


def check(
    user: Array,
    target: Array,
    negatives: Array,
    target_ids: Ints,
    negative_ids: Ints,
    target_log_expected: Array,
    negative_log_expected: Array,
    temperature: float,
) -> None:
    """Raise ShapeError for anything that `forward` cannot take."""
    sizes = bind(  # sampled_softmax-R14
        "sampled_softmax",
        user=(user, "BD"),
        target=(target, "BD"),
        negatives=(negatives, "SD"),
        target_ids=(target_ids, "B"),
        negative_ids=(negative_ids, "S"),
        target_log_expected=(target_log_expected, "B"),
        negative_log_expected=(negative_log_expected, "S"),
    )
    logs = {
        "target_log_expected": target_log_expected,
        "negative_log_expected": negative_log_expected,
    }
    same_float("sampled_softmax", user=user, target=target, negatives=negatives, **logs)
    finite("sampled_softmax", **logs)
    if sizes["B"] == 0:  # sampled_softmax-R17
        raise ShapeError(say("sampled_softmax: user", "at least one", "none"))
    if not 0 < temperature < np.inf:  # sampled_softmax-R16
        raise ShapeError(
            say("sampled_softmax: temperature", "a finite number above 0", temperature)
        )
