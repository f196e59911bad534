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

from mindref.kernels.fused.forward import ITEMS
from mindref.kernels.fused.layers import Senders, flat, parts_of, place
from mindref.kernels.fused.shared import sum_by_capsule, sum_by_item
from mindref.kernels.rounds_backward import route_backward, through_last
from mindref.ops.routing import AXES
from mindref.shapes import Array

if TYPE_CHECKING:
    from mindref.kernels.fused.step import Step


class ToItems(Protocol):
    """A way from capsules to items."""

    d_bilinears: Array  # (parts, D, D), to be summed

    def users(self, step: Step, block: slice, senders: Senders) -> None:
        """Take the gradient of a block's capsules as far as it goes without other users."""

    def items(self, step: Step, block: slice, d_vectors: Array) -> None:
        """Write what all behaviours send to a block of items (M, D)."""


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
        places = step.layers.places(block)
        place(senders.d_joined, senders.places, places, flat(self.d_capsules))
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
        np.matmul(d_votes, step.params.bilinear, out=d_vectors)
        np.matmul(d_votes.T, step.vectors[block], out=self.d_bilinears[block.start // ITEMS])


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
        rows = senders.rows
        couplings, _, unit, across, along = (x[-1] for x in step.rounds)
        d_sums, means = self.d_sums[rows], self.means[rows]
        through_last(
            senders.places,
            step.layout.starts,
            step.layout.place,
            step.vectors,
            couplings,
            unit,
            across,
            along,
            senders.d_joined,
            d_sums,
            means,
        )
        np.matmul(d_sums, step.params.bilinear, out=self.sent[rows])
        np.matmul(d_sums.T, means, out=self.d_bilinears[step.layers.part(block)])

    def items(self, step: Step, block: slice, d_vectors: Array) -> None:
        """Sum by item what capsules send, each as much as the behaviour weighs there."""
        layout, layers = step.layout, step.layers
        bounds = layout.bounds[block.start : block.stop + 1]
        uses, capsules = (layout.order, bounds, step.owner), (layers.spans, layers.sending)
        sum_by_capsule(*uses, *capsules, step.rounds.couplings[-1], self.sent, d_vectors)
