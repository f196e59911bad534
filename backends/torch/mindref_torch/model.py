"""MIND as a module of PyTorch: histories to interests, and a batch to its loss.

Spec: specs/model.md. The names of its state_dict are those under which mindref stores parameters.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mindref.config import Config
from mindref_torch.checks import bind, boolean
from mindref_torch.embedding import check_rows, embedding
from mindref_torch.label_attention import label_attention
from mindref_torch.relu_layer import relu_layer
from mindref_torch.routing import routing
from mindref_torch.sampled_softmax import sampled_softmax


class Histories(NamedTuple):
    """What is known of users when they are served."""

    items: Tensor  # (B, L) ids, padded with anything
    mask: Tensor  # (B, L) true for a behaviour
    init_logits: Tensor  # (B, L, K)
    profile: Tensor  # (B, G) rows of the profile table; G may be 0


class Batch(NamedTuple):
    """What a training step sees."""

    histories: Histories
    target: Tensor  # (B,)
    negatives: Tensor  # (S,)
    target_log_expected: Tensor  # (B,)
    negative_log_expected: Tensor  # (S,)


class Affine(nn.Module):  # type: ignore[misc]  # no types are asked of a framework
    """The parameters of one layer, in the layout of mindref: weight (I, O) and bias (O,)."""

    def __init__(self, inputs: int, outputs: int, like: Tensor) -> None:
        super().__init__()
        self.weight = normal((inputs, outputs), 2 / inputs, like)  # model-R20
        self.bias = nn.Parameter(like.new_zeros(outputs))

    def forward(self, x: Tensor, *, relu: bool) -> Tensor:
        """Map x (M, I) to (M, O)."""
        return relu_layer(x, self.weight, self.bias, relu=relu)


class MIND(nn.Module):  # type: ignore[misc]  # the same
    """The model of a configuration, for items that a catalogue makes of rows of one table.

    rows and weights (N, F) are the catalogue: which rows of the item table make up each item, and
    how much each counts; parameters have the type and the device of the weights. A user has
    `features` rows of a profile table of `profiles` rows. With `sparse` the gradients of both
    tables are sparse tensors, as torch.optim.SparseAdam takes them.

    >>> model = MIND(Config(width=8), torch.arange(100)[:, None], torch.ones(100, 1))
    >>> sorted(model.state_dict())[:2]
    ['bilinear', 'items']
    """

    def __init__(
        self,
        config: Config,
        rows: Tensor,
        weights: Tensor,
        *,
        profiles: int = 0,
        features: int = 0,
        sparse: bool = False,
    ) -> None:
        super().__init__()
        self.config, self.sparse = config, sparse
        width = config.width
        count = int(rows.max()) + 1 if rows.numel() else 0
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("weights", weights, persistent=False)
        self.items = normal((count, width), 1 / width, weights)
        self.profile = normal((profiles, config.profile_width), 1 / width, weights)
        self.bilinear = normal((width, width), 1 / width, weights)
        widths = (width + features * config.profile_width, *config.hidden, width)  # model-R21
        self.layers = nn.ModuleList(Affine(i, o, weights) for i, o in pairwise(widths))

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss () of a batch: histories, target, negatives and their logs.

        Raises ShapeError for an item that the catalogue does not have.
        """
        # one look-up: sparse gradients of several would be added up in an order of their own
        histories = batch.histories
        check_histories(histories)
        ids = self.looked_up(batch)
        vectors = self.item_vectors(torch.cat(ids)).split([len(x) for x in ids])
        behaviours, target, negatives = vectors  # 1 to 3, model-R10
        history, profile = self.laid_out(behaviours, histories)
        return self.loss_of(history, profile, target, negatives, batch)

    def loss_of(
        self, history: Tensor, profile: Tensor, target: Tensor, negatives: Tensor, batch: Batch
    ) -> Tensor:
        """Return the loss () of a batch from vectors that have been looked up.

        history (B, L, D), profile (B, G Q), target (B, D), negatives (S, D). Sizes depend on those
        of the batch alone, so this is what `compiled.py` makes one graph of.
        """
        users, active = self.interests_of(history, profile, batch.histories)
        power = self.config.power if self.config.attention == "label" else 0.0  # model-R14
        user = label_attention(users, target, active, power=power)  # 4
        return sampled_softmax(  # 5
            user,
            target,
            negatives,
            batch.target,
            batch.negatives,
            batch.target_log_expected,
            batch.negative_log_expected,
            temperature=self.config.temperature,
            normalise=self.config.normalise,
        )

    def looked_up(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the items of a batch: all behaviours one after the other, targets, negatives."""
        return batch.histories.items[batch.histories.mask], batch.target, batch.negatives

    def interests(self, histories: Histories) -> tuple[Tensor, Tensor]:
        """Map histories to interests (B, K, D), zero where inactive, and active (B, K).

        histories has items (B, L), mask (B, L), init_logits (B, L, K) and profile (B, G).
        """
        check_histories(histories)
        behaviours = self.item_vectors(histories.items[histories.mask])
        return self.interests_of(*self.laid_out(behaviours, histories), histories)

    def laid_out(self, behaviours: Tensor, histories: Histories) -> tuple[Tensor, Tensor]:
        """Return history (B, L, D) from the vectors of all behaviours, and the profiles (B, G Q).

        The vectors stand one after the other; a padded place is zero.
        """
        mask, width = histories.mask, behaviours.shape[1]
        places = mask.flatten().nonzero()[:, 0]
        history = behaviours.new_zeros(mask.numel(), width)
        history = history.index_copy(0, places, behaviours)  # model-R8: a pad is not looked up
        return history.view(*mask.shape, width), self.profile_vectors(histories.profile)

    def interests_of(
        self, history: Tensor, profile: Tensor, histories: Histories
    ) -> tuple[Tensor, Tensor]:
        """Return interests and active from the vectors of behaviours and of profiles."""
        capsules, active = self.capsules(history, histories)  # 1 to 3
        users, interests, _ = capsules.shape
        beside = profile[:, None].expand(users, interests, profile.shape[1])
        x = torch.cat([capsules, beside], 2).flatten(0, 1)  # 4, model-R4
        last = len(self.layers) - 1
        for place, layer in enumerate(self.layers):  # 5, model-R5
            x = layer(x, relu=self.config.last_relu or place < last)
        return x.view_as(capsules).masked_fill(~active[..., None], 0), active  # 6, model-R6

    def capsules(self, history: Tensor, histories: Histories) -> tuple[Tensor, Tensor]:
        """Return capsules (B, K, D), and which interests are active (B, K)."""
        config, mask = self.config, histories.mask
        active = self.active_interests(mask.sum(1))
        dynamic, logits = config.routing == "dynamic", histories.init_logits
        capsules, _ = routing(
            history,
            mask,
            self.bilinear,
            logits if dynamic else torch.zeros_like(logits),  # model-R12
            active,
            iterations=config.iterations if dynamic else 1,
            gradient=config.routing_gradient,  # model-R11
            axis=config.routing_axis,
            kind=config.squash,  # model-R13
        )
        return capsules, active

    def active_interests(self, lengths: Tensor) -> Tensor:
        """Return which interests users have (B, K), from their numbers of behaviours (B,)."""
        most = self.config.interests
        if self.config.interest_count == "log2":
            # the second interest begins at 2^2 behaviours, the third at 2^3; no length is 2^63
            starts = 2 ** torch.arange(2, min(most, 62) + 1, device=lengths.device)
            count = 1 + (lengths[:, None] >= starts).sum(1)  # model-R3, routing-R10
        else:
            count = torch.where(lengths > 0, most, 1)  # model-R7
        return torch.arange(most, device=lengths.device) < count[:, None]

    def item_vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (M, D) of items (M,): id and side features, averaged (model-R1)."""
        check_rows("items", ids, len(self.rows))  # model-R18
        return embedding(self.items, self.rows[ids], self.weights[ids], sparse=self.sparse)

    def profile_vectors(self, rows: Tensor) -> Tensor:
        """Return the vectors of the user features, side by side (B, G Q) (model-R2)."""
        each = rows.reshape(-1, 1)
        ones = torch.ones_like(each, dtype=self.profile.dtype)
        vectors = embedding(self.profile, each, ones, sparse=self.sparse)
        return vectors.reshape(len(rows), rows.shape[1] * vectors.shape[1])


def check_histories(histories: Histories) -> None:
    """Raise ShapeError unless histories fit each other: their mask is an index before all else."""
    items, mask, logits, profile = histories
    boolean("histories", mask=mask)
    bind(
        "histories",
        items=(items, "BL"),
        mask=(mask, "BL"),
        init_logits=(logits, "BLK"),
        profile=(profile, "BG"),
    )


def normal(shape: tuple[int, int], variance: float, like: Tensor) -> nn.Parameter:
    """Return a parameter drawn from N(0, variance), of the type and on the device of a tensor."""
    drawn = torch.randn(shape, dtype=like.dtype, device=like.device)
    return nn.Parameter(variance**0.5 * drawn)
