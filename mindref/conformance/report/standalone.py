"""The part of every reproduction that is the same: load a backend, ask it, compare.

This file is copied into each script, so that it imports nothing of the suite.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from importlib import metadata
from typing import Any

import numpy as np

Answer = dict[str, Any]
TIMES = 20  # an answer that is sometimes wrong is wrong


def load(name: str, device: str) -> Any:
    """Return the backend of this name, or of `module:object`, on a device; a class is called."""
    sys.path.insert(0, os.getcwd())
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            made = getattr(importlib.import_module(module), attribute)
        else:
            made = list(metadata.entry_points(group="mindref.backends", name=name))[-1].load()
        made = made() if isinstance(made, type) else made
        return made.on(device) if hasattr(made, "on") else made
    except (Exception, SystemExit) as error:
        where = "run this where it can be imported" if attribute else "is it installed here?"
        text = f"no backend {name}: {type(error).__name__}: {error}; {where}"
        print(text, file=sys.stderr)
        sys.exit(2)


def ask(backend: Any, call: dict[str, Any]) -> Answer:
    """Put one question to a backend; return what comes back, by name."""
    asked = globals().get(f"of_{call['stem']}", of_operator)  # of_loss, of_training ...
    for x in numbers_of((call["arrays"], call["d_out"])):
        x.setflags(write=not call["frozen"])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer: Answer = asked(backend, call)
        return answer


def of_operator(backend: Any, call: dict[str, Any]) -> Answer:
    """Level 1: forward, and the gradients if there is a d_out."""
    operator = getattr(backend.ops, call["stem"])
    arrays, d_out = call["arrays"], call["d_out"]
    out, saved = operator.forward(*arrays.values(), **call["numbers"])
    answer = {"out": np.asarray(out)}
    if call["stem"] == "routing" and getattr(saved, "couplings", None) is not None:
        answer["couplings"] = np.asarray(saved.couplings)
    if d_out is None:
        return answer
    if backend.capabilities().gradients == "derived":
        gradients = operator.backward(d_out, saved)
    else:
        parts = (call["stem"], tuple(arrays.values()), call["numbers"], d_out)
        gradients = backend.differentiate(*parts)
    names = call["gradients"]
    one = len(names) == 1
    if one and (hasattr(gradients, "rows") or not isinstance(gradients, tuple | list)):
        gradients = (gradients,)
    for name, gradient in zip(names, gradients, strict=True):
        gradient = np.zeros_like(arrays[name]) if gradient is None else gradient
        answer[f"d_{name}"] = dense(gradient, arrays[name].shape, np.asarray)
        if hasattr(gradient, "rows"):
            answer["rows"] = np.asarray(gradient.rows)
    return answer


def of_composition(backend: Any, call: dict[str, Any]) -> Answer:
    """Level 1 put together as the model by the reference: loss and gradients."""
    from mindref.models import mind

    params, batch, catalogue = call["arrays"].values()
    config = call["numbers"]["config"]
    loss, saved = mind.loss(params, batch, catalogue, config, backend.ops)
    return of_model(call, np.asarray, loss, mind.backward(saved, ops=backend.ops))


def of_loss(backend: Any, call: dict[str, Any]) -> Answer:
    """Level 2: the loss of a batch and its gradient by every parameter."""
    found = backend.loss_and_gradients(*call["arrays"].values(), call["numbers"]["config"])
    return of_model(call, lambda x: np.asarray(backend.to_numpy(x)), *found)


def of_model(call: dict[str, Any], numpy: Any, loss: Any, gradients: Any) -> Answer:
    """Return loss and gradients by name."""
    from mindref.models.parameters import flatten, flatten_gradients

    answer = {"loss": number(loss, call, numpy), "rows": np.asarray(gradients.items.rows)}
    params = flatten(call["arrays"]["params"])
    for name, gradient in flatten_gradients(gradients).items():
        answer[f"d_{name}"] = dense(gradient, params[name].shape, numpy)
    return answer


def of_interests(backend: Any, call: dict[str, Any]) -> Answer:
    """Level 2: the interests of users, and which of them are active."""
    config = call["numbers"]["config"]
    found, active = backend.interests(*call["arrays"].values(), config)
    names = {"interests": found, "active": active}
    return {name: np.asarray(backend.to_numpy(x)) for name, x in names.items()}


def of_training(backend: Any, call: dict[str, Any]) -> Answer:
    """Level 3: the losses of a few steps, and the parameters after them."""
    from mindref.models.parameters import flatten, unflatten
    from mindref.training.optimiser import State

    def told(arrays: Any) -> dict[str, Any]:
        return {name: np.array(backend.to_numpy(x)) for name, x in arrays.items()}

    params, batches, catalogue = call["arrays"].values()
    config, rate = call["numbers"]["config"], call["numbers"]["learning_rate"]
    state, losses = backend.init(params, config), []
    for done, batch in enumerate(batches):
        if done and done == call["numbers"].get("pause"):  # begun anew from what the state says
            own, said = told(flatten(backend.parameters(state))), backend.moments(state)
            after = State(int(said.step), told(said.first), told(said.second))
            state = backend.init(unflatten(own), config, after)
        state, loss = backend.step(state, batch, catalogue, config, rate)
        losses.append(number(loss, call, lambda x: np.asarray(backend.to_numpy(x))))
    return {"losses": np.array(losses), **told(flatten(backend.parameters(state)))}


def number(x: Any, call: dict[str, Any], numpy: Any) -> Any:
    """Return a loss as an array; one that is a number of Python has no type of its own."""
    return np.asarray(x, type_of(call)) if type(x) is float else numpy(x)


def type_of(call: dict[str, Any]) -> Any:
    """Return the type of the first array of floats of a call."""
    floats = (x.dtype for x in numbers_of(call["arrays"]) if x.dtype.kind not in "biu")
    return next(floats, np.dtype(np.float64))


def dense(gradient: Any, shape: tuple[int, ...], numpy: Any) -> Any:
    """Return a gradient in the whole shape: one of a table may name its rows alone."""
    if not hasattr(gradient, "rows"):
        return numpy(gradient)
    values = numpy(gradient.values)
    table = np.zeros(shape, values.dtype)
    np.add.at(table, np.asarray(gradient.rows), values)
    return table


def numbers_of(x: Any) -> list[Any]:
    """Return every array in a nest of tuples and dicts."""
    if isinstance(x, np.ndarray):
        return [x]
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple) else ()
    return [array for part in parts for array in numbers_of(part)]


def intruded(call: dict[str, Any], before: list[bytes], answers: list[Answer]) -> str:
    """Say which rule of all operators the last answer breaks, "" if none."""
    given = numbers_of((call["arrays"], call["d_out"]))
    if [x.tobytes() for x in given] != before:
        return "an input was written to"
    *earlier, last = answers
    for name, x in last.items():
        others = given + [y for answer in earlier for y in answer.values()]
        others += [y for other, y in last.items() if other != name]
        if any(np.shares_memory(x, y) for y in others):
            return f"{name} shares memory with an input or another result"
        if name not in ("rows", "active") and x.dtype != type_of(call):
            return f"{name} is of type {x.dtype} for inputs of type {type_of(call)}"
    return ""


def interval(wrong: dict[str, Any], answers: list[Answer]) -> tuple[Any, Any]:
    """Return the smallest and the largest value allowed; a law takes them from another answer."""
    low, high = wrong["low"], wrong["high"]
    if wrong["like"] is None:
        return low, high
    place, index = wrong["like"]
    want = answers[place][wrong["part"]]
    if index is not None:
        want = want.reshape(-1)[np.minimum(index, want.size - 1)]  # it may have become shorter
    if want.dtype.kind in "biu":
        return want, want
    with np.errstate(all="ignore"):
        width = np.nan_to_num((high - low) / 2, nan=0.0, posinf=np.inf)
        width = width if width.shape == want.shape else np.max(width, initial=0.0)
        want = want.astype(np.float64)
        return want - width, want + width


def outside(got: Any, low: Any, high: Any) -> Any:
    """Return where a part lies outside; what should be infinite or NaN may be either."""
    if np.asarray(low).dtype.kind in "biu":
        return got != low
    got = got.astype(np.float64)
    strange = ~((low < high) | np.isfinite(low))
    inside = (low <= got) & (got <= high) & np.isfinite(got)
    free = np.isneginf(low) & np.isposinf(high)
    return ~(free | np.where(strange, ~np.isfinite(got), inside))


def compared(part: str, got: Any, low: Any, high: Any) -> str:
    """Say what of a part lies outside an interval, "" if nothing does."""
    if got.shape != np.shape(low):
        return f"{part} has shape {got.shape}, expected {np.shape(low)}"
    off = np.argwhere(outside(got, low, high))
    if not len(off):
        return ""
    at = tuple(off[0])
    name = f"{part}[{', '.join(map(str, at))}]" if at else part
    allowed = f"{np.asarray(low)[at]!s} to {np.asarray(high)[at]!s}"
    return f"{name} is {got[at]!s}, allowed {allowed}; {len(off)} of {got.size} are outside"


def verdict(wrong: dict[str, Any], answers: list[Answer]) -> str:
    """Say what is still wrong with the answers, "" if nothing is."""
    part, answer = wrong["part"], answers[wrong["place"]]
    if wrong["kind"] == "outside" and part in answer:
        return compared(part, answer[part], *interval(wrong, answers))
    if wrong["kind"] == "same":  # right one by one, and yet a rule is broken
        same = all(alike(was, now) for was, now in zip(wrong["was"], answers, strict=True))
        return "all answers are what they were; the head of this file says what is wrong" * same
    for number, (answer, allowed) in enumerate(zip(answers, wrong["allowed"], strict=True)):
        for name, (low, high) in allowed.items():
            if name not in answer and (name == part or name not in ("rows", "couplings")):
                return f"{name} did not come back"
            if off := name in answer and compared(name, answer[name], low, high):
                return f"call {number}: {off}"
    return ""


def alike(one: Answer, other: Answer) -> bool:
    """Return whether two answers are the same in every byte."""
    return all(name in other and x.tobytes() == other[name].tobytes() for name, x in one.items())


def fact(backend: Any, call: dict[str, Any]) -> str:
    """Say what is wrong with a backend as a whole, "" if nothing is."""
    if call["stem"] == "conversion":
        x = call["arrays"]["x"]
        for given in (x, np.isfinite(x)):
            back = backend.to_numpy(backend.from_numpy(given))
            same = (back.dtype, back.shape) == (given.dtype, given.shape)
            if not same or back.tobytes() != given.tobytes():
                return f"{given!r} came back as {back!r}"
        return ""
    claims = backend.capabilities()
    forms = ("forward", "backward")[: 1 + (claims.gradients == "derived")]
    wanted = [f"ops.{stem}.{form}" for stem in claims.operators for form in forms]
    wanted += ["differentiate"] * (claims.gradients != "derived")
    wanted += [name for level in claims.levels for name in call["methods"][level]]
    for name in wanted:
        member = backend
        for word in name.split("."):
            member = getattr(member, word, None)
        if not callable(member):
            return f"{name} is claimed, and is not there"
    return ""


def reproduce(name: str, calls: list[dict[str, Any]], wrong: dict[str, Any], device: str) -> int:
    """Ask all that was asked, a few times; return 1 if the failure is there, 0 if it is not."""
    backend = load(name, device)
    for _ in range(TIMES):
        if what := once(backend, calls, wrong):
            break
    print(*filter(None, [what]), "FAILS" if what else "holds", sep="\n")
    return int(bool(what))


def once(backend: Any, calls: list[dict[str, Any]], wrong: dict[str, Any]) -> str:
    """Ask all that was asked, in its order; say what is wrong, "" if nothing is."""
    answers: list[Answer] = []
    copies: list[tuple[Any, bytes]] = []  # what was returned, and how it was
    for number, call in enumerate(calls):
        before = [x.tobytes() for x in numbers_of((call["arrays"], call["d_out"]))]
        try:
            if call["stem"] in ("contract", "conversion"):
                return fact(backend, call)
            answers.append(ask(backend, call))
        except (Exception, SystemExit) as error:
            if number == len(calls) - 1:
                refused = wrong["kind"] == "answered" and not isinstance(error, NotImplementedError)
                raised = f"raised {type(error).__name__}: {error}"
                return "" if refused else f"call {number} of {call['stem']} {raised}"
            answers.append({})  # refused on the way, as it should be
            continue
        what = intruded(call, before, answers)
        if what or any(x.tobytes() != copy for x, copy in copies):
            return what or "an earlier result has changed"
        copies += [(x, x.tobytes()) for x in answers[-1].values()]
    if wrong["kind"] == "answered":
        return "the last call should have been refused, and was answered"
    return "" if wrong["kind"] in ("raised", "beside") else verdict(wrong, answers)
