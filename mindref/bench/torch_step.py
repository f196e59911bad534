"""A training step as a good user of PyTorch writes it: eager, padded, sparse where it pays.

The same function as ours, for `mindref bench` to compare with: histories padded with an id of their
own (`padding_idx`, so that pads have no gradient), row-sparse gradients of the table with
SparseAdam, fused Adam for the matrices, rounds of routing before the last without autograd, updates
in place. Differs in one thing: SparseAdam adds epsilon before the bias correction of the second
moment, we after it (optimiser-R4); Adam does as we do.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mindref.bench.world import World
from mindref.config import Config
from mindref.data.batches import lay_out_histories
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.models.parameters import Layer, Params
from mindref.shapes import Ints

INF = float("inf")
BLOCK = 64  # users at a time in search: bounds the memory of their scores


class Mind(nn.Module):  # type: ignore[misc]  # no types are asked of a framework
    """MIND with the settings that the bench uses: routing gradient "last", products as scores."""

    def __init__(self, params: Params, config: Config) -> None:
        super().__init__()
        self.config, self.pad = config, len(params.items)
        table = torch.cat(
            [torch.tensor(params.items), torch.zeros(1, config.width).to(dtype_of(config))]
        )
        self.items = nn.Embedding.from_pretrained(
            table, freeze=False, sparse=True, padding_idx=self.pad
        )
        self.bilinear = nn.Parameter(torch.tensor(params.bilinear))
        widths = (config.width, *config.hidden, config.width)
        self.layers = nn.ModuleList(
            nn.Linear(i, o, dtype=dtype_of(config)) for i, o in pairwise(widths)
        )
        for layer, (weight, bias) in zip(self.layers, params.layers, strict=True):
            layer.weight.data.copy_(torch.tensor(weight.T))
            layer.bias.data.copy_(torch.tensor(bias))
        # interests begin at 2, 4, 8 ... behaviours: the first is always there
        self.register_buffer("starts", 2 ** torch.arange(2, config.interests + 1))

    def interests(self, history: Any, logits: Any) -> tuple[Any, Any]:
        """Map histories (B, L), padded, and initial logits (B, L, K) to interests and active."""
        lengths = (history != self.pad).sum(1)
        count = 1 + torch.bucketize(lengths, self.starts, right=True)
        active = torch.arange(self.config.interests) < count[:, None]  # (B, K)
        votes = self.items(history) @ self.bilinear.T  # (B, L, D), zero for a pad
        capsules = self.route(votes, logits, active)
        x = capsules
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        x = self.layers[-1](x)
        return x.masked_fill(~active[..., None], 0.0), active

    def route(self, votes: Any, logits: Any, active: Any) -> Any:
        """Return the capsules (B, K, D); only the last sum and squash are differentiated.

        Logits stand as (B, K, L): softmax over an inner axis of four is slow.
        """
        away = ~active[..., None]
        with torch.no_grad():
            fixed = votes.detach().transpose(1, 2)
            logits = logits.transpose(1, 2)
            weights = logits.masked_fill(away, -INF).softmax(1)
            for _ in range(self.config.iterations - 1):
                capsules = squash(weights @ votes)
                logits = torch.baddbmm(logits, capsules, fixed)
                weights = logits.masked_fill(away, -INF).softmax(1)
        return squash(weights @ votes)

    def attend(self, interests: Any, target: Any, active: Any) -> Any:
        """Read the interests (B, K, D) with the target (B, D) as the query."""
        scores = torch.einsum("bkd,bd->bk", interests, target)
        power = self.config.power
        if power == INF:
            best = scores.masked_fill(~active, -INF).argmax(1)
            return interests[torch.arange(len(best)), best]
        raised = scores.sign() * scores.abs() ** power
        weights = raised.masked_fill(~active, -INF).softmax(1)
        return torch.einsum("bk,bkd->bd", weights, interests)

    def loss(
        self, history: Any, logits: Any, target: Any, negatives: Any, logs: tuple[Any, Any]
    ) -> Any:
        """Return the mean loss of a batch: softmax over the target and shared negatives."""
        interests, active = self.interests(history, logits)
        its, theirs = self.items(target), self.items(negatives)
        user = self.attend(interests, its, active)
        at_target = (user * its).sum(1) - logs[0]
        at_negatives = user @ theirs.T - logs[1]
        at_negatives = at_negatives.masked_fill(negatives == target[:, None], -INF)
        scores = torch.cat([at_target[:, None], at_negatives], 1)
        return F.cross_entropy(scores, torch.zeros_like(target))


class Subject:
    """The step of PyTorch as the bench holds it."""

    level, device = "framework", "cpu"

    def __init__(self, world: World) -> None:
        torch.set_num_threads(world.settings.threads)
        self.world, config = world, world.config
        self.model = Mind(world.params(), config)
        others = [x for name, x in self.model.named_parameters() if name != "items.weight"]
        how = {
            "lr": config.learning_rate,
            "betas": (config.beta1, config.beta2),
            "eps": config.epsilon,
        }
        self.of_table = torch.optim.SparseAdam([self.model.items.weight], **how)
        self.of_matrices = torch.optim.Adam(others, fused=True, **how)

    def step(self, number: int) -> Any:
        """Take a step with a batch of the world."""
        batch = self.world.batches[number]
        items, mask, logits, _ = batch.histories
        history = torch.from_numpy(np.where(mask, items, self.model.pad))
        found = self.model.loss(
            history,
            torch.from_numpy(logits),
            torch.from_numpy(batch.target),
            torch.from_numpy(batch.negatives),
            (
                torch.from_numpy(batch.target_log_expected),
                torch.from_numpy(batch.negative_log_expected),
            ),
        )
        found.backward()
        for optimiser in (self.of_table, self.of_matrices):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return found.detach().numpy()

    def wait(self) -> None:
        """Nothing is left to be done."""

    @property
    def params(self) -> Params:
        """The parameters as they are now."""
        model = self.model
        layers = tuple(
            Layer(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
            for layer in model.layers
        )
        items = model.items.weight.detach().numpy()[: model.pad]
        nothing = np.zeros((0, self.world.config.profile_width), self.world.config.dtype)
        return Params(items, nothing, model.bilinear.detach().numpy(), layers)

    def interests(self, histories: Ragged) -> tuple[Any, Any]:
        """Return interests (C, K, D) and active (C, K), in blocks as we serve them."""
        config = self.world.config
        items, mask = lay_out_histories(histories, config.window)
        logits = torch.from_numpy(serving.serving_logits(config, self.model.pad, items))
        history = torch.from_numpy(np.where(mask, items, self.model.pad))
        with torch.inference_mode():
            blocks = [
                self.model.interests(*block)
                for block in zip(
                    history.split(serving.BLOCK), logits.split(serving.BLOCK), strict=True
                )
            ]
            vectors, active = (torch.cat(parts) for parts in zip(*blocks, strict=True))
        return vectors, active

    def top(self, users: tuple[Any, Any], n: int, exclude: Ragged | None) -> Ints:
        """Return the n best items of each user (C, n): scores of a block of users, then topk.

        Unlike ours it does not order ties, and last bits depend on the block.
        """
        found = []
        with torch.inference_mode():
            items = self.model.items.weight[: self.model.pad]
            for at in range(0, len(users[0]), BLOCK):
                vectors, active = (x[at : at + BLOCK] for x in users)
                scores = (vectors @ items.T).masked_fill_(~active[..., None], -INF).amax(1)
                if exclude is not None:
                    offsets = exclude.offsets[at : at + len(vectors) + 1]
                    rows = np.repeat(np.arange(len(vectors)), np.diff(offsets))
                    seen = exclude.values[offsets[0] : offsets[-1]]
                    scores[torch.from_numpy(rows), torch.from_numpy(seen)] = -INF
                found.append(scores.topk(n).indices)
            return np.asarray(torch.cat(found).numpy())


def squash(x: Any) -> Any:
    """Return x n / (1 + n^2) for the length n of the last axis."""
    n = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * (n / (1 + n * n))


def dtype_of(config: Config) -> Any:
    """Return the type of PyTorch."""
    return getattr(torch, config.dtype)
