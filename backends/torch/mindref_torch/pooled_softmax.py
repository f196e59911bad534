"""Softmax loss on the score of serving, pooled over interests. Spec: specs/pooled_softmax.md."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx

from mindref.ops import pooled_softmax as reference
from mindref_torch.label_attention import check_active, one_hot_of_largest
from mindref_torch.mixed_precision import compute_in_float32
from mindref_torch.sampled_softmax import check_log_expected, cross_entropy
from mindref_torch.shapes import check_arguments
from mindref_torch.squash import squash_vectors


@compute_in_float32
def pooled_softmax(
    interests: Tensor,
    active: Tensor,
    target: Tensor,
    negatives: Tensor,
    target_ids: Tensor,
    negative_ids: Tensor,
    target_log_expected: Tensor,
    negative_log_expected: Tensor,
    *,
    sharpness: float,
    temperature: float = 1.0,
    normalise: bool = False,
) -> Tensor:
    """Map interests (B, K, D), targets (B, D) and shared negatives (S, D) to the mean loss ().

    active (B, K) is true for the active interests, at least one per user. The score of an item is
    (1 / sharpness) log mean_k exp(sharpness s_k). s_k is the product with an active interest,
    divided by temperature. Sharpness 0 is the mean, infinity the maximum. All other arguments are
    those of sampled_softmax. Raises ShapeError for invalid arguments.
    """
    check_arguments(  # pooled_softmax-R19, R23
        reference.check_loss_arrays,
        interests,
        active,
        target,
        negatives,
        target_ids,
        negative_ids,
        target_log_expected,
        negative_log_expected,
    )
    check_log_expected("pooled_softmax", target_log_expected, negative_log_expected)
    reference.check_loss_numbers(sharpness, temperature)  # pooled_softmax-R21, R22
    check_active("pooled_softmax", active)  # pooled_softmax-R24
    interests = interests.masked_fill(~active[..., None], 0)  # pooled_softmax-R4
    if normalise:  # 1, pooled_softmax-R11
        interests, target, negatives = (
            squash_vectors(x, "unit") for x in (interests, target, negatives)
        )
    interests = interests / temperature  # 2, pooled_softmax-R10
    target_products = torch.einsum("bkd,bd->bk", interests, target)[..., None]  # (B, K, 1)
    target_scores = PooledScores.apply(target_products, active, sharpness)  # 3 (B, 1)
    target_logits = target_scores[:, 0] - target_log_expected  # 4, pooled_softmax-R6
    hits = negative_ids == target_ids[:, None]  # (B, S) pooled_softmax-R7
    if sharpness == 1:  # log-sum-exp over interests and log-sum-exp over negatives are one
        products = torch.addmm(-negative_log_expected, interests.flatten(0, 1), negatives.T)
        logits = products.view(*active.shape, len(negatives))  # (B, K, S)
        target_logits = target_logits + active.sum(1).to(target_logits).log()
        losses = cross_entropy(target_logits, logits, hits, active)
    else:
        scores = PooledScores.apply(interests @ negatives.T, active, sharpness)  # 3 (B, S)
        # 4, pooled_softmax-R6
        losses = cross_entropy(target_logits, scores - negative_log_expected, hits)
    return losses.mean()  # 5 to 7, pooled_softmax-R9, R13, R15, R25


class PooledScores(torch.autograd.Function):  # type: ignore[misc]  # the framework has no types
    """Scores (B, S) of products (B, K, S), pooled over the active interests (B, K).

    The derivative of a score with respect to its products is the softmax of sharpness times the
    products. PyTorch would derive it from expm1, which loses the digits of small weights.
    """

    @staticmethod
    def forward(context: FunctionCtx, products: Tensor, active: Tensor, sharpness: float) -> Tensor:
        """Return the scores; NaN if a product of the item is not finite."""
        scores, weights = pool_products(products, active[..., None], sharpness)
        context.save_for_backward(weights)
        # pooled_softmax-R25: pooling could hide the product
        return scores.masked_fill(~products.isfinite().all(1), torch.nan)

    @staticmethod
    def backward(context: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of the products (B, K, S)."""
        (weights,) = context.saved_tensors
        return weights * gradient[:, None], None, None  # pooled_softmax-R16


def pool_products(products: Tensor, active: Tensor, sharpness: float) -> tuple[Tensor, Tensor]:
    """Return scores (B, S) and the weights (B, K, S) of interests; active (B, K, 1)."""
    count = active.sum(1)  # (B, 1)
    limits = torch.finfo(products.dtype)
    if sharpness < limits.tiny:  # pooled_softmax-R2, R5: sharpness * product may underflow
        weights = (active.to(products) / count[:, None]).expand_as(products)
        return (weights * products).sum(1), weights
    largest = products.masked_fill(~active, -torch.inf).amax(1, keepdim=True)  # (B, 1, S)
    if math.isinf(sharpness):  # pooled_softmax-R3
        return largest[:, 0], one_hot_of_largest(products, active.expand_as(products))
    # no 0 * infinity; each gap is at most 0, pooled_softmax-R12
    gaps = (products - largest) * min(sharpness, limits.max)
    gaps = gaps.masked_fill(~active, -torch.inf)  # pooled_softmax-R4
    weights = torch.softmax(gaps, 1)
    # pooled_softmax-R5: expm1 and log1p are accurate for a small sharpness
    mean = gaps.expm1().masked_fill(~active, 0).sum(1) / count
    return largest[:, 0] + mean.log1p() / min(sharpness, limits.max), weights  # pooled_softmax-R1
