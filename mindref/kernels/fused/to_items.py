"""From the gradient of capsules to that of the items among the behaviours, and of S.

Spec: specs/routing.md, Backward; specs/speed.md. Two ways, each in the two phases of a step: users,
and what all of them together send to the items.

    ByVote      each behaviour has a gradient of its vote, which all rounds may add to; those of an
                item are summed before they are projected back
    ByCapsule   the weights are constants (routing-R12), so what a capsule sends is one vector for
                all its behaviours, but for their weights. It is projected back once, and S meets
                one weighted sum of behaviours: no gradient of a vote is ever made
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from mindref.kernels._jit import jit
from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.layers import Senders, parts_of
from mindref.kernels.fused.shared import Shares, sum_by_item
from mindref.kernels.fused.stack import place
from mindref.kernels.product import product, product_by_rows
from mindref.kernels.rounds_backward import route_backward, through_last
from mindref.kernels.routing import Rounds
from mindref.ops.routing import AXES
from mindref.shapes import Array, Ints

if TYPE_CHECKING:
    from mindref.kernels.fused.step import Step


class ToItems(Protocol):
    """A way from capsules to items."""

    d_bilinears: Array  # (parts, D, D), to be summed

    def users(self, step: Step, block: slice, senders: Senders) -> None:
        """Take the gradient of a block's capsules as far as it goes without other users."""

    def items(self, step: Step, block: slice, d_vectors: Array) -> Shares | None:
        """Write what all behaviours send to a block of items (M, D), or return what to sum."""


class ByVote:
    """Through the votes of each behaviour."""

    def __init__(self, step: Step) -> None:
        """Find room for a gradient of each vote."""
        behaviours, width = len(step.layout.order), step.width
        self.d_capsules = step.room("d_capsules", step.users, step.count, width)
        self.d_votes = step.room("d_votes", behaviours, width)
        self.d_logits = step.room("d_logits", behaviours, step.count)
        parts = len(range(0, step.layout.voting, ITEMS))
        self.d_bilinears = step.room("d_bilinears", parts, width, width)

    def users(self, step: Step, block: slice, senders: Senders) -> None:
        """Back through all rounds to the votes."""
        ends = (block.start * step.count, block.stop * step.count)
        rows = self.d_capsules.reshape(-1, step.width)
        place(senders.d_joined, senders.places, *ends, rows)
        route_backward(
            block.start,
            block.stop,
            step.layout.starts,
            step.layout.place,
            step.votes,
            step.layers.active,
            AXES[step.config.routing_axis] == 1,
            step.exact,
            *step.rounds,
            self.d_capsules,
            self.d_votes,
            self.d_logits,
        )

    def items(self, step: Step, block: slice, d_vectors: Array) -> None:
        """Sum the gradients of votes by item, then project the sums, also onto S."""
        layout = step.layout
        d_votes = np.empty(d_vectors.shape, d_vectors.dtype)
        bounds = layout.bounds[block.start : block.stop + 1]
        sum_by_item(layout.order, bounds, self.d_votes, d_votes)
        product(d_votes, step.bilinear, d_vectors)
        product_by_rows(d_votes, step.vectors[block], self.d_bilinears[block.start // ITEMS])


class ByCapsule:
    """Through the sums of which capsules are made, whose weights are constants."""

    def __init__(self, step: Step) -> None:
        """Find room for what capsules send, a row for each: no more than B K."""
        rows, width = step.users * step.count, step.width
        self.d_sums, self.sent, self.means = (
            step.room(name, rows, width) for name in ("d_sums", "sent_to_items", "means")
        )
        self.d_bilinears = step.room("d_bilinears", parts_of(step.users), width, width)

    def users(self, step: Step, block: slice, senders: Senders) -> None:
        """Back to the sums of votes; what they send to items, and to S."""
        send(
            senders.places,
            step.layout.starts,
            step.layout.place,
            step.vectors,
            step.rounds,
            step.bilinear,
            senders.d_joined,
            self.d_sums[senders.rows],
            self.means[senders.rows],
            self.sent[senders.rows],
            self.d_bilinears[step.layers.part(block)],
        )

    def items(self, step: Step, block: slice, d_vectors: Array) -> Shares:
        """Return what is to be summed by item: each gets as much as the behaviour weighs there."""
        layout, way = step.layout, step.layers.way
        bounds = layout.bounds[block.start : block.stop + 1]
        weights = step.rounds.couplings[-1]
        return Shares(layout.order, bounds, step.owner, way.spans, way.sending, weights, self.sent)


@jit
def send(
    places: Ints,
    starts: Ints,
    rows: Ints,
    vectors: Array,
    rounds: Rounds,
    bilinear: Array,
    d_capsules: Array,
    d_sums: Array,
    means: Array,
    sent: Array,
    d_bilinear: Array,
) -> None:
    """Write what the capsules at some places (M,) send to their items (M, D), and to S.

    From their gradients (M, D or more), by way of the sums of votes: see `through_last`.
    """
    last = (rounds.unit[-1], rounds.across[-1], rounds.along[-1])
    through_last(
        places, starts, rows, vectors, rounds.couplings[-1], *last, d_capsules, d_sums, means
    )
    product(d_sums, bilinear, sent)
    product(d_sums.T, means, d_bilinear)
