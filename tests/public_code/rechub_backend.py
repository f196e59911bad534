"""Adapter for torch-rechub 0.9.0: its capsule layer, and the readout of its MIND model.

The layer draws initial logits (torch.randn; torch.zeros with a matrix per pair). A patch returns
the given logits. Inactive rows are zeroed after routing, as in its model. The layer has one axis
and ignores the argument `axis`. An option that the layer does not support raises an error.
"""

from types import SimpleNamespace
from unittest import mock

import torch
from torch_rechub.basic.layers import CapsuleNetwork
from torch_rechub.models.matching.mind import MIND

from mindref.backend import Capabilities


def routing(e, mask, s, logits, active, *, iterations, gradient, axis="interests", kind="squash"):
    if kind != "squash" or axis not in ("interests", "behaviours"):
        raise ValueError(f"the layer has one squash and one axis, not {kind} and {axis}")
    (_, length, d), k, general = e.shape, active.shape[1], s.ndim == 4
    layer = CapsuleNetwork(d, length, 2 if general else 0, k, iterations)
    layer.stop_grad = {"last": True, "all": False}[gradient]
    weight = {"w": s.reshape(1, length, k * d, d)} if general else {"linear.weight": s}
    drawn = (logits if gradient == "all" else logits.detach()).transpose(1, 2)
    patches = dict.fromkeys(("randn", "zeros"), lambda *shape, **_: drawn.expand(shape))
    seen, original_where = [], torch.where  # torch.where returns the coupling weights
    patches["where"] = lambda *parts: seen.append(original_where(*parts)) or seen[-1]
    with mock.patch.multiple(torch, **patches):
        capsules = torch.func.functional_call(layer, weight, (e, mask.long()))
    couplings = (seen[-1].transpose(1, 2) * active[:, None]).detach().numpy()
    return capsules * active[..., None], SimpleNamespace(couplings=couplings)


def label_attention(interests, target, active, *, power):
    if power != float("inf"):
        raise NotImplementedError(f"the readout is an argmax and has no power {power}")
    model = SimpleNamespace(mode=None, active_interest_mask=lambda x: active)
    model.user_tower = lambda x, interest_mask: interests * interest_mask[..., None]
    # the result is products with candidates; with unit vectors it is the vector itself
    units = torch.eye(target.shape[1], dtype=target.dtype).expand(len(target), -1, -1)
    model.item_tower = lambda x: torch.cat((target[:, None], units), dim=1)
    return MIND.forward(model, None)[:, 1:], None


def numpy(operator):
    def forward(*arrays, **numbers):
        out, saved = operator(*map(torch.tensor, arrays), **numbers)
        return out.numpy(), saved

    return SimpleNamespace(forward=forward, on_tensors=operator)


class Backend:
    name = "torch-rechub"
    ops = SimpleNamespace(routing=numpy(routing), label_attention=numpy(label_attention))
    to_numpy = from_numpy = staticmethod(lambda x: x)

    def capabilities(self):
        options = ("routing-R9", "routing-R25", "routing-R26")
        return Capabilities(("routing", "label_attention"), gradients="automatic", options=options)

    def differentiate(self, stem, arrays, numbers, d_out):
        tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in arrays]
        by = [x for x in tensors if x.requires_grad]
        out, _ = getattr(self.ops, stem).on_tensors(*tensors, **numbers)
        if not out.requires_grad:  # fewer than three iterations: the result is detached
            return (None,) * len(by)
        gradients = torch.autograd.grad(out, by, torch.tensor(d_out), allow_unused=True)
        return tuple(None if g is None else g.numpy() for g in gradients)
