"""The user tower as a module that can be exported: whole histories to interests.

Spec: specs/model.md (serving). The same steps as `MIND.interests`, for a graph that is traced once
and run on any batch: padded all the way, as the vectors of the behaviours alone would have a size
that depends on the mask; and without a look at values, which a graph cannot refuse. The operators
are those of the package.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mindref.models.tower import UserTower
from mindref.shapes import Array
from mindref_torch.relu_layer import relu_layer
from mindref_torch.routing import routing
from mindref_torch.squash import squash


class Tower(nn.Module):  # type: ignore[misc]  # no types are asked of a framework
    """The user tower of a model: histories and profiles to interests and which are active."""

    def __init__(self, parts: UserTower) -> None:
        super().__init__()
        self.config = config = parts.config
        for name in ("items", "logits", "profile", "bilinear"):
            self.register_buffer(name, torch.tensor(getattr(parts, name)))
        self.weights = constants(layer.weight for layer in parts.layers)
        self.biases = constants(layer.bias for layer in parts.layers)
        # the second interest begins at 2^2 behaviours, the third at 2^3; no length is 2^63
        most = min(config.interests, 62)
        starts = [2**k for k in range(2, most + 1)] if config.interest_count == "log2" else []
        self.register_buffer("starts", torch.tensor(starts, dtype=torch.int64))

    def forward(
        self, items: Tensor, mask: Tensor, profile: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Map items (B, L), mask (B, L) and profile (B, G) to interests (B, K, D), active (B, K).

        items are dense ids, oldest first, and may be anything where mask is false; the last
        `window` of those where it is true count. profile holds rows of the profile table; it is
        left out by models without user features. An id that there is not fails in the look-up.
        """
        config = self.config
        mask, lengths = self.recent(F.pad(mask, (0, 1)))
        ids = torch.where(mask, within(F.pad(items, (0, 1)), len(self.items)), 0)  # model-R8
        history = F.embedding(ids, self.items)  # 1, model-R1; what is masked is left to routing
        active = self.active_interests(lengths)
        capsules, _ = routing(  # 3
            history,
            mask,
            self.bilinear,
            F.embedding(ids, self.logits),  # model-R16
            active,
            iterations=config.iterations if config.routing == "dynamic" else 1,  # model-R12
            gradient="last",  # nobody differentiates
            axis=config.routing_axis,
            kind=config.squash,  # model-R13
        )
        x = self.layered(self.joined(capsules, profile))  # 4, 5
        x = torch.where(active[..., None], x.view_as(capsules), 0)  # 6, model-R6
        return squash(x, kind="unit") if config.normalise else x, active  # model-R19

    def recent(self, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mask of the last `window` behaviours (B, L), and how many they are (B, 1).

        The mask has one place more than the histories, never a behaviour, so that there is one to
        look at even where histories have no place at all.
        """
        so_far = mask.to(torch.int64).cumsum(1)
        lengths, window = so_far[:, -1:], self.config.window
        return mask & (so_far > lengths - window), lengths.clamp(max=window)

    def active_interests(self, lengths: Tensor) -> Tensor:
        """Return which interests users have (B, K), from their numbers of behaviours (B, 1)."""
        most = self.config.interests
        if self.config.interest_count == "log2":
            count = 1 + (lengths >= self.starts).to(torch.int64).sum(1, keepdim=True)  # model-R3
        else:
            count = torch.where(lengths > 0, most, 1)  # model-R7
        return torch.arange(most, device=lengths.device) < count

    def joined(self, capsules: Tensor, profile: Tensor | None) -> Tensor:
        """Return [capsule ; profile] for every capsule, as rows (B K, D + G Q) (model-R4)."""
        if profile is None:
            return capsules.flatten(0, 1)
        vectors = F.embedding(within(profile, len(self.profile)), self.profile)  # 2 (B, G, Q)
        beside = vectors.flatten(1)[:, None].expand(-1, capsules.shape[1], -1)  # model-R2
        return torch.cat([capsules, beside], 2).flatten(0, 1)

    def layered(self, x: Tensor) -> Tensor:
        """Return what the layers make of rows: (B K, D + G Q) to (B K, D)."""
        last = len(self.weights) - 1
        for place, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = relu_layer(x, weight, bias, relu=self.config.last_relu or place < last)  # model-R5
        return x


def within(ids: Tensor, count: int) -> Tensor:
    """Return ids with the negative ones beyond the table, as ONNX would count them from its end."""
    return torch.where(ids < 0, count, ids)  # model-R18


def constants(arrays: Iterable[Array]) -> nn.ParameterList:
    """Return arrays as parameters that nobody trains."""
    return nn.ParameterList(nn.Parameter(torch.tensor(x), requires_grad=False) for x in arrays)
