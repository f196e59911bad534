"""The implementation under test: one function from a call to an answer.

Spec: specs/backend.md. The backend does the arithmetic; this module calls its members.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from mindref.backend import Capabilities
from mindref.conformance.runner.call import Answer, Call
from mindref.models import mind
from mindref.models.parameters import flatten, flatten_gradients, unflatten
from mindref.training import optimiser


class Implementation(Protocol):
    """Anything that answers calls."""

    name: str

    def answer(self, call: Call) -> Answer:
        """Return the parts of the answer by name."""


class BackendImplementation:
    """A backend as an implementation."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.name = str(backend.name)
        self.claims: Capabilities = backend.capabilities()

    def answer(self, call: Call) -> Answer:
        """Call the member of the backend that answers this call."""
        members = {
            "composition": self.composition,
            "loss": self.loss,
            "interests": self.interests,
            "training": self.training,
        }
        return members.get(call.stem, self.operator)(call)

    def operator(self, call: Call) -> Answer:
        """Level 1: forward; with a cotangent also backward, or the framework's own gradient."""
        module = getattr(self.backend.ops, call.stem)
        arrays = tuple(call.arrays.values())
        out, saved = module.forward(*arrays, **call.numbers)
        answer = {"out": as_array(out)}
        if call.stem == "routing" and getattr(saved, "couplings", None) is not None:
            answer["couplings"] = as_array(saved.couplings)  # backend-R10
        if call.cotangent is None:
            return answer
        if self.claims.gradients == "derived":
            gradients = module.backward(call.cotangent, saved)
        else:
            # backend-R14
            gradients = self.backend.differentiate(call.stem, arrays, call.numbers, call.cotangent)
        return answer | named_gradients(call, gradients)

    def composition(self, call: Call) -> Answer:
        """Level 1 composed to the model: loss and gradients (backend-R6)."""
        ops = self.backend.ops
        params, batch, catalogue = call.arrays.values()
        loss, saved = mind.loss(params, batch, catalogue, call.numbers["config"], ops)
        return self.of_model(call, as_array, loss, mind.backward(saved, ops=ops))

    def loss(self, call: Call) -> Answer:
        """Level 2: the loss of a batch and its gradient with respect to every parameter."""
        loss_and_gradients = self.backend.loss_and_gradients(
            *call.arrays.values(), call.numbers["config"]
        )
        return self.of_model(call, self.numpy, *loss_and_gradients)

    def of_model(self, call: Call, numpy: Any, loss: Any, gradients: Any) -> Answer:
        """Return the loss and the gradients of a batch by name."""
        answer = {"loss": loss_array(loss, call, numpy)}
        shapes = flatten(call.arrays["params"])
        for name, gradient in flatten_gradients(gradients).items():
            answer[f"d_{name}"] = dense_gradient(gradient, shapes[name].shape, numpy)
        answer["rows"] = np.asarray(gradients.items.rows)
        return answer

    def interests(self, call: Call) -> Answer:
        """Level 2: the interests of users, and which of them are active."""
        params, histories, catalogue = call.arrays.values()
        vectors, active = self.backend.interests(
            params, histories, catalogue, call.numbers["config"]
        )
        return {"interests": self.numpy(vectors), "active": self.numpy(active)}

    def training(self, call: Call) -> Answer:
        """Level 3: the losses of a few steps, and the parameters after them."""
        params, batches, catalogue = call.arrays.values()
        config = call.numbers["config"]
        state, losses = self.backend.init(params, config), []
        for done, batch in enumerate(batches):
            if done and done == call.numbers.get("pause"):
                state = self.resumed_state(state, config)
            rate = call.numbers["learning_rate"]
            state, loss = self.backend.step(state, batch, catalogue, config, rate)
            losses.append(loss_array(loss, call, self.numpy))
        after = flatten(self.backend.parameters(state))
        return {"losses": np.array(losses), **{k: self.numpy(x) for k, x in after.items()}}

    def resumed_state(self, state: Any, config: Any) -> Any:
        """Return a new state from the parameters and moments of a state (backend-R15)."""
        params, moments = self.backend.parameters(state), self.backend.moments(state)
        tables = (flatten(params), moments.first, moments.second)
        param_arrays, first, second = (
            {name: np.array(self.numpy(x)) for name, x in table.items()} for table in tables
        )
        after = optimiser.State(int(moments.step), first, second)
        return self.backend.init(unflatten(param_arrays), config, after)

    def numpy(self, x: Any) -> Any:
        """Return an array of levels 2 and 3 as a NumPy array."""
        return np.asarray(self.backend.to_numpy(x))


def loss_array(x: Any, call: Call, numpy: Any) -> Any:
    """Return a loss as an array; a Python float gets the dtype of the call."""
    return np.asarray(x, call.dtype) if type(x) is float else numpy(x)


def as_array(x: Any) -> Any:
    """Return x as an array, without a copy if it is one."""
    return np.asarray(x)


def named_gradients(call: Call, gradients: Any) -> Answer:
    """Return the gradients of an operator by the names of its arguments."""
    names = call.differentiable
    if len(names) == 1 and (hasattr(gradients, "rows") or not isinstance(gradients, tuple | list)):
        gradients = (gradients,)
    if len(gradients) != len(names):
        raise TypeError(f"expected the gradients of {', '.join(names)}, got {len(gradients)}")
    answer: Answer = {}
    for name, gradient in zip(names, gradients, strict=True):
        like = call.arrays[name]
        if gradient is None:  # backend-R14: an argument without influence
            gradient = np.zeros_like(like)
        answer[f"d_{name}"] = dense_gradient(gradient, like.shape, as_array)
        if hasattr(gradient, "rows"):
            answer["rows"] = as_array(gradient.rows)
    return answer


def dense_gradient(gradient: Any, shape: tuple[int, ...], numpy: Any) -> Any:
    """Return a gradient as a dense array, from a row-sparse or a dense one."""
    if not hasattr(gradient, "rows"):
        return numpy(gradient)
    rows, values = np.asarray(gradient.rows), numpy(gradient.values)
    table = np.zeros(shape, values.dtype)
    np.add.at(table, rows, values)  # a row that is listed twice shows twice: embedding-R5
    return table
