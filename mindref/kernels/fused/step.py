"""The loss of a batch and all gradients, without padding, in blocks of users.

Spec: specs/model.md; the functions `loss` and `backward` of `mindref.models.mind` in three phases,
each cut into blocks that write to places of their own (workspace.py):

    items    vectors of the distinct items, and their votes
    users    routing, layers, attention and loss of a block of users, and back to their capsules
    shared   what all users together send to matrices and to items
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.kernels import embedding, label_attention, sampled_softmax, squash
from mindref.kernels.fused.checks import check_batch
from mindref.kernels.fused.forward import ITEMS, Forward, do
from mindref.kernels.fused.layers import Trained, add_profiles, block_length
from mindref.kernels.fused.layout import merged
from mindref.kernels.fused.shared import add_rows
from mindref.kernels.fused.to_items import ByCapsule, ByVote, ToItems
from mindref.kernels.fused.workspace import Workspace, slices
from mindref.models import mind
from mindref.models.parameters import Catalogue, Gradients, Layer, Params
from mindref.ops.embedding import RowGradient, Saved
from mindref.ops.squash import KINDS
from mindref.shapes import Array

COLUMNS = 256  # a block of negatives, in the product over all users


class Side(NamedTuple):
    """Users, targets or negatives in the products of the loss."""

    vectors: Array  # (M, D)
    used: Array  # (M, D) of length one if `normalise`, else the same array
    d: Array  # (M, D) gradient
    unit: Array  # (M, D) directions, and slopes: see ops/squash.py; only for `normalise`
    across: Array  # (M,)
    along: Array  # (M,)


class Step(Forward):
    """From a batch to its loss and all gradients."""

    LAYERS = Trained
    BACK = True
    layers: Trained

    def __init__(
        self,
        work: Workspace,
        params: Params,
        batch: mind.Batch,
        catalogue: Catalogue,
        config: Config,
    ) -> None:
        """Lay out a batch, and find room for the vectors of its items and negatives."""
        check_batch(work, params, batch, config)
        others = (batch.target, batch.negatives)
        super().__init__(work, params, batch.histories, catalogue, config, others)
        self.batch, self.nothing = batch, np.empty(0, self.dtype)
        self.power = config.power if config.attention == "label" else 0.0  # model-R14
        behaviours, users = len(self.layout.logits), self.users
        self.at_target = self.layout.place[behaviours : behaviours + users]
        self.drawn = merged(work, batch, self.layout)
        self.negatives = self.side("negatives", len(self.drawn.ids))

    def prepare(self) -> None:
        """Find room for the way back as well."""
        super().prepare()
        users, count, width = self.users, self.count, self.width
        self.user = self.side("user", users)
        self.target = self.side("target", users)
        self.d_query = self.room("d_query", users, width)
        self.scores = self.room("scores", users, count)
        self.weights = self.room("weights", users, count)
        self.p = self.room("p", users, len(self.drawn.ids))
        # logit of the target and later its gradient; lead of the best negative over it; losses
        self.mine, self.lead, self.losses = (
            self.room(name, users) for name in ("mine", "lead", "losses")
        )
        self.d_users = self.room("d_users", users, count, width)
        self.d_profile = self.room("d_profile", *self.layers.profile.shape)
        self.d_vectors = self.room("d_vectors", *self.vectors.shape)
        way = ByVote if self.exact else ByCapsule  # routing-R12
        self.to_items: ToItems = way(self)

    def side(self, name: str, rows: int) -> Side:
        """Find room for one side of the products."""
        x, d = self.room(name, rows, self.width), self.room(f"d_{name}", rows, self.width)
        if not self.config.normalise:
            return Side(x, x, d, x, self.nothing, self.nothing)
        rest = [self.room(f"{name}_{n}", rows) for n in ("across", "along")]
        used, unit = (self.room(f"{name}_{n}", rows, self.width) for n in ("used", "unit"))
        return Side(x, used, d, unit, rest[0], rest[1])

    def run_step(self) -> Any:
        """Do all three phases; return the loss. What is left is `uses_of_all`."""
        work = self.work
        work.each(do, self.look_ups())
        work.each(self.block, slices(self.users, block_length(self.users)))
        work.each(do, self.tasks())
        return self.losses.mean(dtype=self.dtype)  # sampled_softmax-R5

    def look_ups(self) -> Iterator[Callable[[], None]]:
        """Yield what comes before the users."""
        yield from super().look_ups()
        for block in slices(len(self.drawn.ids), ITEMS):
            yield partial(self.negative_items, block)

    def negative_items(self, block: slice) -> None:
        """Write the vectors of negatives, without waiting for those of the distinct items."""
        ids = self.drawn.ids[block]
        shape = (len(ids), self.catalogue.rows.shape[1])
        rows = np.empty(shape, self.catalogue.rows.dtype)
        self.look_up(ids, rows, np.empty(shape, self.dtype), self.negatives.vectors[block])
        self.normalise(self.negatives, block)

    def block(self, block: slice) -> None:
        """Take a block of users to their losses and back."""
        self.interests(block)
        self.loss(block)
        self.backward(block)

    def loss(self, block: slice) -> None:
        """Attention and sampled softmax, there and back to the gradients of both sides."""
        at = self.at_target[block]
        np.take(self.vectors, at, axis=0, out=self.target.vectors[block], mode="clip")
        self.normalise(self.target, block)
        batch, interests = self.batch, self.found[block]
        active, scores, weights = self.active[block], self.scores[block], self.weights[block]
        target, user = self.target.vectors[block], self.user.vectors[block]
        attention = (interests, target, active, self.power, scores, weights, user)
        label_attention.attend(*attention)  # 4; also sets inactive interests to zero, model-R6
        self.normalise(self.user, block)
        used, its, p = self.user.used[block], self.target.used[block], self.p[block]
        mine, lead, losses = self.mine[block], self.lead[block], self.losses[block]
        np.matmul(used, self.negatives.used.T, out=p)  # 5
        sampled_softmax.level(
            used,
            its,
            batch.target[block],
            self.drawn.ids,
            batch.target_log_expected[block],
            self.drawn.log_expected,
            self.dtype.type(self.config.temperature),
            p,
            mine,
            lead,
        )
        np.exp(p, out=p)
        scale = self.dtype.type(1 / self.users / self.config.temperature)
        sampled_softmax.lose(p, lead, scale, losses, mine)
        np.matmul(p, self.negatives.used, out=self.user.d[block])
        sampled_softmax.scatter(mine, used, its, self.user.d[block], self.target.d[block])
        self.through_unit(self.user, block)

    def backward(self, block: slice) -> None:
        """From the gradient of the users' vectors to what their capsules send."""
        label_attention.attend_backward(
            self.user.d[block],
            self.found[block],
            self.target.vectors[block],
            self.scores[block],
            self.weights[block],
            self.power,
            self.d_users[block],
            self.d_query[block],
        )
        senders = self.layers.backward(block, self.weights, self.d_users)
        if self.d_profile.size:
            self.d_profile[block] = 0
            add_profiles(senders.d_joined, senders.places, self.count, self.d_profile)
        self.to_items.users(self, block, senders)

    def tasks(self) -> Iterator[Callable[[], None]]:
        """Yield what is left when all users are done, the longest first."""
        for block in slices(self.layout.voting, ITEMS):
            yield partial(self.items_of_all, block)
        for block in slices(len(self.drawn.ids), COLUMNS):
            yield partial(self.negatives_of_all, block)
        yield self.targets_of_all

    def negatives_of_all(self, block: slice) -> None:
        """Write what all users send to a block of negatives."""
        np.matmul(self.p[:, block].T, self.user.used, out=self.negatives.d[block])
        self.through_unit(self.negatives, block)

    def targets_of_all(self) -> None:
        """Add up what the targets get as such and as queries."""
        self.through_unit(self.target, slice(0, self.users))
        self.target.d[:] += self.d_query  # model-R9

    def items_of_all(self, block: slice) -> None:
        """Write what all behaviours send to a block of items, and by way of it to S."""
        self.to_items.items(self, block, self.d_vectors[block])

    def uses_of_all(self, block: slice) -> None:
        """Add to a block of items what they get as targets and as negatives."""
        self.d_vectors[max(block.start, self.layout.voting) : block.stop] = 0
        for side, at in ((self.target, self.at_target), (self.negatives, self.drawn.place)):
            add_rows(side.d, at, block.start, self.d_vectors[block])  # model-R10: three uses

    def normalise(self, side: Side, block: slice) -> None:
        """Write the directions of some vectors, if the loss wants directions."""
        if self.config.normalise:
            squash.shorten(
                side.vectors[block],
                KINDS.index("unit"),
                side.used[block],
                side.unit[block],
                side.across[block],
                side.along[block],
            )

    def through_unit(self, side: Side, block: slice) -> None:
        """Turn the gradient of directions into that of vectors, in place."""
        if self.config.normalise:
            slopes = (side.unit[block], side.across[block], side.along[block])
            squash.shorten_backward(side.d[block], *slopes, side.d[block])

    def parts(self) -> dict[str, Array]:
        """Return what blocks sent to matrices and biases, under the names of parameters."""
        named = {"bilinear": self.to_items.d_bilinears}
        for i in range(len(self.params.layers)):
            named[f"layers.{i}.weight"] = self.layers.d_weights[i]
            named[f"layers.{i}.bias"] = self.layers.d_biases[i]
        return named

    def profile_gradient(self) -> RowGradient:
        """Return the gradient of the table of user features."""
        rows = self.batch.histories.profile.reshape(-1, 1)
        if not rows.size:
            return RowGradient(rows[:, 0], np.zeros((0, self.params.profile.shape[1]), self.dtype))
        ones = np.ones(rows.shape, self.dtype)
        width = self.params.profile.shape[1]
        d_rows = self.d_profile.reshape(len(rows), width)
        return embedding.backward(d_rows, Saved(rows, ones, width))

    def item_gradient(self) -> RowGradient:
        """Return the gradient of the table of items, rows ascending."""
        self.work.each(self.uses_of_all, slices(len(self.d_vectors), ITEMS))
        saved = Saved(self.item_rows, self.item_weights, self.width)
        return embedding.backward(self.d_vectors, saved)

    def gradients(self) -> Gradients:
        """Return all gradients in memory of their own."""
        dense = {name: sum_of(parts) for name, parts in self.parts().items()}  # in no buffer
        layers = tuple(
            Layer(dense[f"layers.{i}.weight"], dense[f"layers.{i}.bias"])
            for i in range(len(self.params.layers))
        )
        items, profile = self.item_gradient(), self.profile_gradient()
        return Gradients(items, profile, dense["bilinear"], layers)


def sum_of(parts: Array) -> Array:
    """Return the sum over the blocks, in their order."""
    total: Array = np.add.reduce(parts, axis=0)
    return total
