"""The user tower as an exportable module: histories to interests.

Spec: specs/model.md (serving), specs/mind_plus.md. It computes the same as `MIND.interests`, but a
traced graph accepts any batch. Therefore all vectors are padded: the number of behaviours depends
on the mask. The tower does not check values, because a graph cannot raise errors.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mindref.models.tower import UserTower
from mindref.shapes import Array
from mindref_torch.mind_plus import vote_matrix, weigh_by_age
from mindref_torch.relu_layer import relu_layer
from mindref_torch.routing import routing
from mindref_torch.squash import squash


class Tower(nn.Module):  # type: ignore[misc]  # the framework has no types
    """The user tower of a model: histories and profiles to interests and active interests."""

    def __init__(self, user_tower: UserTower) -> None:
        super().__init__()
        self.config = config = user_tower.config
        for name in ("items", "logits", "profile", "bilinear", "positions"):
            self.register_buffer(name, torch.tensor(getattr(user_tower, name)))
        self.weights = constant_parameters(layer.weight for layer in user_tower.layers)
        self.biases = constant_parameters(layer.bias for layer in user_tower.layers)
        # interest k is active from 2^k behaviours, k >= 2; no length is 2^63
        limit = min(config.interests, 62)
        thresholds = [2**k for k in range(2, limit + 1)] if config.interest_count == "log2" else []
        self.register_buffer("thresholds", torch.tensor(thresholds, dtype=torch.int64))

    def forward(
        self, items: Tensor, mask: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map items (B, L), mask (B, L) and profile (B, G) to interests (B, K, D), active (B, K).

        items are dense ids, oldest first; where mask is false they may have any value. Only the
        last `window` behaviours are used. profile contains rows of the profile table; models
        without user features have no profile. An id outside the catalogue fails in the look-up.
        """
        config = self.config
        mask, lengths = self.mask_recent(F.pad(mask, (0, 1)))
        items = mask_negative_ids(F.pad(items, (0, 1)), len(self.items))
        ids = torch.where(mask, items, 0)  # model-R8
        history = F.embedding(ids, self.items)  # 1, model-R1; routing masks the padding
        active = self.active_interests(lengths)
        matrix = vote_matrix(self.bilinear, config)
        log_weights, contexts = weigh_by_age(self.positions, matrix, history, mask, config)
        capsules, _ = routing(  # 3
            history,
            mask,
            matrix,
            F.embedding(ids, self.logits),  # model-R16
            active,
            log_weights,
            iterations=config.iterations if config.routing == "dynamic" else 1,  # model-R12
            gradient="last",  # not differentiated
            axis=config.routing_axis,
            kind=config.squash,  # model-R13
        )
        x = capsules
        if config.head != "none":  # mind_plus-R11
            x = self.apply_layers(self.join_profile(capsules, profile, contexts))  # 4, 5
            x = x.view_as(capsules)
            x = capsules + x if config.head == "residual" else x  # mind_plus-R10
        x = torch.where(active[..., None], x, 0)  # 6, model-R6
        return squash(x, kind="unit") if config.normalise else x, active  # model-R19

    def mask_recent(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask of the last `window` behaviours (B, L) and their number (B, 1).

        The input mask has one padded position more than the histories. Therefore the position
        [:, -1] exists even if L = 0.
        """
        position = mask.to(torch.int64).cumsum(1)
        lengths, window = position[:, -1:], self.config.window
        return mask & (position > lengths - window), lengths.clamp(max=window)

    def active_interests(self, lengths: Tensor) -> Tensor:
        """Return the mask of active interests (B, K) for numbers of behaviours (B, 1)."""
        limit = self.config.interests
        if self.config.interest_count == "log2":
            reached = (lengths >= self.thresholds).to(torch.int64)
            num_active = 1 + reached.sum(1, keepdim=True)  # model-R3
        else:
            num_active = torch.where(lengths > 0, limit, 1)  # model-R7
        return torch.arange(limit, device=lengths.device) < num_active

    def join_profile(self, capsules: Tensor, profile: Tensor | None, contexts: Tensor) -> Tensor:
        """Return [capsule ; profile ; contexts] as rows (B K, D + G Q + M D) (model-R4)."""
        vectors = [contexts] if self.config.contexts else []  # mind_plus-R9
        if profile is not None:
            rows = mask_negative_ids(profile, len(self.profile))
            vectors.insert(0, F.embedding(rows, self.profile).flatten(1))  # 2, model-R2 (B, G Q)
        repeated = [x[:, None].expand(-1, capsules.shape[1], -1) for x in vectors]
        return torch.cat([capsules, *repeated], 2).flatten(0, 1)

    def apply_layers(self, x: Tensor) -> Tensor:
        """Apply the layers to rows (B K, D + G Q + M D); return rows (B K, D)."""
        last = len(self.weights) - 1
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = relu_layer(x, weight, bias, relu=self.config.last_relu or index < last)  # model-R5
        return x


def mask_negative_ids(ids: Tensor, count: int) -> Tensor:
    """Return ids with negative ids replaced by `count`, which is outside the table."""
    return torch.where(ids < 0, count, ids)  # model-R18


def constant_parameters(arrays: Iterable[Array]) -> nn.ParameterList:
    """Return arrays as parameters without gradients."""
    return nn.ParameterList(nn.Parameter(torch.tensor(x), requires_grad=False) for x in arrays)
