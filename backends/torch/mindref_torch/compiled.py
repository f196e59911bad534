"""A training step with one compiled graph, from the votes of behaviours to the loss.

Spec: specs/backend.md. Four parts stay eager. The look-up of rows has a sparse gradient, and its
size depends on the mask. The votes of distinct items and the factors of dropout are computed before
the graph. The optimiser updates the rows that were looked up. Checks of values raise errors, which
a graph cannot do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mindref.errors import FOREIGN_ERRORS, BackendError, say
from mindref_torch.model import MIND, Batch
from mindref_torch.sampled_softmax import check_log_expected

LENGTH_AXIS = 1
"""Axis of votes, mask and initial logits whose size differs from batch to batch."""

TRACE_LENGTH = 61
"""Length of the histories from which the graph is traced.

The compiler chooses the order of sums by this length. A fixed length gives a resumed training the
same bytes, whatever its first batch. The length is prime, because PyTorch treats equal sizes as one
symbol.
"""


def compile_steps(model: MIND) -> None:
    """Replace the loss of a model by a compiled graph for histories of any length.

    The first step compiles the graph. A process reuses its graphs for later models with the same
    settings. Another number of users or negatives compiles another graph. After eight graphs
    PyTorch runs new sizes eagerly.
    """
    graph = torch.compile(model.loss_from_votes)
    traced = False

    def compiled_loss(
        votes: Tensor, profile: Tensor, target: Tensor, negatives: Tensor, batch: Batch
    ) -> Tensor:
        """Return the loss () of a batch, as `MIND.loss_from_votes`."""
        nonlocal traced
        loss_name = "pooled_softmax" if model.config.attention == "pooled" else "sampled_softmax"
        check_log_expected(loss_name, batch.target_log_expected, batch.negative_log_expected)
        if not traced:
            trace_votes, trace_batch = resize_to_trace_length(votes, batch)
            mark_dynamic_length(trace_votes, trace_batch)
            graph(trace_votes, profile, target, negatives, trace_batch)
            traced = True
        mark_dynamic_length(votes, batch)
        loss: Tensor = graph(votes, profile, target, negatives, batch)
        return loss

    model.loss_from_votes = compiled_loss  # type: ignore[method-assign]


def resize_to_trace_length(votes: Tensor, batch: Batch) -> tuple[Tensor, Batch]:
    """Return votes and batch, cut or padded with zeros to TRACE_LENGTH behaviours."""
    names = ("items", "mask", "init_logits")
    resized = []
    for x in (votes, *(getattr(batch.histories, name) for name in names)):
        padding = x.new_zeros(len(x), max(0, TRACE_LENGTH - x.shape[LENGTH_AXIS]), *x.shape[2:])
        resized.append(torch.cat([x[:, :TRACE_LENGTH], padding], LENGTH_AXIS))
    histories = batch.histories._replace(**dict(zip(names, resized[1:], strict=True)))
    return resized[0], batch._replace(histories=histories)


def mark_dynamic_length(votes: Tensor, batch: Batch) -> None:
    """Mark the axis whose size differs from batch to batch."""
    items, mask, logits, _ = batch.histories
    for x in (votes, items, mask, logits):
        torch._dynamo.maybe_mark_dynamic(x, LENGTH_AXIS)


def check_compiler(device: str) -> None:
    """Raise BackendError unless PyTorch can compile a small function for a device.

    PyTorch needs a C++ compiler on a CPU, and Triton on CUDA.
    """
    try:
        torch.compile(torch.exp)(torch.zeros(3, device=device))
    except FOREIGN_ERRORS as error:
        reason = next(filter(None, map(str.strip, str(error).splitlines())), "no message")
        got = f"{type(error).__name__}: {reason}"
        todo = "install a C++ compiler (g++), on CUDA triton, or choose --backend torch"
        subject = "backend mindref_torch:Compiled"
        raise BackendError(say(subject, "what torch.compile needs", got, todo)) from error
