"""Sampled softmax: the loss of targets with shared negatives. Spec: specs/sampled_softmax.md."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

from mindref.errors import ShapeError, say
from mindref.ops import sampled_softmax as reference
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.shapes import check_arguments
from mindref_torch.squash import squash_vectors


@compute_in_float32
def sampled_softmax(
    user: Tensor,
    target: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    target_log_expected: Tensor,
    negative_log_expected: Tensor,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Tensor:
    """Map users (B, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    A negative with the id of the target is an accidental hit; ids are (B,) and (S,). The log
    expected counts (B,) and (S,) are subtracted from the logits. The products are divided by
    temperature. With `normalise` all vectors have length one. Raises ShapeError for invalid
    arguments.
    """
    check_arguments(  # sampled_softmax-R14, R16, R17
        reference.check_inputs,
        user,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
        temperature=temperature,
    )
    check_log_expected("sampled_softmax", target_log_expected, negative_log_expected)
    if normalise:  # sampled_softmax-R7, R8
        user, target, negatives = (squash_vectors(x, "unit") for x in (user, target, negatives))
    # sampled_softmax-R2, R6
    target_logit = (user * target).sum(1) / temperature - target_log_expected
    negative_logits = torch.addmm(-negative_log_expected, user / temperature, negatives.T)
    hits = negative_ids == target_ids[:, None]
    return cross_entropy(target_logit, negative_logits, hits).mean()  # sampled_softmax-R5


def cross_entropy(
    target_logit: Tensor, negative_logits: Tensor, hits: Tensor, active: Tensor | None = None
) -> Tensor:
    """Return log(1 + sum_s exp(negative logit - target logit)) for each user (B,).

    Negative logits are (B, S), or (B, K, S) with active interests (B, K); they are overwritten.
    Negatives with a hit (B, S) and inactive interests are excluded. If a logit is not finite, the
    loss of the user is NaN.
    """
    if not negative_logits.numel():
        return target_logit * 0
    if active is None:
        negative_logits, active = negative_logits[:, None], torch.ones_like(hits[:, :1])
    losses: Tensor = CrossEntropy.apply(target_logit, negative_logits, hits, active)
    return losses


class CrossEntropy(torch.autograd.Function):  # type: ignore[misc]  # the framework has no types
    """The losses (B,) of `cross_entropy`; forward also computes the gradient."""

    @staticmethod
    def forward(
        context: FunctionCtx,
        target_logit: Tensor,
        negative_logits: Tensor,
        hits: Tensor,
        active: Tensor,
    ) -> Tensor:
        """Return the losses; save the probabilities p (B, K, S) of the negatives as two factors."""
        smallest = negative_logits.amin((1, 2))
        # sampled_softmax-R3; a sum, because NaN and +infinity at a hit must remain. In place: no
        # gradient needs the logits
        summand = torch.zeros_like(hits, dtype=target_logit.dtype).masked_fill_(hits, -torch.inf)
        masked_logits = negative_logits.add_(summand[:, None])
        largest = masked_logits.amax(2).masked_fill(~active, -torch.inf).amax(1)
        usable = target_logit.isfinite() & smallest.isfinite() & (largest < torch.inf)
        target_logit = torch.where(usable, target_logit, torch.nan)  # sampled_softmax-R18
        # a user without negatives has the loss zero: sampled_softmax-R10
        largest = torch.where(largest.isfinite(), largest, target_logit)
        # sampled_softmax-R4, R9; an inactive interest has exp(-infinity)
        shift = torch.where(active, largest[:, None], torch.inf)
        exponentials = masked_logits.sub_(shift[..., None]).exp_()
        sums, gap = exponentials.sum((1, 2)), largest - target_logit
        log_ratio = gap + sums.log()
        losses = torch.logaddexp(log_ratio, torch.zeros_like(gap))  # sampled_softmax-R1
        context.save_for_backward(exponentials, sums, (gap - losses).exp())
        return losses

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Return the gradients of the target logits (B,) and the negative logits (B, K, S)."""
        exponentials, sums, scale = context.saved_tensors  # p = exponentials * scale
        slope = scale * gradient
        return -sums * slope, exponentials * slope[:, None, None], None, None  # sampled_softmax-R12


def check_log_expected(loss: str, target: Tensor, negatives: Tensor) -> None:
    """Raise ShapeError unless the logs are finite (sampled_softmax-R15, pooled_softmax-R20).

    A compiled step cannot check values.
    """
    if torch.compiler.is_compiling():
        return
    for name, log in (("target", target), ("negative", negatives)):
        if not log.isfinite().all():
            got = "an infinite one or NaN"
            raise ShapeError(say(f"{loss}: {name}_log_expected", "finite logs", got))
