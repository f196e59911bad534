"""Run one call on a backend, and return a dict of arrays, such as "out" and "d_history".

Spec: specs/backend.md. Reproduction scripts contain this code, so it must not import the suite.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mindref.conformance.runner.callers import CallFields, answer_callers, frequent_switches
from mindref.conformance.runner.forks import Answer, AnyArray


def answer_operator(backend: Any, call: CallFields) -> Answer:
    """Return the output of an operator, and its gradients if `call["d_out"]` is not None."""
    answer, saved = answer_forward(backend, call)
    return answer | answer_backward(backend, call, saved)


def answer_forward(backend: Any, call: CallFields) -> tuple[Answer, Any]:
    """Return the output of an operator, and the saved values; else the answer and None."""
    if call["stem"] in ANSWERS:
        return answer_call(backend, call), None
    operator = getattr(backend.ops, call["stem"])
    out, saved = operator.forward(*call["arrays"].values(), **call["numbers"])
    if isinstance(out, list | tuple):
        raise TypeError(f"{call['stem']}.forward returned a {type(out).__name__}, not an array")
    answer = {"out": np.asarray(out)}
    if call["stem"] == "routing" and getattr(saved, "couplings", None) is not None:
        answer["couplings"] = np.asarray(saved.couplings)  # backend-R10
    return answer, saved


def answer_backward(backend: Any, call: CallFields, saved: Any) -> Answer:
    """Return the gradients of an operator; {} without a cotangent or for another call."""
    arrays, d_out = call["arrays"], call["d_out"]
    if d_out is None or call["stem"] in ANSWERS:
        return {}
    if backend.capabilities().gradients == "derived":
        gradients = getattr(backend.ops, call["stem"]).backward(d_out, saved)
    else:  # backend-R14
        inputs = tuple(arrays.values())
        gradients = backend.differentiate(call["stem"], inputs, call["numbers"], d_out)
    return named_gradients(call, gradients)


def named_gradients(call: CallFields, gradients: Any) -> Answer:
    """Return dense gradients: "d_x" for argument x; "rows" for the rows of a sparse gradient."""
    names, answer = call["gradients"], {}
    if len(names) == 1 and (hasattr(gradients, "rows") or not isinstance(gradients, tuple | list)):
        gradients = (gradients,)
    if len(gradients) != len(names):
        raise TypeError(f"expected the gradients of {', '.join(names)}, got {len(gradients)}")
    for name, gradient in zip(names, gradients, strict=True):
        like = call["arrays"][name]
        if gradient is None:  # backend-R14: None means zeros
            gradient = np.zeros_like(like)
        answer[f"d_{name}"] = full_gradient(gradient, like.shape, np.asarray)
        if hasattr(gradient, "rows"):
            answer["rows"] = np.asarray(gradient.rows)
    return answer


def answer_composition(backend: Any, call: CallFields) -> Answer:
    """Return loss and gradients of the model built from the backend's operators (backend-R6)."""
    from mindref.models import mind

    params, batch, catalogue = call["arrays"].values()
    config = call["numbers"]["config"]
    loss, saved = mind.loss(params, batch, catalogue, config, backend.ops)
    return model_parts(call, np.asarray, loss, mind.backward(saved, ops=backend.ops))


def answer_loss(backend: Any, call: CallFields) -> Answer:
    """Return the loss of a batch and its gradients, from `backend.loss_and_gradients`."""
    params, batch, catalogue = call["arrays"].values()
    config = call["numbers"]["config"]
    loss, gradients = backend.loss_and_gradients(params, batch, catalogue, config)
    return model_parts(call, numpy_of(backend), loss, gradients)


def model_parts(
    call: CallFields, numpy: Callable[[Any], AnyArray], loss: Any, gradients: Any
) -> Answer:
    """Return a dict: "loss", "d_x" for each parameter x, "rows" of the item gradient."""
    from mindref.models.parameters import flatten, flatten_gradients

    answer = {"loss": loss_value(loss, call, numpy)}
    params = flatten(call["arrays"]["params"])
    for name, gradient in flatten_gradients(gradients).items():
        answer[f"d_{name}"] = full_gradient(gradient, params[name].shape, numpy)
    return answer | {"rows": np.asarray(gradients.items.rows)}


def answer_interests(backend: Any, call: CallFields) -> Answer:
    """Return the interests of the users, and a mask of the active interests."""
    params, histories, catalogue = call["arrays"].values()
    config = call["numbers"]["config"]
    vectors, active = backend.interests(params, histories, catalogue, config)
    numpy = numpy_of(backend)
    return {"interests": numpy(vectors), "active": numpy(active)}


def answer_training(backend: Any, call: CallFields) -> Answer:
    """Train for a few steps. Return the loss of each step and the final parameters."""
    from mindref.models.parameters import flatten, unflatten
    from mindref.training.optimiser import State

    def copies(arrays: dict[str, Any]) -> Answer:
        return {name: np.array(numpy(x)) for name, x in arrays.items()}

    numpy = numpy_of(backend)
    params, batches, catalogue, *moments = call["arrays"].values()
    config, rate = call["numbers"]["config"], call["numbers"]["learning_rate"]
    state, losses = backend.init(params, config, *moments), []
    alternates = call["numbers"].get("alternates")
    other = backend.init(params, config) if alternates else None
    for done, batch in enumerate(batches):
        if done and done == call["numbers"].get("pause"):  # backend-R15
            now, moments = flatten(backend.parameters(state)), backend.moments(state)
            after = State(int(moments.step), copies(moments.first), copies(moments.second))
            state = backend.init(unflatten(copies(now), type(params)), config, after)
        if other is not None:  # another training takes its steps in turn
            other, _ = backend.step(other, batches[-1], catalogue, config, 2 * rate)
        state, loss = backend.step(state, batch, catalogue, config, rate)
        losses.append(loss_value(loss, call, numpy))
    params_now = flatten(backend.parameters(state))
    return {"losses": np.array(losses), **{name: numpy(x) for name, x in params_now.items()}}


def answer_steps(backend: Any, call: CallFields) -> Answer:
    """Train. Return the losses, and the parameters and moments after each step, in one array each.

    Moments of the parameter x are named "first.x" and "second.x", their number of steps "step". If
    call["numbers"] has "wait", they are read so many seconds after a step, otherwise at once.
    Threads switch often.
    """
    numpy = numpy_of(backend)
    params, batches, catalogue = call["arrays"].values()
    config, rates = call["numbers"]["config"], call["numbers"]["rates"]
    state, losses = backend.init(params, config), []
    history: dict[str, list[AnyArray]] = {}
    for batch, rate in zip(batches, rates, strict=True):
        with frequent_switches():
            state, loss = backend.step(state, batch, catalogue, config, rate)
            if call["numbers"].get("wait"):
                time.sleep(call["numbers"]["wait"])
            now = read_state(backend, state)  # backend-R23
        losses.append(loss_value(loss, call, numpy))
        for name, x in now.items():
            history.setdefault(name, []).append(x)
    return {"losses": np.array(losses), **{name: np.stack(x) for name, x in history.items()}}


def read_state(backend: Any, state: Any) -> Answer:
    """Return copies of the parameters, by name, of the moments, "first.x" and "second.x", and of
    the number of steps.
    """
    from mindref.models.parameters import flatten

    numpy, moments = numpy_of(backend), backend.moments(state)
    now = dict(flatten(backend.parameters(state)))
    for name in tuple(now):
        now |= {f"first.{name}": moments.first[name], f"second.{name}": moments.second[name]}
    copies = {name: np.array(numpy(x)) for name, x in now.items()}
    return copies | {"step": np.array(int(moments.step))}


def answer_scores(backend: Any, call: CallFields) -> Answer:
    """Return the scores of items for users."""
    return {"scores": numpy_of(backend)(backend.scores(*call["arrays"].values()))}


def answer_calls(backend: Any, call: CallFields) -> Answer:
    """Return the answers of several callers (callers.py)."""
    return answer_callers(backend, call, answer_forward, answer_backward)


ANSWERS = {
    "callers": answer_calls,
    "scores": answer_scores,
    "steps": answer_steps,
    "composition": answer_composition,
    "loss": answer_loss,
    "interests": answer_interests,
    "training": answer_training,
}
"""`call["stem"]` -> function that runs the call. Other stems are names of operators."""


def answer_call(backend: Any, call: CallFields) -> Answer:
    """Run `call` on `backend`; return the arrays of the answer by name."""
    return ANSWERS.get(call["stem"], answer_operator)(backend, call)


def numpy_of(backend: Any) -> Callable[[Any], AnyArray]:
    """Return a function that converts arrays of `backend` to NumPy."""
    return lambda x: np.asarray(backend.to_numpy(x))


def loss_value(x: Any, call: CallFields, numpy: Callable[[Any], AnyArray]) -> AnyArray:
    """Return the loss `x` as an array. If `x` is a Python float, use the dtype of `call`."""
    return np.asarray(x, call_dtype(call)) if type(x) is float else numpy(x)


def call_dtype(call: CallFields) -> np.dtype[Any]:
    """Return the dtype of the first float array in `call`, or float64 if there is none."""
    floats = (x.dtype for x in arrays_in(call["arrays"]) if x.dtype.kind not in "biu")
    return next(floats, np.dtype(np.float64))


def full_gradient(
    gradient: Any, shape: tuple[int, ...], numpy: Callable[[Any], AnyArray]
) -> AnyArray:
    """Return a dense or row-sparse `gradient` as a dense array."""
    if not hasattr(gradient, "rows"):
        return numpy(gradient)
    values = numpy(gradient.values)
    table = np.zeros(shape, values.dtype)
    np.add.at(table, np.asarray(gradient.rows), values)  # if a row is listed twice, add both
    return table


def arrays_in(x: object) -> Iterator[AnyArray]:
    """Yield all arrays in `x`, which may be nested tuples and dicts."""
    if isinstance(x, np.ndarray):
        yield x
        return
    for part in x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else ():
        yield from arrays_in(part)
