"""The code that all reproduction scripts share: load a backend, run calls, compare answers.

A script contains this file, with the code of `backend_answers` in place of the import.
"""

from __future__ import annotations

import importlib
import os
import sys
import warnings
from importlib import metadata
from typing import Any

import numpy as np

from mindref.conformance.runner.backend_answers import answer_call, arrays_in, call_dtype
from mindref.conformance.runner.callers import CallFields
from mindref.conformance.runner.forks import Answer, AnyArray
from mindref.conformance.runner.layouts import lay_out, memory_of


class ScriptCall(CallFields, total=False):
    """A call of the script."""

    read_only: bool  # whether the arrays are made read-only
    layout: str  # of the arrays in memory
    methods: dict[str, tuple[str, ...]]  # level -> methods, to test the contract


TIMES = 20  # number of repetitions; a wrong answer may occur only sometimes


def import_backend(name: str, device: str) -> Any:
    """Load the backend `name` (or `module:object`) on `device`. If this fails, exit with 2."""
    sys.path.insert(0, os.getcwd())
    module, _, attribute = name.partition(":")
    try:
        if attribute:
            backend = getattr(importlib.import_module(module), attribute)
        else:
            backend = list(metadata.entry_points(group="mindref.backends", name=name))[-1].load()
        backend = backend() if isinstance(backend, type) else backend
        return backend.on(device) if hasattr(backend, "on") else backend
    except (Exception, SystemExit) as error:
        hint = "run this script where it can be imported" if attribute else "is it installed?"
        text = f"cannot load the backend {name}: {type(error).__name__}: {error}; {hint}"
        print(text, file=sys.stderr)
        sys.exit(2)


def run_call(backend: Any, call: ScriptCall) -> Answer:
    """Run `call` with warnings suppressed; return the arrays of the answer by name."""
    for x in inputs_of(call):
        x.setflags(write=x.flags.writeable and not call["read_only"])
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return answer_call(backend, call)


def inputs_of(call: ScriptCall) -> list[AnyArray]:
    """Return the arrays of `call`, with the cotangent."""
    return list(arrays_in((call["arrays"], call["d_out"])))


def laid_out(x: Any, layout: str) -> Any:
    """Return `x` (nested tuples and dicts) with this layout of every array in memory."""
    if isinstance(x, np.ndarray):
        return lay_out(x, layout)
    if isinstance(x, dict):
        return {name: laid_out(part, layout) for name, part in x.items()}
    if isinstance(x, tuple):
        parts = [laid_out(part, layout) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else tuple(parts)
    return x


def memory_bytes(call: ScriptCall) -> list[bytes]:
    """Return the bytes of the memory of each input, with unused bytes between its numbers."""
    return [memory_of(x).tobytes(order="A") for x in inputs_of(call)]


def broken_common_rule(call: ScriptCall, before: list[bytes], answers: list[Answer]) -> str:
    """Test an answer for changed inputs, shared memory, wrong dtypes. Return a message or ""."""
    inputs = inputs_of(call)
    if memory_bytes(call) != before:
        return "an input was written to"
    *earlier, last = answers
    for name, x in last.items():
        arrays = inputs + [y for answer in earlier for y in answer.values()]
        arrays += [y for other, y in last.items() if other != name]
        if any(np.shares_memory(x, y) for y in arrays):
            return f"{name} shares memory with an input or another result"
        if name not in ("rows", "active") and x.dtype != call_dtype(call):
            return f"{name} has dtype {x.dtype}, expected {call_dtype(call)} as the inputs"
    return ""


def allowed_range(wrong: dict[str, Any], answers: list[Answer]) -> tuple[AnyArray, AnyArray]:
    """Return `low` and `high` of `wrong`, centred on another answer if `wrong["source"]` is set."""
    low, high = wrong["low"], wrong["high"]
    if wrong["source"] is None:
        return low, high
    call_index, index = wrong["source"]
    want = answers[call_index][wrong["part"]]
    if index is not None:  # `want` may be smaller than when the check failed
        want = want.reshape(-1)[np.minimum(index, want.size - 1)]
    if want.dtype.kind in "biu":
        return want, want
    with np.errstate(all="ignore"):
        width = np.nan_to_num((high - low) / 2, nan=0.0, posinf=np.inf)
        width = width if width.shape == want.shape else np.max(width, initial=0.0)
        want = want.astype(np.float64)
        return want - width, want + width


def outside_range(got: AnyArray, low: AnyArray, high: AnyArray) -> AnyArray:
    """Return a mask of wrong values of `got`: outside the interval from `low` to `high`.

    Where both limits are not finite, a finite value is wrong."""
    if np.asarray(low).dtype.kind in "biu":
        return got != low
    got = got.astype(np.float64)
    non_finite = ~((low < high) | np.isfinite(low))
    inside = (low <= got) & (got <= high) & np.isfinite(got)
    return ~(
        (np.isneginf(low) & np.isposinf(high)) | np.where(non_finite, ~np.isfinite(got), inside)
    )


def compare_part(part: str, got: AnyArray, low: AnyArray, high: AnyArray) -> str:
    """Return a message about the first number in `got` outside `low` to `high`, or ""."""
    if got.shape != np.shape(low):
        return f"{part} has shape {got.shape}, expected {np.shape(low)}"
    off = np.argwhere(outside_range(got, low, high))
    if not len(off):
        return ""
    position = tuple(off[0])
    name = f"{part}[{', '.join(map(str, position))}]" if position else part
    allowed = f"{np.asarray(low)[position]!s} to {np.asarray(high)[position]!s}"
    return f"{name} is {got[position]!s}, allowed {allowed}; {len(off)} of {got.size} are outside"


def remaining_error(wrong: dict[str, Any], answers: list[Answer]) -> str:
    """Return a message if `answers` still have the error that `wrong` describes, or ""."""
    part, answer = wrong["part"], answers[wrong["call_index"]]
    if wrong["kind"] == "outside" and part in answer:
        return compare_part(part, answer[part], *allowed_range(wrong, answers))
    if wrong["kind"] == "same":  # all answers matched the reference, although the check failed
        same = all(same_bytes(was, now) for was, now in zip(wrong["was"], answers, strict=True))
        return "all answers are unchanged; see the comment at the top of this file" * same
    for number, (answer, allowed) in enumerate(zip(answers, wrong["allowed"], strict=True)):
        for name, (low, high) in allowed.items():
            if name not in answer and (name == part or name not in ("rows", "couplings")):
                return f"{name} is missing in the answer"
            if off := name in answer and compare_part(name, answer[name], low, high):
                return f"call {number}: {off}"
    return ""


def same_bytes(one: Answer, other: Answer) -> bool:
    """Return whether each array in `one` has the same bytes in `other`."""
    return all(name in other and x.tobytes() == other[name].tobytes() for name, x in one.items())


def contract_error(backend: Any, call: ScriptCall) -> str:
    """Return a message if a NumPy conversion is wrong or a claimed function is missing, or ""."""
    if call["stem"] == "conversion":
        x = call["arrays"]["x"]
        for array in (x, np.isfinite(x)):
            back = backend.to_numpy(backend.from_numpy(array))
            same = (back.dtype, back.shape) == (array.dtype, array.shape)
            if not same or back.tobytes() != array.tobytes():
                return f"{array!r} was converted to {back!r}"
        return ""
    claims = backend.capabilities()
    derived = claims.gradients == "derived"
    forms = ("forward", "backward") if derived else ("forward",)
    claimed = [f"ops.{stem}.{form}" for stem in claims.operators for form in forms]
    claimed += [] if derived else ["differentiate"]
    claimed += [name for level in claims.levels for name in call["methods"][level]]
    for name in claimed:
        member = backend
        for word in name.split("."):
            member = getattr(member, word, None)
        if not callable(member):
            return f"{name} is claimed but missing"
    return ""


def reproduce(name: str, calls: list[ScriptCall], wrong: dict[str, Any], device: str) -> int:
    """Run `calls` up to TIMES times. Return 1 if the failure occurs, otherwise 0."""
    backend = import_backend(name, device)
    for call in calls:
        call["arrays"] = laid_out(call["arrays"], call["layout"])
        call["d_out"] = laid_out(call["d_out"], call["layout"])
    for _ in range(TIMES):
        if error := run_once(backend, calls, wrong):
            break
    print(*filter(None, [error]), "FAILS" if error else "holds", sep="\n")
    return int(bool(error))


def run_once(backend: Any, calls: list[ScriptCall], wrong: dict[str, Any]) -> str:
    """Run `calls` in order. Return a message if the failure is present, or ""."""
    answers: list[Answer] = []
    copies: list[tuple[AnyArray, bytes]] = []  # returned array, and its bytes at that time
    for number, call in enumerate(calls):
        before = memory_bytes(call)
        try:
            if call["stem"] in ("contract", "conversion"):
                return contract_error(backend, call)
            answers.append(run_call(backend, call))
        except (Exception, SystemExit) as error:
            if number == len(calls) - 1:
                refused = wrong["kind"] == "answered" and not isinstance(error, NotImplementedError)
                raised = f"raised {type(error).__name__}: {error}"
                return "" if refused else f"call {number} of {call['stem']} {raised}"
            answers.append({})  # an earlier call that raised had invalid inputs, so go on
            continue
        error_text = broken_common_rule(call, before, answers)
        if error_text or any(x.tobytes() != copy for x, copy in copies):
            return error_text or "an earlier result was changed"
        copies += [(x, x.tobytes()) for x in answers[-1].values()]
    if wrong["kind"] == "answered":
        return "the last call is invalid and returned an answer, expected an exception"
    return "" if wrong["kind"] in ("raised", "common_rule") else remaining_error(wrong, answers)
