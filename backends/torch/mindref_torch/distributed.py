"""A training that several processes share: each takes its part of the users of every batch.

Spec: specs/backend.md, backend-R17. Every process has all parameters and knows the whole batch, so
each knows which rows of the tables move. The gradients of the layers are added up by
DistributedDataParallel; those of the tables in one sum over the rows that the batch names. So no
process has to say which rows it met, and no sparse tensor travels: DistributedDataParallel cannot
add these up with NCCL, and with gloo fails where a process met padding alone.
"""

from __future__ import annotations

import atexit
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from mindref.ops.embedding import RowGradient
from mindref.training.distributed import Lost
from mindref_torch.embedding import by_rows
from mindref_torch.model import MIND, Batch, Histories

TABLES = ("items", "profile")
PATIENCE = timedelta(days=365)  # the first process may validate for hours
SIGNS = ("gloo", "nccl", "connection", "timed out", "socket")  # of errors that have no type


class Group(NamedTuple):
    """The processes that share a training."""

    rank: int
    world: int
    words: Any  # the group that exchanges words, on the CPU, and waits as long as it takes


joined: Group | None = None
"""Process groups belong to the process, so this does, too."""


def join(rank: int, world: int) -> Callable[[str], list[str]]:
    """Join the processes that torchrun started; return how to exchange words with them."""
    global joined
    cards, here = torch.cuda.device_count(), int(os.environ.get("LOCAL_WORLD_SIZE", world))
    own = cards >= here and dist.is_nccl_available()
    if own:  # NCCL wants a card for each process; gloo lets them share one
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", rank)))
    dist.init_process_group("cpu:gloo,cuda:nccl" if own else "gloo", rank=rank, world_size=world)
    atexit.register(dist.destroy_process_group)  # threads left running would abort the process
    words = dist.new_group(backend="gloo", timeout=PATIENCE)
    joined = Group(rank, world, words)

    def exchange(word: str) -> list[str]:
        with talking():
            return [x.decode() for x in gathered(word.encode(), world, words)]

    return exchange


def gathered(word: bytes, world: int, group: Any) -> list[bytes]:
    """Return the bytes that each process of a group gave, in the order of their ranks."""
    lengths = [torch.zeros(1, dtype=torch.int64) for _ in range(world)]
    dist.all_gather(lengths, torch.tensor([len(word)]), group=group)
    longest = max(1, *map(int, lengths))
    letters = [torch.zeros(longest, dtype=torch.uint8) for _ in range(world)]
    own = torch.frombuffer(bytearray(word.ljust(longest)), dtype=torch.uint8)
    dist.all_gather(letters, own, group=group)
    return [bytes(x.numpy())[: int(n)] for x, n in zip(letters, lengths, strict=True)]


@contextmanager
def talking() -> Iterator[None]:
    """Raise Lost for what a sum or an exchange raises when another process has gone."""
    try:
        yield
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        short = re.sub(
            r"^\[\S+\] |\. This is typically.*", "", reason
        )  # a place in a source, advice
        if not isinstance(error, dist.DistError) and not any(x in reason.lower() for x in SIGNS):
            raise
        raise Lost(short[:200]) from error


class Part(nn.Module):  # type: ignore[misc]  # no types are asked of a framework
    """A model, asked for the part that some users have in the mean loss of all."""

    def __init__(self, model: MIND) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, weight: float) -> Tensor:
        """Return the mean loss () of these users, times what they weigh among all."""
        return self.model(batch) * weight


class Shared:
    """A model whose loss and gradients are added up over the processes."""

    def __init__(self, model: MIND, group: Group) -> None:
        self.group, part = group, Part(model)
        apart = [f"model.{name}" for name in (*TABLES, "rows", "weights")]  # these never change
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(part, apart)
        self.part = DistributedDataParallel(part)

    def differentiate(self, model: MIND, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        """Return loss and gradients of a whole batch, the same on every process."""
        model.zero_grad()
        users, weight = own_part(batch, self.group)
        with talking():
            loss = self.part(users, weight)
            loss.backward()
            total, tables = add_up(model, batch, loss.detach())
        named = model.named_parameters()
        means = {name: x.grad for name, x in named if name not in TABLES}
        return total, {**tables, **{name: x * self.group.world for name, x in means.items()}}


def shared(model: MIND) -> Shared | None:
    """Return the model as the processes share it; None for a process alone."""
    return Shared(model, joined) if joined is not None else None


def own_part(batch: Batch, group: Group) -> tuple[Batch, float]:
    """Return the users of this process, one after the other, and their share of the batch.

    Targets of others are negatives of nobody here; the negatives are everybody's. A process without
    a user takes the first one, with no weight, as it has to add something to the sums.
    """
    count = len(batch.target)
    begin, end = (count * rank // group.world for rank in (group.rank, group.rank + 1))
    weight = (end - begin) / count
    mine = slice(begin, end) if end > begin else slice(0, 1)
    histories = Histories(*(x[mine] for x in batch.histories))
    logs = batch.target_log_expected[mine], batch.negative_log_expected
    return Batch(histories, batch.target[mine], batch.negatives, *logs), weight


def add_up(model: MIND, batch: Batch, loss: Tensor) -> tuple[Tensor, dict[str, RowGradient]]:
    """Return the sums of the losses and of the gradients of the tables, by rows that all know."""
    histories, pieces, rows = batch.histories, [loss.reshape(1)], {}
    ids = torch.cat(model.looked_up(batch))
    named = {
        "items": model.rows[ids][model.weights[ids] != 0],  # embedding-R6
        "profile": histories.profile,
    }
    for name in TABLES:
        table = getattr(model, name)
        rows[name] = torch.unique(named[name])
        values = table.new_zeros(len(rows[name]), table.shape[1])
        if table.grad is not None:
            met, found = by_rows(table.grad, rows[name])
            values[torch.searchsorted(rows[name], met)] = found
        pieces.append(values.detach().flatten())
    sums = torch.cat(pieces)
    dist.all_reduce(sums)
    total, *tables = sums.split([len(x) for x in pieces])
    shapes = {name: (len(rows[name]), getattr(model, name).shape[1]) for name in TABLES}
    return total[0], {
        name: RowGradient(rows[name], values.view(shapes[name]))
        for name, values in zip(TABLES, tables, strict=True)
    }
