"""A training step written directly in eager PyTorch, as an opponent in benchmarks.

It computes the same function as mindref. Histories are padded with an extra id (`padding_idx`, no
gradient). The item table has row-sparse gradients and SparseAdam, the matrices have fused Adam.
Routing iterations before the last run without autograd. One difference: SparseAdam adds epsilon
before the bias correction of the second moment, mindref after it (optimiser-R4).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from mindref.bench.workload import Workload
from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import Ragged
from mindref.models import serving
from mindref.models.parameters import Layer, Params
from mindref.shapes import Ints

INF = float("inf")
BLOCK = 64  # users per block of the search: limits the memory of their scores


class TorchMind(nn.Module):  # type: ignore[misc]  # torch is not typed
    """MIND with the benchmark settings: routing_gradient "last", inner products as scores."""

    def __init__(self, params: Params, config: Config) -> None:
        super().__init__()
        self.config, self.pad = config, len(params.items)
        table = torch.cat(
            [torch.tensor(params.items), torch.zeros(1, config.width).to(torch_dtype(config))]
        )
        self.items = nn.Embedding.from_pretrained(
            table, freeze=False, sparse=True, padding_idx=self.pad
        )
        self.bilinear = nn.Parameter(torch.tensor(params.bilinear))
        widths = (config.width, *config.hidden, config.width)
        self.layers = nn.ModuleList(
            nn.Linear(i, o, dtype=torch_dtype(config)) for i, o in pairwise(widths)
        )
        for layer, (weight, bias) in zip(self.layers, params.layers, strict=True):
            layer.weight.data.copy_(torch.tensor(weight.T))
            layer.bias.data.copy_(torch.tensor(bias))
        # lengths 4, 8, 16 ... start the second, third ... interest; the first is always active
        self.register_buffer("starts", 2 ** torch.arange(2, config.interests + 1))

    def interests(self, history: Any, logits: Any) -> tuple[Any, Any]:
        """Return interests and active from padded histories (B, L) and initial logits (B, L, K)."""
        lengths = (history != self.pad).sum(1)
        count = 1 + torch.bucketize(lengths, self.starts, right=True)
        active = torch.arange(self.config.interests) < count[:, None]  # (B, K)
        votes = self.items(history) @ self.bilinear.T  # (B, L, D), zero for padding
        capsules = self.route(votes, logits, active)
        x = capsules
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        x = self.layers[-1](x)
        return x.masked_fill(~active[..., None], 0.0), active

    def route(self, votes: Any, logits: Any, active: Any) -> Any:
        """Return the capsules (B, K, D); only the last iteration is differentiated.

        Logits have the shape (B, K, L), because a softmax over an inner axis of size 4 is slow.
        """
        inactive = ~active[..., None]
        with torch.no_grad():
            fixed = votes.detach().transpose(1, 2)
            logits = logits.transpose(1, 2)
            weights = logits.masked_fill(inactive, -INF).softmax(1)
            for _ in range(self.config.iterations - 1):
                capsules = torch_squash(weights @ votes)
                logits = torch.baddbmm(logits, capsules, fixed)
                weights = logits.masked_fill(inactive, -INF).softmax(1)
        return torch_squash(weights @ votes)

    def attend(self, interests: Any, target: Any, active: Any) -> Any:
        """Return user vectors (B, D): label-aware attention with the target (B, D) as query."""
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
        target_vectors, negative_vectors = self.items(target), self.items(negatives)
        user = self.attend(interests, target_vectors, active)
        target_logit = (user * target_vectors).sum(1) - logs[0]
        negative_logits = user @ negative_vectors.T - logs[1]
        negative_logits = negative_logits.masked_fill(negatives == target[:, None], -INF)
        scores = torch.cat([target_logit[:, None], negative_logits], 1)
        return F.cross_entropy(scores, torch.zeros_like(target))


class TorchEagerContender:
    """The eager PyTorch step as a contender."""

    level, device = "framework", "cpu"

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.settings.threads)
        self.workload, config = workload, workload.config
        self.model = TorchMind(workload.params(), config)
        matrices = [x for name, x in self.model.named_parameters() if name != "items.weight"]
        settings = {
            "lr": config.learning_rate,
            "betas": (config.beta1, config.beta2),
            "eps": config.epsilon,
        }
        self.table_optimiser = torch.optim.SparseAdam([self.model.items.weight], **settings)
        self.matrix_optimiser = torch.optim.Adam(matrices, fused=True, **settings)

    def step(self, number: int) -> Any:
        """Take a step with a batch of the workload; return the loss."""
        batch = self.workload.batches[number]
        items, mask, logits, _ = batch.histories
        history = torch.from_numpy(np.where(mask, items, self.model.pad))
        loss = self.model.loss(
            history,
            torch.from_numpy(logits),
            torch.from_numpy(batch.target),
            torch.from_numpy(batch.negatives),
            (
                torch.from_numpy(batch.target_log_expected),
                torch.from_numpy(batch.negative_log_expected),
            ),
        )
        loss.backward()
        for optimiser in (self.table_optimiser, self.matrix_optimiser):
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss.detach().numpy()

    @property
    def params(self) -> Params:
        """The current parameters."""
        model = self.model
        layers = tuple(
            Layer(layer.weight.detach().numpy().T, layer.bias.detach().numpy())
            for layer in model.layers
        )
        items = model.items.weight.detach().numpy()[: model.pad]
        config = self.workload.config
        profile = np.zeros((0, config.profile_width), config.dtype)
        return Params(items, profile, model.bilinear.detach().numpy(), layers)

    def interests(self, histories: Ragged) -> tuple[Any, Any]:
        """Return interests (C, K, D) and active (C, K), in blocks as in serving."""
        config = self.workload.config
        items, mask = pad_histories(histories, config.window)
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
        """Return the top-n items of each user (C, n), by topk over the scores of a block.

        The order of ties is undefined, and the last bits depend on the block.
        """
        ids = []
        with torch.inference_mode():
            items = self.model.items.weight[: self.model.pad]
            for start in range(0, len(users[0]), BLOCK):
                vectors, active = (x[start : start + BLOCK] for x in users)
                scores = (vectors @ items.T).masked_fill_(~active[..., None], -INF).amax(1)
                if exclude is not None:
                    offsets = exclude.offsets[start : start + len(vectors) + 1]
                    rows = np.repeat(np.arange(len(vectors)), np.diff(offsets))
                    seen = exclude.values[offsets[0] : offsets[-1]]
                    scores[torch.from_numpy(rows), torch.from_numpy(seen)] = -INF
                ids.append(scores.topk(n).indices)
            return np.asarray(torch.cat(ids).numpy())


def torch_squash(x: Any) -> Any:
    """Return x n / (1 + n^2), where n is the length along the last axis."""
    n = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * (n / (1 + n * n))


def torch_dtype(config: Config) -> Any:
    """Return the torch dtype of a configuration."""
    return getattr(torch, config.dtype)
