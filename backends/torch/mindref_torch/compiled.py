"""A training step with one compiled graph: from vectors that have been looked up to the loss.

Spec: specs/backend.md. What stands before it, the look-up of rows, has a size that depends on the
mask and a sparse gradient, and what stands after it moves those rows; both stay eager. So does what
has to look at values: a graph cannot refuse.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import STRANGE, BackendError, say
from mindref_torch.model import MIND, Batch
from mindref_torch.sampled_softmax import check_logs

LENGTH = 1
"""The axis of history, mask and initial logits that differs from batch to batch."""

PLACES = 61
"""The length of the histories that a graph is made from: in which order it adds up is chosen by
that, and a training that was stopped ends in the same bytes, whatever batch comes first. A prime,
as sizes that are the same by chance would be taken for one.
"""


def compile_steps(model: MIND) -> None:
    """Let a model compute its loss by a graph, made in the first step for histories of any length.

    A process keeps its graphs for the next model of the same settings. For another number of users
    or negatives it makes another, up to eight, and what comes then stays eager: PyTorch's own rule.
    """
    graph = torch.compile(model.loss_of)
    made = False

    def loss_of(
        history: Tensor, profile: Tensor, target: Tensor, negatives: Tensor, batch: Batch
    ) -> Tensor:
        """Return the loss () of a batch, as `MIND.loss_of`."""
        nonlocal made
        check_logs(batch.target_log_expected, batch.negative_log_expected)
        if not made:
            mine, its = with_places(history, batch)
            mark(mine, its)
            graph(mine, profile, target, negatives, its)
            made = True
        mark(history, batch)
        found: Tensor = graph(history, profile, target, negatives, batch)
        return found

    model.loss_of = loss_of  # type: ignore[method-assign]


def with_places(history: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
    """Return history and batch with PLACES places a user: the first ones, or zeros behind."""
    names = ("items", "mask", "init_logits")
    some = []
    for x in (history, *(getattr(batch.histories, name) for name in names)):
        more = x.new_zeros(len(x), max(0, PLACES - x.shape[LENGTH]), *x.shape[2:])
        some.append(torch.cat([x[:, :PLACES], more], LENGTH))
    histories = batch.histories._replace(**dict(zip(names, some[1:], strict=True)))
    return some[0], batch._replace(histories=histories)


def mark(history: Tensor, batch: Batch) -> None:
    """Tell PyTorch which axis differs from batch to batch."""
    items, mask, logits, _ = batch.histories
    for x in (history, items, mask, logits):
        torch._dynamo.maybe_mark_dynamic(x, LENGTH)


def check_compiler(device: str) -> None:
    """Raise BackendError unless PyTorch can compile for a device: next to nothing is compiled.

    On a CPU it wants a C++ compiler, on CUDA Triton.
    """
    try:
        torch.compile(torch.exp)(torch.zeros(3, device=device))
    except STRANGE as error:
        reason = next(filter(None, map(str.strip, str(error).splitlines())), "no word")
        got = f"{type(error).__name__}: {reason}"
        todo = "install a C++ compiler (g++), on CUDA triton, or choose --backend torch"
        where = "backend mindref_torch:Compiled"
        raise BackendError(say(where, "what torch.compile needs", got, todo)) from error
