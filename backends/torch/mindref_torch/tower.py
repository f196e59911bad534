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
from mindref_torch.mind_plus import item_votes
from mindref_torch.model import Histories, UserParameters, active_interests, map_to_interests
from mindref_torch.squash import squash


class Tower(nn.Module):  # type: ignore[misc]  # the framework has no types
    """The user tower of a model: histories and profiles to interests and active interests."""

    def __init__(self, user_tower: UserTower) -> None:
        super().__init__()
        self.config = user_tower.config
        for name in ("items", "logits", "profile", "bilinear", "positions"):
            self.register_buffer(name, torch.tensor(getattr(user_tower, name)))
        self.weights = constant_parameters(layer.weight for layer in user_tower.layers)
        self.biases = constant_parameters(layer.bias for layer in user_tower.layers)

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
        history = F.embedding(ids, self.items).masked_fill(~mask[..., None], 0)  # 1, model-R1
        if profile is None:
            profile = ids.new_zeros(ids.shape[0], 0)  # len would make the size constant
        profile_rows = mask_negative_ids(profile, len(self.profile))
        profiles = F.embedding(profile_rows, self.profile).flatten(1)  # 2, model-R2 (B, G Q)
        layers = list(zip(self.weights, self.biases, strict=True))
        parameters = UserParameters(self.positions, layers)
        logits = F.embedding(ids, self.logits)  # model-R16
        histories = Histories(ids, mask, logits, profile)
        active = active_interests(lengths, config)
        votes = item_votes(self.bilinear, history, config)
        x = map_to_interests(parameters, votes, profiles, histories, active, config)  # 3 to 6
        return squash(x, kind="unit") if config.normalise else x, active  # model-R19

    def mask_recent(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask of the last `window` behaviours (B, L) and their number (B,).

        The input mask has one padded position more than the histories. Therefore the position
        [:, -1] exists even if L = 0.
        """
        position = mask.to(torch.int64).cumsum(1)
        lengths, window = position[:, -1:], self.config.window
        return mask & (position > lengths - window), lengths[:, 0].clamp(max=window)


def mask_negative_ids(ids: Tensor, count: int) -> Tensor:
    """Return ids with negative ids replaced by `count`, which is outside the table."""
    return torch.where(ids < 0, count, ids)  # model-R18


def constant_parameters(arrays: Iterable[Array]) -> nn.ParameterList:
    """Return arrays as parameters without gradients."""
    return nn.ParameterList(nn.Parameter(torch.tensor(x), requires_grad=False) for x in arrays)
