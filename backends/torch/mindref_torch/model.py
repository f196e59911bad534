"""MIND and mind_plus as a PyTorch module: interests of histories, and the loss of a batch.

Spec: specs/model.md, specs/mind_plus.md. The state_dict has the parameter names that mindref uses
in files.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mindref.config import Config
from mindref.models.mind_plus import ages
from mindref_torch.embedding import check_row_indices, embedding
from mindref_torch.label_attention import label_attention
from mindref_torch.mind_plus import apply_dropout, check_ages, item_votes, weigh_by_age
from mindref_torch.pooled_softmax import pooled_softmax
from mindref_torch.relu_layer import first_layer, relu_layer
from mindref_torch.routing import route_votes
from mindref_torch.sampled_softmax import sampled_softmax
from mindref_torch.shapes import bind_axes, require_bool


class Histories(NamedTuple):
    """Histories of users: the input at serving."""

    items: Tensor  # (B, L) ids; padding may have any value
    mask: Tensor  # (B, L) true for a behaviour
    init_logits: Tensor  # (B, L, K)
    profile: Tensor  # (B, G) rows of the profile table; G may be 0


class Batch(NamedTuple):
    """The input of a training step."""

    histories: Histories
    target: Tensor  # (B,)
    negatives: Tensor  # (S,)
    target_log_expected: Tensor  # (B,)
    negative_log_expected: Tensor  # (S,)
    keep: Tensor | None = None  # (B, L, D) factors of the behaviours' vectors, for dropout


class Affine(nn.Module):  # type: ignore[misc]  # the framework has no types
    """The parameters of one layer, in the layout of mindref: weight (I, O) and bias (O,)."""

    def __init__(self, inputs: int, outputs: int, like: Tensor) -> None:
        super().__init__()
        self.weight = normal_parameter((inputs, outputs), 2 / inputs, like)  # model-R20
        self.bias = nn.Parameter(like.new_zeros(outputs))


class MIND(nn.Module):  # type: ignore[misc]  # the framework has no types
    """MIND or mind_plus for a configuration and a catalogue of items.

    rows and weights (N, F) are the catalogue: the vector of an item is the weighted sum of these
    rows of the item table. Parameters have the dtype and the device of the weights. A user has
    `features` rows of a profile table with `profiles` rows. With `sparse` the gradients of both
    tables are sparse tensors, as torch.optim.SparseAdam requires.

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
        self.has_zero_weights = True  # possibly; `set_catalogue` examines the weights
        self.items = normal_parameter((count, width), 1 / width, weights)
        self.profile = normal_parameter((profiles, config.profile_width), 1 / width, weights)
        votes = width if config.votes == "matrix" else 0  # mind_plus-R8
        self.bilinear = normal_parameter((votes, votes), 1 / width, weights)
        self.positions = None
        if config.model == "mind_plus":
            positions = torch.as_tensor(ages.start(config)).to(weights)  # mind_plus-R2
            self.positions = nn.Parameter(positions)
        inputs = width + features * config.profile_width + config.contexts * width
        widths = (inputs, *config.hidden, width)  # model-R21, mind_plus-R20
        pairs = [] if config.head == "none" else pairwise(widths)  # mind_plus-R11
        self.layers = nn.ModuleList(Affine(i, o, weights) for i, o in pairs)
        if config.initial_matrices == "identity":  # mind_plus-R23
            nn.init.eye_(self.bilinear)
            if config.head == "residual":
                nn.init.zeros_(self.layers[-1].weight)

    def forward(self, batch: Batch) -> Tensor:
        """Return the mean loss () of a batch.

        Raises ShapeError for an item that is not in the catalogue.
        """
        histories = batch.histories
        check_histories(histories)
        # 1 to 3, model-R10: each distinct item is looked up once
        vectors, index = self.distinct_vectors(torch.cat(self.batch_item_ids(batch)))
        others = len(batch.target), len(batch.negatives)
        behaviours, others_index = index.split([len(index) - sum(others), sum(others)])
        votes = self.padded_votes(vectors, behaviours, histories.mask, batch.keep)
        target, negatives = vectors.index_select(0, others_index).split(others)
        return self.loss_from_votes(
            votes,
            self.profile_vectors(histories.profile),
            target,
            negatives,
            batch._replace(keep=None),
        )

    def loss_from_votes(
        self, votes: Tensor, profile: Tensor, target: Tensor, negatives: Tensor, batch: Batch
    ) -> Tensor:
        """Return the loss () of a batch from the votes and the vectors of its items.

        votes (B, L, D), profile (B, G Q), target (B, D), negatives (S, D). All sizes depend only
        on the sizes of the batch, so `compiled.py` compiles this method as one graph.
        """
        config = self.config
        users, active = self.interests_from_votes(votes, profile, batch.histories)
        if config.attention == "pooled":  # 4 and 5, mind_plus-R17
            loss_of_users = partial(pooled_softmax, users, active, sharpness=config.sharpness)
        else:
            power = config.effective_power  # model-R14
            user = label_attention(users, target, active, power=power)  # 4
            loss_of_users = partial(sampled_softmax, user)  # 5
        return loss_of_users(
            target,
            negatives,
            batch.target,
            batch.negatives,
            batch.target_log_expected,
            batch.negative_log_expected,
            temperature=config.temperature,
            normalise=config.normalise,
        )

    def batch_item_ids(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Return the ids of all behaviours (M,), of the targets (B,) and of the negatives (S,)."""
        return batch.histories.items[batch.histories.mask], batch.target, batch.negatives

    def interests(self, histories: Histories) -> tuple[Tensor, Tensor]:
        """Map histories to interests v (B, K, D), zero where inactive, and active (B, K).

        Histories have items (B, L), mask (B, L), init_logits (B, L, K) and profile (B, G).
        """
        check_histories(histories)
        vectors, behaviours = self.distinct_vectors(histories.items[histories.mask])
        votes = self.padded_votes(vectors, behaviours, histories.mask)
        profile = self.profile_vectors(histories.profile)
        return self.interests_from_votes(votes, profile, histories)

    def distinct_vectors(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Return the vectors of the distinct items (T, D), and the index of each id among them."""
        check_row_indices("items", ids, len(self.rows))  # model-R18
        distinct, index = ids.unique(return_inverse=True)
        return self.item_vectors(distinct), index

    def padded_votes(
        self, vectors: Tensor, behaviours: Tensor, mask: Tensor, keep: Tensor | None = None
    ) -> Tensor:
        """Return the votes (B, L, D) of behaviours (M,), indices of vectors; zero at padding.

        Each distinct item is projected once. With factors of dropout, each behaviour is projected.
        """
        if self.positions is not None:
            check_ages(self.positions, mask, self.config)
        table = F.pad(vectors, (0, 0, 0, 1))  # model-R8: padding reads a last row of zeros
        index = torch.full(mask.shape, len(vectors), device=mask.device)
        index[mask] = behaviours
        index, shape = index.flatten(), (*mask.shape, vectors.shape[1])
        if keep is None:
            return item_votes(self.bilinear, table, self.config).index_select(0, index).view(shape)
        history = apply_dropout(table.index_select(0, index).view(shape), keep)
        return item_votes(self.bilinear, history, self.config)

    def interests_from_votes(
        self, votes: Tensor, profile: Tensor, histories: Histories
    ) -> tuple[Tensor, Tensor]:
        """Return interests (B, K, D) and active (B, K) from votes and vectors of profiles."""
        layers = [(layer.weight, layer.bias) for layer in self.layers]
        parameters = UserParameters(self.positions, layers)
        active = active_interests(histories.mask.sum(1), self.config)
        x = map_to_interests(parameters, votes, profile, histories, active, self.config)
        return x, active

    def item_vectors(self, ids: Tensor) -> Tensor:
        """Return the vectors (M, D) of items (M,): the mean of id and side features (model-R1)."""
        check_row_indices("items", ids, len(self.rows))  # model-R18
        return embedding(self.items, self.rows[ids], self.weights[ids], sparse=self.sparse)

    def profile_vectors(self, rows: Tensor) -> Tensor:
        """Return the concatenated vectors of the user features (B, G Q) (model-R2)."""
        row_ids = rows.reshape(-1, 1)
        ones = torch.ones_like(row_ids, dtype=self.profile.dtype)
        vectors = embedding(self.profile, row_ids, ones, sparse=self.sparse)
        return vectors.reshape(len(rows), rows.shape[1] * vectors.shape[1])


class UserParameters(NamedTuple):
    """The parameters that map votes to interests."""

    positions: Tensor | None  # of mind_plus
    layers: Sequence[tuple[Tensor, Tensor]]  # weight (I, O) and bias (O,) of each layer


def map_to_interests(
    parameters: UserParameters,
    votes: Tensor,
    profile: Tensor,
    histories: Histories,
    active: Tensor,
    config: Config,
) -> Tensor:
    """Return interests v (B, K, D), zero where inactive.

    votes (B, L, D) are zero at padding; profile (B, G Q) are the vectors of the profiles.
    """
    mask, logits, dynamic = histories.mask, histories.init_logits, config.routing == "dynamic"
    capsules, _ = route_votes(  # 3
        votes,
        mask,
        logits if dynamic else torch.zeros_like(logits),  # model-R12
        active,
        weigh_by_age(parameters.positions, mask, config),  # mind_plus-R4
        iterations=config.iterations if dynamic else 1,
        gradient=config.routing_gradient,  # model-R11
        axis=config.routing_axis,
        kind=config.squash,  # model-R13
    )
    capsules, contexts = capsules.tensor_split([config.interests], 1)
    further_inputs = torch.cat([profile, contexts.flatten(1)], 1)  # mind_plus-R9
    x = apply_layers(parameters.layers, capsules, further_inputs, config)
    return x.masked_fill(~active[..., None], 0)  # 6, model-R6, mind_plus-R12


def apply_layers(
    layers: Sequence[tuple[Tensor, Tensor]],
    capsules: Tensor,
    further_inputs: Tensor,
    config: Config,
) -> Tensor:
    """Return (B, K, D) from capsules (B, K, D) and further inputs of the layers (B, I)."""
    if config.head == "none":  # mind_plus-R11
        return capsules
    x = capsules.flatten(0, 1)
    for index, (weight, bias) in enumerate(layers):  # 5, model-R5
        relu = config.last_relu or index < len(layers) - 1
        if index == 0 and further_inputs.shape[1]:  # 4, model-R4
            x = first_layer(capsules, further_inputs, weight, bias, relu=relu)
        else:
            x = relu_layer(x, weight, bias, relu=relu)
    x = x.view_as(capsules)
    return capsules + x if config.head == "residual" else x  # mind_plus-R10


def active_interests(lengths: Tensor, config: Config) -> Tensor:
    """Return the mask of active interests (B, K) for numbers of behaviours (B,)."""
    limit = config.interests
    if config.interest_count == "log2":
        # interest k is active from 2^k behaviours, k >= 2; no length is 2^63
        thresholds = 2 ** torch.arange(2, min(limit, 62) + 1, device=lengths.device)
        num_active = 1 + (lengths[:, None] >= thresholds).sum(1)  # model-R3, routing-R10
    else:
        num_active = torch.where(lengths > 0, limit, 1)  # model-R7
    return torch.arange(limit, device=lengths.device) < num_active[:, None]


def check_histories(histories: Histories) -> None:
    """Raise ShapeError if the shapes of the histories differ or the mask is not boolean."""
    items, mask, logits, profile = histories
    require_bool("histories", mask=mask)
    bind_axes(
        "histories",
        items=(items, "BL"),
        mask=(mask, "BL"),
        init_logits=(logits, "BLK"),
        profile=(profile, "BG"),
    )


def normal_parameter(shape: tuple[int, int], variance: float, like: Tensor) -> nn.Parameter:
    """Return a parameter drawn from N(0, variance), with the dtype and device of `like`."""
    drawn = torch.randn(shape, dtype=like.dtype, device=like.device)
    return nn.Parameter(variance**0.5 * drawn)
