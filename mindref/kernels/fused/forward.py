"""From histories to interests, without padding, in blocks of users.

Spec: specs/model.md; the function `interests` of `mindref.models.mind` in two phases, each cut into
blocks that write to places of their own (workspace.py):

    items       vectors of the distinct items, and their votes
    interests   routing and layers of a block of users
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

from mindref.config import Config
from mindref.kernels import routing
from mindref.kernels.fused.checks import check_model
from mindref.kernels.fused.layers import Layers, block_length
from mindref.kernels.fused.layout import arrange, lay, sort_by_item
from mindref.kernels.fused.look_up import look_up
from mindref.kernels.fused.workspace import Workspace, slices
from mindref.kernels.rounds import route
from mindref.models import mind
from mindref.models.parameters import Catalogue, Params
from mindref.ops.embedding import check_rows
from mindref.ops.routing import AXES
from mindref.ops.squash import KINDS
from mindref.shapes import Array, Bools, Ints

ITEMS = 1024  # a block of distinct items


class Forward:
    """From histories to interests."""

    LAYERS: type[Layers] = Layers
    BACK = False  # whether there is a way back, for which all rounds are kept

    def __init__(
        self,
        work: Workspace,
        params: Params,
        histories: mind.Histories,
        catalogue: Catalogue,
        config: Config,
        others: tuple[Ints, ...] = (),
    ) -> None:
        """Lay out a batch, and find room for the vectors of its items; others: more items."""
        self.work, self.params, self.catalogue, self.config = work, params, catalogue, config
        self.histories, self.dtype = histories, params.items.dtype
        check_model(work, params, histories, catalogue, config)
        self.layout = lay(work, histories, others, len(catalogue.rows))
        used = (len(self.layout.items), catalogue.rows.shape[1])
        self.item_rows = work.array("item_rows", *used, dtype=catalogue.rows.dtype)
        self.item_weights = self.room("item_weights", *used)
        self.users, self.count = len(histories.mask), config.interests
        self.width = params.items.shape[1]
        self.vectors = self.room("vectors", len(self.layout.items), self.width)
        self.votes = self.room("votes", self.layout.voting, self.width)
        self.alone: list[bool] = []  # of each block of items: whether they have rows of their own
        self.dynamic = config.routing == "dynamic"
        several = self.dynamic and config.iterations > 1  # of one round both gradients are one
        self.exact = several and config.routing_gradient == "all"

    def prepare(self) -> None:
        """Make ready what the look-ups do not need, beside them: logits, profiles, room."""
        layout, config = self.layout, self.config
        arrange(self.histories.mask, self.histories.init_logits, layout.logits, layout.owner)
        if not self.dynamic:
            layout.logits[:] = 0  # model-R12
        self.active = mind.active_after(np.diff(layout.starts), config)
        kept = config.iterations if self.exact and self.BACK else 1
        shape = (kept, self.users, self.count)
        self.rounds = routing.Rounds(
            self.room("couplings", kept, len(layout.logits), self.count),
            self.room("capsules", *shape, self.width),
            self.room("unit", *shape, self.width),
            self.room("across", *shape),
            self.room("along", *shape),
        )
        looked_up = self.params.profile[self.histories.profile]  # (B, G, Q)
        profile = looked_up.reshape(self.users, looked_up.shape[1] * looked_up.shape[2])
        self.layers = self.LAYERS(self.work, self.params, self.active, profile, config)
        self.found = self.room("found", self.users, self.count, self.width)
        if self.BACK:
            sort_by_item(layout.place[: len(layout.owner)], layout.order, layout.bounds)

    def room(self, name: str, *shape: int) -> Array:
        """Return a kept array of the type of the parameters."""
        found: Array = self.work.array(name, *shape, dtype=self.dtype)
        return found

    def items(self, block: slice) -> None:
        """Write vectors of distinct items, and votes of those that are behaviours."""
        rows, weights = self.item_rows[block], self.item_weights[block]
        alone = self.look_up(self.layout.items[block], rows, weights, self.vectors[block])
        self.alone.append(alone)
        voting = slice(block.start, min(block.stop, self.layout.voting))
        if voting.start < voting.stop:
            np.matmul(self.vectors[voting], self.params.bilinear.T, out=self.votes[voting])

    def look_up(self, ids: Ints, rows: Ints, weights: Array, vectors: Array) -> bool:
        """Write rows and weights (M, F) of items (M,), which the catalogue has, and their vectors.

        Returns whether each is a row of its own. Raises ShapeError for one that the table lacks.
        """
        fits, alone = look_up(*self.catalogue, ids, self.params.items, rows, weights, vectors)
        if not fits:
            check_rows("embedding", rows, len(self.params.items))
        return alone

    def interests(self, block: slice) -> None:
        """Write the interests of a block of users, zero where inactive."""
        config, layout = self.config, self.layout
        route(
            block.start,
            block.stop,
            layout.starts,
            layout.place,
            self.votes,
            layout.logits,
            self.active,
            config.iterations if self.dynamic else 1,
            AXES[config.routing_axis] == 1,
            KINDS.index(config.squash),
            self.rounds,
        )
        self.layers.forward(block, self.rounds.capsules[-1], self.found)

    def look_ups(self) -> Iterator[Callable[[], None]]:
        """Yield what comes before the users."""
        yield self.prepare
        for block in slices(len(self.layout.items), ITEMS):
            yield partial(self.items, block)

    def run(self) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and which are active, in arrays of their own."""
        self.work.each(do, self.look_ups())
        self.work.each(self.interests, slices(self.users, block_length(self.users)))
        return self.found.copy(), self.active


def do(task: Callable[[], None]) -> None:
    """Do a task."""
    task()
