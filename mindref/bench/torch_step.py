"""A training step written directly in eager PyTorch, as an opponent in benchmarks.

It computes the same function as mindref for every recipe of `choices.MODELS`. Histories are padded
with an extra id (`padding_idx`, no gradient), and all items are looked up at once. The item table
has row-sparse gradients and SparseAdam, the matrices have fused Adam. Routing iterations before the
last run without autograd. The factors of dropout are part of the batch. One difference: SparseAdam
adds epsilon before the bias correction of the second moment, mindref after it (optimiser-R4).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mindref.bench.workload import Workload, split_batch
from mindref.config import Config
from mindref.models.parameters import flatten, unflatten
from mindref.shapes import Array

INF = float("inf")


class TorchBatch(NamedTuple):
    """A batch as tensors."""

    history: Tensor  # (B, L) ids; padding has an extra id
    logits: Tensor  # (B, L, K)
    keep: Tensor | None  # (B, L, D) factors of dropout
    target: Tensor  # (B,)
    negatives: Tensor  # (S,)
    target_log_expected: Tensor  # (B,)
    negative_log_expected: Tensor  # (S,)


class TorchModel(nn.Module):  # type: ignore[misc]  # torch is not typed
    """A recipe of the benchmark: one vector per user without S, else interests by routing.

    Parameters have the names of mindref's files; weights of layers are transposed.
    """

    def __init__(self, params: Any, config: Config) -> None:
        super().__init__()
        self.config, self.pad = config, len(params.items)
        self.routes = hasattr(params, "bilinear")
        table = torch.tensor(np.vstack([params.items, np.zeros_like(params.items[:1])]))
        self.items = nn.Embedding.from_pretrained(
            table, freeze=False, sparse=True, padding_idx=self.pad
        )
        self.matrices = nn.ParameterDict(
            {
                name: nn.Parameter(torch.tensor(getattr(params, name)))
                for name in ("bilinear", "positions")
                if getattr(params, name, np.zeros(0)).size
            }
        )
        self.layers = nn.ModuleList(torch_layer(*layer) for layer in params.layers)
        # lengths 4, 8, 16 ... start the second, third ... interest; the first is always active
        self.register_buffer("starts", 2 ** torch.arange(2, config.interests + 1))

    def interests(self, vectors: Tensor, history: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return interests (B, K, D) and active (B, K) from the vectors (B, L, D) of behaviours."""
        lengths = (history != self.pad).sum(1)
        if not self.routes:
            mean = vectors.sum(1) / lengths.clamp(min=1)[:, None]
            return self.apply_layers(mean[:, None]), torch.ones(len(history), 1, dtype=torch.bool)
        active = torch.arange(self.config.interests) < self.count_active(lengths)[:, None]
        votes = vectors  # zero for padding
        if "bilinear" in self.matrices:
            votes = vectors @ self.matrices["bilinear"].T
        capsules, contexts = self.route(votes, logits, active, self.age_factors(lengths, history))
        out = self.apply_layers(capsules, contexts.flatten(1)) if len(self.layers) else capsules
        return out.masked_fill(~active[..., None], 0.0), active

    def count_active(self, lengths: Tensor) -> Tensor:
        """Return the number of active interests of users with these numbers of behaviours."""
        if self.config.interest_count == "fixed":
            return torch.where(lengths > 0, self.config.interests, 1)
        return 1 + torch.bucketize(lengths, self.starts, right=True)

    def age_factors(self, lengths: Tensor, history: Tensor) -> Tensor | None:
        """Return the learned factors of behaviours by age (B, C, L), or None.

        They are those of the interests, then those of the contexts. The factor of padding has no
        effect, because a vote of padding is zero.
        """
        if "positions" not in self.matrices:
            return None
        ages = lengths[:, None] - 1 - torch.arange(history.shape[1])
        return F.embedding(ages.clamp(min=0), self.matrices["positions"].exp()).transpose(1, 2)

    def route(
        self, votes: Tensor, logits: Tensor, active: Tensor, factors: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Return capsules (B, K, D) and contexts (B, M, D); only the last iteration has a gradient.

        Logits have the shape (B, K, L), because a softmax over an inner axis of size 4 is slow.
        Contexts are further rows of the last product.
        """
        count, inactive = self.config.interests, ~active[..., None]
        with torch.no_grad():
            fixed, logits = votes.detach().transpose(1, 2), logits.transpose(1, 2)
            weights = logits.masked_fill(inactive, -INF).softmax(1)
            for _ in range(self.config.iterations - 1):
                coupled = weights if factors is None else weights * factors[:, :count]
                logits = torch.baddbmm(logits, torch_squash(coupled @ votes), fixed)
                weights = logits.masked_fill(inactive, -INF).softmax(1)
        if factors is not None:
            weights = torch.cat([weights * factors[:, :count], factors[:, count:]], 1)
        out = torch_squash(weights @ votes)
        return out[:, :count], out[:, count:]

    def apply_layers(self, x: Tensor, contexts: Tensor | None = None) -> Tensor:
        """Return the output of the layers (B, K, D); only the last layer is linear.

        The first layer also reads the contexts (B, M D) of the user, once for all interests.
        """
        for i, layer in enumerate(self.layers):
            if i == 0 and contexts is not None and contexts.shape[1]:
                of_capsules, of_contexts = layer.weight.split([x.shape[2], contexts.shape[1]], 1)
                x = F.linear(x, of_capsules) + F.linear(contexts, of_contexts, layer.bias)[:, None]
            else:
                x = layer(x)
            x = F.relu(x) if i < len(self.layers) - 1 else x
        return x

    def attend(self, interests: Tensor, target: Tensor, active: Tensor) -> Tensor:
        """Return user vectors (B, D): label-aware attention with the target (B, D) as query."""
        if not self.routes:
            return interests[:, 0]
        scores = torch.einsum("bkd,bd->bk", interests, target)
        power = self.config.power
        if power == INF:
            best = scores.masked_fill(~active, -INF).argmax(1)
            return interests[torch.arange(len(best)), best]
        raised = scores.sign() * scores.abs() ** power
        weights = raised.masked_fill(~active, -INF).softmax(1)
        return torch.einsum("bk,bkd->bd", weights, interests)

    def loss(self, batch: TorchBatch) -> Tensor:
        """Return the mean loss of a batch: softmax over the target and shared negatives."""
        history, sizes = batch.history, (len(batch.target), len(batch.negatives))
        vectors = self.items(torch.cat([history.flatten(), batch.target, batch.negatives]))
        behaviours, target, negatives = vectors.split([history.numel(), *sizes])
        behaviours = behaviours.view(*history.shape, -1)
        behaviours = behaviours if batch.keep is None else behaviours * batch.keep
        interests, active = self.interests(behaviours, history, batch.logits)
        if self.config.normalise:
            interests, target, negatives = (
                F.normalize(x, dim=-1) for x in (interests, target, negatives)
            )
        hits = batch.negatives == batch.target[:, None]
        if self.config.attention == "pooled":
            interests = interests / self.config.temperature
            hidden = hits[:, None] | ~active[..., None]
            return pooled_loss(interests, active, target, negatives, hidden, batch)
        user = self.attend(interests, target, active) / self.config.temperature
        target_logit = (user * target).sum(1) - batch.target_log_expected
        negative_logits = user @ negatives.T - batch.negative_log_expected
        scores = torch.cat([target_logit[:, None], negative_logits.masked_fill(hits, -INF)], 1)
        return F.cross_entropy(scores, torch.zeros(len(scores), dtype=torch.int64))


def pooled_loss(
    interests: Tensor,
    active: Tensor,
    target: Tensor,
    negatives: Tensor,
    hidden: Tensor,
    batch: TorchBatch,
) -> Tensor:
    """Return the mean loss on scores log sum_k exp(v_k . e) - log K', with one fused softmax.

    The number K' of active interests cancels. hidden (B, K, S): pairs without influence. The mask
    is a constant summand of the product, so that backward has no pass over (B, K, S) for it.
    """
    users, count, width = interests.shape
    summand = (-batch.negative_log_expected).expand(hidden.shape).masked_fill(hidden, -INF)
    products = torch.addmm(
        summand.view(users * count, -1), interests.reshape(users * count, width), negatives.T
    )
    target_products = torch.einsum("bkd,bd->bk", interests, target).masked_fill(~active, -INF)
    target_score = target_products.logsumexp(1) - batch.target_log_expected
    scores = torch.cat([target_score[:, None], products.view(users, -1)], 1)
    return F.cross_entropy(scores, torch.zeros(users, dtype=torch.int64))


class TorchEagerContender:
    """The eager PyTorch step as a contender."""

    level, device = "framework", "cpu"

    def __init__(self, workload: Workload) -> None:
        torch.set_num_threads(workload.settings.threads)
        self.workload, config = workload, workload.config
        initial = workload.params()
        self.kind = type(initial)
        self.empty_arrays = {name: x for name, x in flatten(initial).items() if not x.size}
        self.model = TorchModel(initial, config)
        matrices = [x for name, x in self.model.named_parameters() if name != "items.weight"]
        betas = (config.beta1, config.beta2)
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.SparseAdam(
                [self.model.items.weight], lr=config.learning_rate, betas=betas, eps=config.epsilon
            )
        ]
        if matrices:
            self.optimisers.append(
                torch.optim.Adam(
                    matrices, lr=config.learning_rate, betas=betas, eps=config.epsilon, fused=True
                )
            )

    def step(self, number: int) -> Array:
        """Take a step with a batch of the workload; return the loss."""
        loss = self.differentiate(number)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return loss

    def differentiate(self, number: int) -> Array:
        """Return the loss of a batch of the workload; store the gradients in the model."""
        batch, keep = split_batch(self.workload.batches[number])
        items, mask, logits, _ = batch.histories
        tensor = torch.from_numpy
        loss = self.model.loss(
            TorchBatch(
                history=tensor(np.where(mask, items, self.model.pad)),
                logits=tensor(logits),
                keep=None if keep is None else tensor(keep),
                target=tensor(batch.target),
                negatives=tensor(batch.negatives),
                target_log_expected=tensor(batch.target_log_expected),
                negative_log_expected=tensor(batch.negative_log_expected),
            )
        )
        loss.backward()
        return np.asarray(loss.detach().numpy())

    @property
    def params(self) -> Any:
        """The current parameters."""
        model = self.model
        arrays = {"items": model.items.weight[: model.pad], **model.matrices}
        for i, layer in enumerate(model.layers):
            arrays |= {f"layers.{i}.weight": layer.weight.T, f"layers.{i}.bias": layer.bias}
        detached = {name: x.detach().numpy() for name, x in arrays.items()}
        return unflatten(self.empty_arrays | detached, self.kind)


def torch_layer(weight: Array, bias: Array) -> nn.Linear:
    """Return a linear layer with copies of these values."""
    layer = nn.Linear(*weight.shape, dtype=torch.tensor(weight).dtype)
    layer.weight.data.copy_(torch.tensor(weight.T))
    layer.bias.data.copy_(torch.tensor(bias))
    return layer


def torch_squash(x: Tensor) -> Tensor:
    """Return x n / (1 + n^2), where n is the length along the last axis."""
    n = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x * (n / (1 + n * n))
