"""The loss of a batch and all gradients, without padding, in blocks of users.

Spec: specs/model.md; the functions `loss` and `backward` of `mindref.models.mind` in the phases of
forward.py, with more to do in each, and a last one:

    blocks   routing, layers, attention and loss of a block of users, and back from there
    items    what all users together send to items; adam.py has it done as it moves them
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.kernels import embedding
from mindref.kernels.fused.checks import check_batch
from mindref.kernels.fused.forward import ITEMS, Forward
from mindref.kernels.fused.layers import Trained, parts_of
from mindref.kernels.fused.layout import merged, sort_by_item
from mindref.kernels.fused.shared import Shares, Uses, unite
from mindref.kernels.fused.stack import add_profiles
from mindref.kernels.fused.team import Task
from mindref.kernels.fused.there_and_back import (
    Asked,
    Numbers,
    Side,
    Written,
    there_and_back,
    through_turn,
    turn,
)
from mindref.kernels.fused.to_items import ByCapsule, ByVote, ToItems
from mindref.kernels.fused.workspace import Workspace, slices
from mindref.kernels.product import product_by_rows, steady
from mindref.models import mind
from mindref.models.parameters import Catalogue, Gradients, Layer, Params
from mindref.ops.embedding import RowGradient, Saved
from mindref.ops.squash import KINDS
from mindref.shapes import Array


class Step(Forward):
    """From a batch to its loss and all gradients."""

    LAYERS = Trained
    BACK = True
    layers: Trained
    user: Side
    target: Side
    d_user: Array  # (B, D)
    d_target: Array
    scores: Array  # (B, K)
    weights: Array
    less: Array  # (B,) gradients of the targets' products
    d_users: Array  # (B, K, D) of interests
    d_profile: Array  # (B, P)
    to_items: ToItems

    def __init__(
        self,
        work: Workspace,
        params: Params,
        batch: mind.Batch,
        catalogue: Catalogue,
        config: Config,
    ) -> None:
        """Look at what is given."""
        check_batch(work, params, batch, config)
        others = (batch.target, batch.negatives)
        super().__init__(work, params, batch.histories, catalogue, config, others)
        self.batch, self.nothing = batch, np.empty(0, self.dtype)
        power = config.power if config.attention == "label" else 0.0  # model-R14
        scale = 1 / self.users / config.temperature
        self.numbers = Numbers(float(power), *map(self.dtype.type, (config.temperature, scale)))
        self.unit = KINDS.index("unit") if config.normalise else None

    def lay_out(self) -> None:
        """Find room for the gradients of items, too."""
        super().lay_out()
        behaviours = len(self.layout.order)
        self.at_target = self.layout.place[behaviours : behaviours + self.users]
        self.d_vectors = self.room("d_vectors", *self.vectors.shape)
        way = ByVote if self.exact else ByCapsule  # routing-R12
        self.to_items = way(self)

    def prepare(self) -> None:
        """Make ready for the way back as well."""
        super().prepare()
        self.losses = [0.0] * self.layers.parts  # the sum over each block

    def rooms(self) -> dict[str, Any]:
        """Return room for the way back, too."""
        users, count, width = self.users, self.count, self.width
        shapes = {
            **dict.fromkeys(("d_user", "d_target"), (users, width)),
            **dict.fromkeys(("scores", "weights"), (users, count)),
            "less": (users,),
            "d_users": (users, count, width),
            "d_profile": self.layers.stack.profile.shape,
        }
        mine = {name: self.room(name, *shape) for name, shape in shapes.items()}
        sides = {name: self.side(name, users) for name in ("user", "target")}
        return {**super().rooms(), **mine, **sides}

    def side(self, name: str, rows: int) -> Side:
        """Find room for one side of the products."""
        x = self.room(name, rows, self.width)
        if not self.config.normalise:
            return Side(x, x, x, self.nothing, self.nothing)
        rest = [self.room(f"{name}_{n}", rows) for n in ("across", "along")]
        used, unit = (self.room(f"{name}_{n}", rows, self.width) for n in ("used", "unit"))
        return Side(x, used, unit, rest[0], rest[1])

    def look_ups(self) -> Iterator[Task]:
        """Yield what needs the layout alone, first what leaves more."""
        yield self.merge
        yield from super().look_ups()

    def blocks(self) -> Iterator[Task]:
        """Yield what is done for each block of users by itself, and what may be done beside it."""
        self.asked = Asked(
            self.vectors,
            self.at_target,
            self.drawn.place,
            steady(self.batch.target_log_expected),
            self.drawn.log_expected,
            self.negatives.used,
        )
        self.written = Written(
            self.found,
            self.scores,
            self.weights,
            self.user,
            self.target,
            self.p,
            self.less,
            self.d_user,
            self.d_target,
            self.d_users,
        )
        for block in slices(self.users, self.layers.length):
            yield partial(self.block, block)
        yield self.order

    def items_of_all(self) -> Iterator[Task]:
        """Yield what is left when all users are done."""
        for block in slices(len(self.d_vectors), ITEMS):
            yield partial(self.to_item, block)

    def loss_of_all(self) -> Any:
        """Return the loss, when all users are done."""
        return self.dtype.type(sum(self.losses) / self.users)  # sampled_softmax-R5

    def merge(self) -> None:
        """Find the negatives, each once, and room for them; leave the look-ups of their vectors."""
        self.drawn = merged(self.work, self.batch, self.layout)
        count, parts = len(self.drawn.ids), parts_of(self.users)
        self.negatives, self.p = self.side("negatives", count), self.room("p", self.users, count)
        self.d_negatives = self.room("d_negatives", parts, count, self.width)
        self.work.leave(partial(self.negative_items, block) for block in slices(count, ITEMS))

    def negative_items(self, block: slice) -> None:
        """Write the vectors of negatives, without waiting for those of the distinct items."""
        ids = self.drawn.ids[block]
        rows = np.empty((len(ids), self.catalogue.rows.shape[1]), self.catalogue.rows.dtype)
        weights = np.empty(rows.shape, self.dtype)
        self.look_up(ids, rows, weights, self.negatives.vectors[block])
        self.normalise(self.negatives, block)

    def block(self, block: slice) -> None:
        """Take a block of users to their losses and back; leave what can be done by any thread."""
        self.route(block)
        layers, at = self.layers, self.layers.at(block)
        given = (self.rounds.capsules[-1], layers.active, self.asked, self.written, self.numbers)
        loss, count = there_and_back(at, layers.stack, layers.way, *given, self.unit)
        self.losses[at.part] = loss
        senders = layers.senders(at, count)
        if self.d_profile.size:
            self.d_profile[block] = 0
            add_profiles(senders.d_joined, senders.places, self.count, self.d_profile)
        self.to_items.users(self, block, senders)
        self.work.leave([partial(self.to_negatives, block)])

    def to_negatives(self, block: slice) -> None:
        """Write what a block of users sends to the negatives."""
        d = self.d_negatives[self.layers.part(block)]
        product_by_rows(self.p[block], self.user.used[block], d)  # sampled_softmax-R11
        self.through_unit(self.negatives, slice(0, len(d)), d)

    def order(self) -> None:
        """Find the behaviours of each item, in their order."""
        layout = self.layout
        sort_by_item(layout.place[: len(layout.order)], layout.order, layout.bounds)

    def to_item(self, block: slice) -> None:
        """Write what all users send to a block of items: as behaviours, targets and negatives."""
        unite(*self.to_unite(block))

    def to_unite(self, block: slice) -> tuple[Shares | None, Uses, int, int, Array]:
        """Do what comes before `unite` for a block of items, and return the arguments of that.

        Shares are returned for no behaviours, too, so that they have one type.
        """
        d_vectors, shares = self.d_vectors[block], None
        voting = min(len(d_vectors), max(0, self.layout.voting - block.start))
        if voting > 0 or not self.exact:
            behaviours = slice(block.start, block.start + voting)
            shares = self.to_items.items(self, behaviours, d_vectors[:voting])
        uses = Uses(self.d_target[None], self.at_target, self.d_negatives, self.drawn.place)
        return shares, uses, voting, block.start, d_vectors

    def normalise(self, side: Side, block: slice) -> None:
        """Write the directions of some vectors, if the loss wants directions."""
        if self.unit is not None:
            turn(side, block.start, block.stop, self.unit)

    def through_unit(self, side: Side, block: slice, d: Array) -> None:
        """Turn the gradient of some directions into that of vectors, in place."""
        if self.unit is not None:
            through_turn(side, block.start, block.stop, self.unit, d)

    def parts(self) -> dict[str, Array]:
        """Return what blocks sent to matrices and biases, under the names of parameters."""
        named = {"bilinear": self.to_items.d_bilinears}
        for i in range(len(self.params.layers)):
            named[f"layers.{i}.weight"] = self.layers.way.d_weights[i]
            named[f"layers.{i}.bias"] = self.layers.way.d_biases[i]
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
        """Return the gradient of the table of items, rows ascending, after `items_of_all`."""
        saved = Saved(self.item_rows, self.item_weights, self.width)
        return embedding.backward(self.d_vectors, saved)

    def loss_and_gradients(self) -> tuple[Any, Gradients]:
        """Return the loss and all gradients in memory of their own."""
        self.work.run([*self.phases(), self.items_of_all])
        items, profile = self.item_gradient(), self.profile_gradient()
        dense = {name: sum_of(parts) for name, parts in self.parts().items()}  # in no buffer
        layers = tuple(
            Layer(dense[f"layers.{i}.weight"], dense[f"layers.{i}.bias"])
            for i in range(len(self.params.layers))
        )
        return self.loss_of_all(), Gradients(items, profile, dense["bilinear"], layers)


def sum_of(parts: Array) -> Array:
    """Return the sum over the blocks, in their order."""
    total: Array = np.add.reduce(parts, axis=0)
    return total
