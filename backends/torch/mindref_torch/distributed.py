"""Distributed training: each process computes one block of the users of every batch.

Spec: specs/backend.md, backend-R17. Every process has all parameters and the whole batch.
Therefore each process can compute which rows of the tables change. DistributedDataParallel adds
the gradients of the layers. One all-reduce over the rows that the batch uses adds the gradients of
the tables. No process sends row ids, and no sparse tensor is sent: DistributedDataParallel cannot
add sparse tensors with NCCL. With gloo it fails if a process has only padding.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mindref.ops.embedding import RowGradient
from mindref.training.distributed import ProcessLost
from mindref_torch.embedding import sum_sparse_rows
from mindref_torch.model import MIND, Batch, Histories

TABLES = ("items", "profile")
EXCHANGE_TIMEOUT = timedelta(days=365)  # rank 0 may validate for hours
CONNECTION_WORDS = ("gloo", "nccl", "connection", "timed out", "socket")
"""Words in the messages of connection errors that have no type."""


class ProcessGroup(NamedTuple):
    """The processes of one training."""

    rank: int
    world: int
    text_group: dist.ProcessGroup  # for texts, on the CPU, with a long timeout


process_group: ProcessGroup | None = None
"""The group of this process; None without distributed training."""


def join(rank: int, world: int) -> Callable[[str], list[str]]:
    """Join the process group of torchrun and return a function that exchanges texts.

    The function sends one text and returns the texts of all processes in the order of their ranks.
    """
    global process_group
    local_world_size = int(os.environ.get("LOCAL_WORLD_SIZE", world))
    use_nccl = torch.cuda.device_count() >= local_world_size and dist.is_nccl_available()
    if use_nccl:  # NCCL needs one GPU per process; with gloo processes can share a GPU
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if use_nccl else "gloo", rank=rank, world_size=world
    )
    atexit.register(dist.destroy_process_group)  # otherwise running threads abort the process
    text_group = dist.new_group(backend="gloo", timeout=EXCHANGE_TIMEOUT)
    process_group = ProcessGroup(rank, world, text_group)

    def exchange(text: str) -> list[str]:
        with communication_errors():
            return [x.decode() for x in gather_bytes(text.encode(), world, text_group)]

    return exchange


def gather_bytes(data: bytes, world: int, group: dist.ProcessGroup) -> list[bytes]:
    """Return the bytes of each process of a group, in the order of their ranks."""
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
    dist.all_gather(lengths, torch.tensor([len(data)]), group=group)
    longest = max(1, *map(int, lengths))
    buffers = [torch.zeros(longest, dtype=torch.uint8) for _ in range(world)]
    padded = torch.frombuffer(bytearray(data.ljust(longest)), dtype=torch.uint8)
    dist.all_gather(buffers, padded, group=group)
    return [bytes(x.numpy())[: int(n)] for x, n in zip(buffers, lengths, strict=True)]


@contextmanager
def communication_errors() -> Iterator[None]:
    """Raise ProcessLost if a sum or an exchange fails because another process has ended."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        # remove the position in the source and the advice
        summary = re.sub(r"^\[\S+\] |\. This is typically.*", "", reason)
        if not isinstance(error, dist.DistError) and not any(
            x in reason.lower() for x in CONNECTION_WORDS
        ):
            raise
        raise ProcessLost(summary[:200]) from error


class WeightedLoss(nn.Module):  # type: ignore[misc]  # the framework has no types
    """The weighted loss of one block of users, as a module for DistributedDataParallel."""

    def __init__(self, model: MIND) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, weight: float) -> Tensor:
        """Return the mean loss () of a block of users times their fraction of the batch."""
        return self.model(batch) * weight


class DistributedModel:
    """A model whose loss and gradients are summed over the processes."""

    def __init__(self, model: MIND, group: ProcessGroup) -> None:
        self.group, weighted_loss = group, WeightedLoss(model)
        # no entries, no gradient: S without votes = "matrix", positions without columns
        empty = [name for name, x in model.named_parameters() if x.numel() == 0]
        names = {*TABLES, "rows", "weights", *empty}  # not averaged
        ignored = [f"model.{name}" for name in names]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(weighted_loss, ignored)
        averaged = any(name not in names for name, _ in model.named_parameters())
        self.weighted_loss = DistributedDataParallel(weighted_loss) if averaged else weighted_loss

    def differentiate(
        self, model: MIND, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor | RowGradient]]:
        """Return loss and gradients of a whole batch; they are equal on every process."""
        model.zero_grad()
        local_batch, weight = select_local_users(batch, self.group)
        with communication_errors():
            loss = self.weighted_loss(local_batch, weight)
            loss.backward()
            total, tables = sum_loss_and_tables(model, batch, loss.detach())
        means = {
            name: torch.zeros_like(x) if x.grad is None else x.grad * self.group.world
            for name, x in model.named_parameters()
            if name not in TABLES
        }
        return total, {**tables, **means}


def distribute_model(model: MIND) -> DistributedModel | None:
    """Return the distributed model, or None without distributed training."""
    return DistributedModel(model, process_group) if process_group is not None else None


def select_local_users(batch: Batch, group: ProcessGroup) -> tuple[Batch, float]:
    """Return the block of users of this process and their fraction of the batch.

    The block contains consecutive users. All processes have the same negatives. A process without
    users gets the first user with weight zero, because it must take part in the sums.
    """
    count = len(batch.target)
    start, stop = (count * rank // group.world for rank in (group.rank, group.rank + 1))
    weight = (stop - start) / count
    selection = slice(start, stop) if stop > start else slice(0, 1)
    histories = Histories(*(x[selection] for x in batch.histories))
    logs = batch.target_log_expected[selection], batch.negative_log_expected
    keep = None if batch.keep is None else batch.keep[selection]
    return Batch(histories, batch.target[selection], batch.negatives, *logs, keep), weight


def sum_loss_and_tables(
    model: MIND, batch: Batch, loss: Tensor
) -> tuple[Tensor, dict[str, RowGradient]]:
    """Return the loss and the gradients of the tables, summed over the processes.

    The gradients contain the rows that the whole batch uses. Every process computes these rows.
    """
    histories, pieces, rows = batch.histories, [loss.reshape(1)], {}
    ids = torch.cat(model.batch_item_ids(batch))
    # embedding-R6
    used_rows = {"items": model.rows[ids][model.weights[ids] != 0], "profile": histories.profile}
    for name in TABLES:
        table = getattr(model, name)
        rows[name] = torch.unique(used_rows[name])
        values = table.new_zeros(len(rows[name]), table.shape[1])
        if table.grad is not None:
            local_rows, local_values = sum_sparse_rows(table.grad, rows[name])
            values[torch.searchsorted(rows[name], local_rows)] = local_values
        pieces.append(values.detach().flatten())
    sums = torch.cat(pieces)
    dist.all_reduce(sums)
    total, *tables = sums.split([len(x) for x in pieces])
    shapes = {name: (len(rows[name]), getattr(model, name).shape[1]) for name in TABLES}
    return total[0], {
        name: RowGradient(rows[name], values.view(shapes[name]))
        for name, values in zip(TABLES, tables, strict=True)
    }
