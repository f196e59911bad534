"""From histories to interests, without padding, in blocks of users.

Spec: specs/model.md; the function `interests` of `mindref.models.mind` in two phases (team.py), cut
into tasks whose borders depend on sizes alone, and which write to places of their own:

    firsts   where everything stands; then vectors of the distinct items, and their votes
    blocks   routing and layers of a block of users
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import copy
from functools import partial
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.kernels import routing
from mindref.kernels.fused.checks import check_model
from mindref.kernels.fused.layers import Layers
from mindref.kernels.fused.layout import arrange, lay
from mindref.kernels.fused.look_up import look_up, look_up_and_vote
from mindref.kernels.fused.team import Phase, Task
from mindref.kernels.fused.workspace import Workspace, slices
from mindref.kernels.product import steady
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
    layers: Layers
    capsules: list[Array]  # of each round, as `routing.Rounds` has them, without the weights
    found: Array  # (B, K, D)
    logits: Array  # (N, K) initial logits of behaviours
    owner: Ints  # (N,) whose they are

    def __init__(
        self,
        work: Workspace,
        params: Params,
        histories: mind.Histories,
        catalogue: Catalogue,
        config: Config,
        others: tuple[Ints, ...] = (),
    ) -> None:
        """Look at what is given; others: more items, whose vectors are needed, too."""
        self.work, self.params, self.catalogue, self.config = work, params, catalogue, config
        self.histories, self.others, self.dtype = histories, others, params.items.dtype
        self.look = check_model(work, params, histories, catalogue, config)
        self.bilinear = steady(params.bilinear)
        self.users, self.count = len(histories.mask), config.interests
        self.width = params.items.shape[1]
        self.alone: list[bool] = []  # of each block of items: whether they have rows of their own
        self.dynamic = config.routing == "dynamic"
        several = self.dynamic and config.iterations > 1  # of one round both gradients are one
        self.exact = several and config.routing_gradient == "all"

    def run(self) -> tuple[Array, Bools]:
        """Return interests (B, K, D) and which are active, in arrays of their own."""
        self.work.run(self.phases())
        return self.found.copy(), self.layers.active.copy()

    def phases(self) -> list[Phase]:
        """Return what is to be done, one after the other."""
        return [self.firsts, self.blocks]

    def firsts(self) -> Iterator[Task]:
        """Yield what comes before the users; both leave more for whoever is free."""
        yield self.lay_out
        yield self.prepare

    def look_ups(self) -> Iterator[Task]:
        """Yield what needs the layout alone."""
        for block in slices(len(self.layout.items), ITEMS):
            yield partial(self.items, block)

    def blocks(self) -> Iterator[Task]:
        """Yield what is done for each block of users by itself."""
        for block in slices(self.users, self.layers.length):
            yield partial(self.interests, block)

    def lay_out(self) -> None:
        """Lay out a batch, and find room for the vectors of its items; leave the look-ups."""
        catalogue = self.catalogue
        self.layout = lay(self.work, self.histories, self.others, len(catalogue.rows))
        used = (len(self.layout.items), catalogue.rows.shape[1])
        self.item_rows = self.work.array("item_rows", *used, dtype=catalogue.rows.dtype)
        self.item_weights = self.room("item_weights", *used)
        self.vectors = self.room("vectors", len(self.layout.items), self.width)
        self.votes = self.room("votes", self.layout.voting, self.width)
        self.work.leave(self.look_ups())

    def prepare(self) -> None:
        """Make ready what needs the histories alone, not their items: profiles and room."""
        work, look, histories = self.work, self.look, self.histories
        by_length = work.once("by_length", look, self.active_by_length)
        looked_up = self.params.profile[histories.profile]  # (B, G, Q)
        profile = steady(looked_up.reshape(self.users, looked_up.shape[1] * looked_up.shape[2]))
        shape = (self.users, self.count)
        made = partial(self.LAYERS, work, self.params, shape, profile.shape[1], self.config)
        self.layers = copy(work.once(self.LAYERS.__name__, look, made))
        behaviours = self.layers.begin(self.params.layers, histories.mask, by_length, profile)
        for name, room in work.once(type(self).__name__, look, self.rooms).items():
            setattr(self, name, room)
        weights = self.room("couplings", len(self.capsules[0]), behaviours, self.count)
        self.rounds = routing.Rounds(weights, *self.capsules)
        initial = histories.init_logits
        self.logits = work.array("logits", behaviours, self.count, dtype=initial.dtype)
        self.owner = work.array("owner", behaviours, dtype=np.int64)
        work.leave([self.arrange])

    def rooms(self) -> dict[str, Any]:
        """Return room that depends on shapes alone, under the names of attributes."""
        kept = self.config.iterations if self.exact and self.BACK else 1
        shape = (kept, self.users, self.count)
        vectors = [self.room(name, *shape, self.width) for name in ("capsules", "unit")]
        slopes = [self.room(name, *shape) for name in ("across", "along")]
        found = self.room("found", self.users, self.count, self.width)
        return {"capsules": [*vectors, *slopes], "found": found}

    def arrange(self) -> None:
        """Write the logits of behaviours, and whose they are."""
        histories = self.histories
        arrange(histories.mask, histories.init_logits, self.logits, self.owner)
        if not self.dynamic:
            self.logits[:] = 0  # model-R12

    def active_by_length(self) -> Bools:
        """Return which interests a user has after 0, 1, .. behaviours (L + 1, K)."""
        return mind.active_after(np.arange(self.histories.mask.shape[1] + 1), self.config)

    def room(self, name: str, *shape: int) -> Array:
        """Return a kept array of the type of the parameters."""
        found: Array = self.work.array(name, *shape, dtype=self.dtype)
        return found

    def items(self, block: slice) -> None:
        """Write vectors of distinct items, and votes of those that are behaviours."""
        rows, votes = self.item_rows[block], self.votes[block]  # fewer, or none, have votes
        places = (rows, self.item_weights[block], self.vectors[block])
        given = (*self.catalogue, self.layout.items[block], self.params.items)
        self.alone.append(
            self.there(*look_up_and_vote(*given, *places, self.bilinear, votes), rows)
        )

    def look_up(self, ids: Ints, rows: Ints, weights: Array, vectors: Array) -> None:
        """Write rows and weights (M, F) of items (M,) of the catalogue, and their vectors."""
        given = (*self.catalogue, ids, self.params.items)
        self.there(*look_up(*given, rows, weights, vectors), rows)

    def there(self, fits: bool, alone: bool, rows: Ints) -> bool:
        """Return whether each item is a row of its own. Raises ShapeError for one that is none."""
        if not fits:
            check_rows("embedding", rows, len(self.params.items))
        return alone

    def interests(self, block: slice) -> None:
        """Write the interests of a block of users, zero where inactive."""
        self.route(block)
        self.layers.forward(block, self.rounds.capsules[-1], self.found)

    def route(self, block: slice) -> None:
        """Make all rounds of a block of users."""
        config, layout = self.config, self.layout
        route(
            block.start,
            block.stop,
            layout.starts,
            layout.place,
            self.votes,
            self.logits,
            self.layers.active,
            config.iterations if self.dynamic else 1,
            AXES[config.routing_axis] == 1,
            KINDS.index(config.squash),
            self.rounds,
        )
