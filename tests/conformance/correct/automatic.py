"""PyTorch, forward only: gradients are the framework's own. Imported by name, as torch is heavy.

Where a formula has no slope (a capsule of zero, a score of zero, a masked NaN), the argument is
replaced before it is used: `where` after the fact would send 0 times infinity back.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch

from mindref.backend import OPERATORS, OPTIONS, Capabilities
from mindref.shapes import Array
from tests.conformance.correct import checks

T = torch.Tensor


def embedding(table: T, rows: T, weights: T) -> T:
    terms = weights[:, :, None] * torch.nn.functional.embedding(rows, table)
    return terms[:, 0] if terms.shape[1] == 1 else terms.sum(1)  # a sum of one would lose -0


def softmax(logits: T, mask: T, *, axis: int) -> T:
    kept = torch.where(mask, logits, -torch.inf)
    empty = (kept == -torch.inf).all(axis, keepdim=True)  # softmax-R4
    weights = torch.softmax(torch.where(empty, 0, kept), axis)
    return torch.where(mask & ~empty, weights, 0)


def squash(x: T, *, kind: str = "squash") -> T:
    if kind == "none" or x.shape[-1] == 0:
        return x.clone()
    largest = x.detach().abs().amax(-1, keepdim=True)  # a constant: its slope cancels
    zero = largest == 0
    if kind == "unit":
        x = gentle(x, ~zero & torch.isinf(1 / largest))
    scaled = torch.where(zero, 1, x) / torch.where(zero, 1, largest)
    length = torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)
    n = length * largest
    inside = n <= 1
    r = torch.where(inside, n, 1 / torch.where(inside, 1, n))  # squash-R4
    gain = torch.where(inside, r * r, 1) / (1 + r * r)
    out = scaled / length if kind == "unit" else scaled / length * gain
    return torch.where(zero, 0, out)  # squash-R3


def gentle(x: T, steep: T) -> T:
    """Return x; in the places of `steep` no slope is beyond the largest float (squash, step 3)."""
    found = x.clone()
    if found.requires_grad:
        found.register_hook(lambda g: torch.where(steep, torch.nan_to_num(g), g))
    return found


def routing(
    history: T,
    mask: T,
    bilinear: T,
    init_logits: T,
    active: T,
    log_weights: T | None = None,
    *,
    iterations: int,
    gradient: str,
    axis: str = "interests",
    kind: str = "squash",
) -> tuple[T, T]:
    history = torch.where(mask[:, :, None], history, 0)
    allowed = mask[:, :, None] & active[:, None, :]
    formula = "de,ble->bld" if bilinear.ndim == 2 else "lkde,ble->blkd"
    votes = torch.einsum(formula, bilinear, history)
    if bilinear.ndim == 2:
        votes = votes[:, :, None].expand(-1, -1, active.shape[1], -1)
    logits = torch.where(allowed, init_logits, 0)
    counts = 1 if log_weights is None else torch.exp(torch.where(allowed, log_weights, 0))
    for turn in range(iterations):
        weights = softmax(logits, allowed, axis=1 if axis == "behaviours" else 2)
        if gradient == "last":  # routing-R12: the rounds before reach the result by weights only
            weights = weights.detach()
        capsules = squash(torch.einsum("blk,blkd->bkd", counts * weights, votes), kind=kind)
        if turn < iterations - 1:
            logits = logits + torch.einsum("blkd,bkd->blk", votes, capsules)
    return capsules, weights


def relu_layer(x: T, weight: T, bias: T, *, relu: bool) -> T:
    out = torch.addmm(bias, x, weight)
    return torch.where(out <= 0, 0, out) if relu else out  # relu_layer-R7: NaN is not <= 0


def label_attention(interests: T, target: T, active: T, *, power: float) -> T:
    interests = torch.where(active[:, :, None], interests, 0)
    scores = torch.einsum("bkd,bd->bk", interests, target)
    if power == 0:
        weights = softmax(torch.zeros_like(scores), active, axis=1)
    else:
        lost = (active & ~torch.isfinite(scores)).any(1, keepdim=True)
        weights = (hard if math.isinf(power) else soft)(scores, active, power)
        weights = weights + torch.where(lost & active, torch.nan, 0)  # label_attention-R17
    return torch.einsum("bk,bkd->bd", weights, interests)


def hard(scores: T, active: T, power: float) -> T:
    best = torch.where(active, scores, -torch.inf).argmax(1)
    return torch.nn.functional.one_hot(best, scores.shape[1]).to(scores.dtype)


def soft(scores: T, active: T, power: float) -> T:
    """Return the softmax of powers, each less that of the largest score, which is a constant."""
    top = torch.where(active, scores, -torch.inf).amax(1, keepdim=True).detach()
    powered, highest = signed(smooth(scores, power), power), signed(top, power)
    beyond = torch.isinf(powered) | torch.isinf(highest)
    limit = torch.where(scores == top, 0, -torch.inf).to(scores.dtype)  # label_attention-R11
    return softmax(torch.where(beyond, limit, powered - highest), active, axis=1)


def smooth(scores: T, power: float) -> T:
    """Return the scores, without a way back for gradients where the slope is infinite."""
    with torch.no_grad():
        steep = torch.isinf(power * scores.abs() ** (power - 1))  # label_attention-R12
    found = torch.where(steep, scores.detach(), scores)
    if found.requires_grad:
        found.register_hook(lambda g: torch.where(torch.isinf(g), 0, g))  # label_attention-R13
    return found


def signed(x: T, power: float) -> T:
    """Return sign(x) |x|^p; `abs` has no slope at 0, where that of p = 1 is one."""
    return x if power == 1 else x.sign() * x.abs() ** power


def sampled_softmax(
    user: T,
    target: T,
    negatives: T,
    target_ids: T,
    negative_ids: T,
    target_log_expected: T,
    negative_log_expected: T,
    *,
    temperature: float = 1.0,
    normalise: bool = False,
) -> T:
    if normalise:
        user, target, negatives = (squash(x, kind="unit") for x in (user, target, negatives))
    y = (user * target).sum(1) / temperature - target_log_expected
    z = user @ negatives.T / temperature - negative_log_expected
    lost = torch.where(torch.isfinite(y) & torch.isfinite(z).all(1), 0, torch.nan).to(y.dtype)
    hits = negative_ids == target_ids[:, None]
    gaps = torch.where(hits, -torch.inf, z - (y + lost)[:, None])
    alone = hits.all(1)  # sampled_softmax-R10
    rest = torch.logsumexp(torch.where(alone[:, None], 0, gaps), 1)
    losses = torch.where(alone, 0, torch.logaddexp(torch.zeros_like(rest), rest))
    return (losses + lost).mean()


FUNCTIONS = {
    function.__name__: function
    for function in (
        embedding,
        softmax,
        squash,
        routing,
        relu_layer,
        label_attention,
        sampled_softmax,
    )
}
CHECKS = {
    "embedding": checks.embedding,
    "softmax": lambda *arrays, axis: checks.softmax(*arrays, axis),
    "squash": lambda x, kind="squash": checks.squash(x, kind),
    "routing": lambda *arrays, iterations, gradient, axis="interests", kind="squash": (
        checks.routing(*arrays[:5], iterations, gradient, axis, *arrays[5:], kind=kind)
    ),
    "relu_layer": lambda *arrays, relu: checks.relu_layer(*arrays),
    "label_attention": lambda *arrays, power: checks.label_attention(*arrays, power),
    "sampled_softmax": lambda *arrays, temperature=1.0, normalise=False: checks.sampled_softmax(
        *arrays, temperature
    ),
}
DIFFERENTIABLE = {  # places of the arguments that have a gradient, in the order of the page
    "routing": (0, 2, 3, 5),
    "relu_layer": (0, 1, 2),
    "label_attention": (0, 1),
    "sampled_softmax": (0, 1, 2),
}


class Operator:
    """One operator, of arrays of NumPy; `saved` holds what routing shows of its last round."""

    def __init__(self, stem: str) -> None:
        self.stem = stem

    def forward(self, *arrays: Array, **numbers: Any) -> tuple[Array, Any]:
        CHECKS[self.stem](*arrays, **numbers)
        with torch.no_grad():
            found = FUNCTIONS[self.stem](*(torch.tensor(x) for x in arrays), **numbers)
        out, couplings = found if isinstance(found, tuple) else (found, None)
        kept = None if couplings is None else couplings.numpy()
        return out.numpy(), SimpleNamespace(couplings=kept)


class Automatic:
    """The backend: operators of PyTorch, differentiated by PyTorch."""

    name = "automatic"
    ops = SimpleNamespace(**{stem: Operator(stem) for stem in FUNCTIONS})

    def capabilities(self) -> Capabilities:
        return Capabilities(OPERATORS, gradients="automatic", options=OPTIONS)

    def differentiate(
        self, stem: str, arrays: tuple[Array, ...], numbers: dict[str, Any], d_out: Array
    ) -> tuple[Array | None, ...]:
        """Return the gradient of each argument that has one; None where the result ignores it."""
        given = [torch.tensor(x) for x in arrays]
        places = [place for place in DIFFERENTIABLE.get(stem, (0,)) if place < len(given)]
        wanted = [given[place].requires_grad_() for place in places]
        found = FUNCTIONS[stem](*given, **numbers)
        out = found[0] if isinstance(found, tuple) else found
        if not out.requires_grad:
            return (None,) * len(wanted)
        gradients = torch.autograd.grad(out, wanted, torch.tensor(d_out), allow_unused=True)
        return tuple(None if g is None else g.numpy() for g in gradients)

    def to_numpy(self, x: Any) -> Any:
        return x.detach().numpy()

    def from_numpy(self, x: Any) -> Any:
        return torch.tensor(x)
