"""Write a Python script that reproduces a failure: rule, calls with exact numbers, verdict.

The script imports NumPy and the backend, but not the suite. For levels 2 and 3, it also imports
mindref's tuples of parameters and batches. It exits with 1 if the failure is still present, with 0
if not, and with 2 if the backend cannot be loaded.
"""

from __future__ import annotations

import dataclasses
import math
import pprint
import re
import textwrap
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import mindref
from mindref.conformance import versions
from mindref.conformance.bounds import Precision
from mindref.conformance.runner import manifest
from mindref.conformance.runner.call import Answer, AnyArray, Call
from mindref.conformance.runner.claims import LEVELS
from mindref.conformance.runner.plan import RunSettings
from mindref.conformance.runner.reference import expected_answer
from mindref.conformance.runner.result import CheckResult, Evidence
from mindref.run import atomic

Imports = set[tuple[str, str]]
"""(module, name) of each class to import for the values in a script."""

Ranges = dict[str, tuple[AnyArray, AnyArray]]
"""Part of an answer -> the smallest and the largest allowed value."""

SUITE_IMPORT = re.compile(r"^from mindref\.conformance\.runner\.backend_answers import .*\n", re.M)
"""The line of the template that the text of backend_answers.py replaces."""

COMPARED = ("outside", "fact", "missing")
"""Kinds of evidence that concern numbers of an answer."""


def write_script(
    result: CheckResult, backend: str, settings: RunSettings, folder: Path, device: str = "cpu"
) -> Path:
    """Write the script of a failure into a folder and return its path.

    The file is written atomically. Raises RunError if it cannot be written.
    """
    path = folder / file_name(result)
    with atomic.explain_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, script_text(result, backend, settings, device))
    return path


def file_name(result: CheckResult) -> str:
    """Return the file name of a script: check and precision, without special characters."""
    check = re.sub(r"\W+", ".", result.check).strip(".")
    return f"{check}.{result.precision.replace('/', '-')}.py"


def script_text(
    result: CheckResult, backend: str, settings: RunSettings, device: str = "cpu"
) -> str:
    """Return the script of a failure. Raises TypeError for a result without evidence."""
    evidence = result.evidence
    if evidence is None:
        raise TypeError(f"{result.check}: this failure has no evidence")
    imports: Imports = set()
    calls = [
        call_literal(call, imports, read_only=index in evidence.read_only)
        for index, call in enumerate(evidence.calls)
    ]
    wrong = expectation_literal(result, evidence, imports)
    lines = [*header_lines(result, backend, settings), template_source()]
    lines += ["from numpy import inf, nan"]
    lines += [f"from {module} import {name}" for module, name in sorted(imports)]
    if any("'bfloat16'" in call for call in calls):
        lines.append("import ml_dtypes")  # adds the dtype to NumPy
    lines += ["", f"BACKEND, DEVICE = {backend!r}, {device!r}", "", "CALLS = ["]
    lines += [textwrap.indent(call, "    ") + "," for call in calls]
    lines += ["]", "", f"WRONG = {wrong}", "", 'if __name__ == "__main__":']
    lines += ["    sys.exit(reproduce(BACKEND, CALLS, WRONG, DEVICE))"]
    return "\n".join(lines) + "\n"


def header_lines(result: CheckResult, backend: str, settings: RunSettings) -> list[str]:
    """Return the comment at the top: the failure, the rule, and the versions."""
    rule = result.rule
    paragraphs = [
        f"{result.check} [{result.precision}] fails for the backend {backend}.",
        f"{rule} ({manifest.rule_force(rule)}): {manifest.rule_text(rule)}",
        f"Requirement: {result.text}",
        f"Found: {result.message}",
        f"Diagnosis: {result.diagnosis}" if result.diagnosis else "",
        "Run it where the backend can be imported. It exits with 1 while the failure is present,"
        " and with 0 when it is gone.",
        f"Made by mindref {mindref.__version__}, specification {versions.SPEC},"
        f" suite {versions.SUITE}; profile {settings.profile}, seed {settings.seed}.",
    ]
    lines: list[str] = []
    for paragraph in filter(None, paragraphs):
        wrapped = textwrap.wrap(" ".join(paragraph.split()), 97, break_on_hyphens=False)
        lines += [f"# {line}" for line in wrapped] + ["#"]
    return lines[:-1]


@cache
def template_source() -> str:
    """Return the code that is the same in every script, including the text of backend_answers."""
    folder = resources.files("mindref.conformance")
    template, answers = (
        folder.joinpath(path).read_text(encoding="utf-8")
        for path in ("report/reproduction_template.py", "runner/backend_answers.py")
    )
    _, code = answers.split("import numpy as np\n\n")
    return SUITE_IMPORT.sub(lambda line: code, template)  # conformance-R14


def call_literal(call: Call, imports: Imports, *, read_only: bool = False) -> str:
    """Return the Python source of one call. If `read_only`, its arrays become read-only."""
    parts = {
        "stem": repr(call.stem),
        "arrays": value_literal(call.arrays, imports),
        "numbers": value_literal(call.numbers, imports),
        "d_out": value_literal(call.cotangent, imports),
        "gradients": repr(call.differentiable),
        "read_only": repr(read_only),
    }
    if call.stem == "contract":
        parts["methods"] = value_literal(LEVELS, imports)
    return dict_literal(parts)


def expectation_literal(result: CheckResult, evidence: Evidence, imports: Imports) -> str:
    """Return the source of a dict: wrong part, allowed interval, how to repeat the comparison."""
    names = ("part", "call_index", "low", "high")
    fields = {name: getattr(evidence, name) for name in names}
    fields |= {"source": source_literal(evidence)} | recheck_rule(result, evidence)
    return dict_literal({name: value_literal(x, imports) for name, x in fields.items()})


def recheck_rule(result: CheckResult, evidence: Evidence) -> dict[str, Any]:
    """Return how the script decides whether the failure is still present.

    If the check's interval overlaps the reference's interval, the answer must be in the check's
    interval. Otherwise wrong answers may have moved the check's interval, so all answers must
    match the reference. If all matched when the check failed, any changed answer counts as fixed.
    """
    kind, part = evidence.kind, evidence.part
    ranges = [allowed_ranges(call, result) for call in evidence.calls] if kind in COMPARED else []
    if kind == "outside" and evidence.source is None and part in ranges[evidence.call_index]:
        interval = ranges[evidence.call_index][part]
        reference_inside = intervals_meet((evidence.low, evidence.high), interval)
        kind = "outside" if reference_inside else "fact"
    was: list[Answer] = [dict(evidence.answers).get(i, {}) for i in range(len(evidence.calls))]
    if kind == "fact" and not any(map(is_outside, was, ranges)):
        return {"kind": "same", "allowed": [], "was": was}
    return {"kind": kind, "allowed": ranges if kind in ("fact", "missing") else [], "was": []}


def source_literal(evidence: Evidence) -> tuple[int, AnyArray | None] | None:
    """Return `evidence.source`, with None for indices that select the whole array in order."""
    if evidence.source is None:
        return None
    call_index, index = evidence.source
    other = dict(evidence.answers)[call_index][evidence.part]
    takes_all = np.array_equal(index, np.arange(other.size).reshape(other.shape))
    return call_index, None if takes_all else index


def allowed_ranges(call: Call, result: CheckResult) -> Ranges:
    """Return the allowed interval of each array of an answer; empty if the reference raises."""
    try:
        expected = expected_answer(call, Precision.of(result.precision.split("/")), "worst")
    except Exception:  # the reference raises for this call
        return {}
    wide = {n: e._replace(allowed=result.factor * e.allowed) for n, e in expected.items()}
    return {name: want.interval() for name, want in wide.items()}


def intervals_meet(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Return whether two pairs of arrays (low, high) contain overlapping intervals everywhere."""
    (low, high), (least, most) = ([x.astype(np.float64) for x in pair] for pair in (one, other))
    if low.shape != least.shape:
        return False
    both = non_finite_interval(low, high) & non_finite_interval(least, most)
    free = np.isneginf(low) & np.isposinf(high)
    return bool(np.all(both | free | ((low <= most) & (least <= high))))


def non_finite_interval(low: AnyArray, high: AnyArray) -> AnyArray:
    """Return a mask that is true where low and high are the same infinity, or both are NaN."""
    return ~((low < high) | np.isfinite(low))


def is_outside(answer: Answer, ranges: Ranges) -> bool:
    """Return whether any part of an answer has a number outside its interval in `ranges`."""
    common = [name for name in ranges if name in answer]
    return any(not intervals_meet((answer[n], answer[n]), ranges[n]) for n in common)


def dict_literal(parts: dict[str, str]) -> str:
    """Return the source of a dict; `parts` maps each key of the dict to its value's source."""
    lines = [f"    {name!r}: {value}," for name, value in parts.items()]
    return "\n".join(["{", *lines, "}"])


def value_literal(x: Any, imports: Imports) -> str:
    """Return Python source that evaluates to x, bit for bit except the payload of a NaN.

    Raises TypeError for anything but numbers, text, arrays, plain containers of them, named tuples
    and dataclasses.
    """
    if isinstance(x, np.ndarray | np.generic):
        return array_literal(np.asarray(x))
    if x is None or isinstance(x, bool | int | str):
        return repr(x)
    if isinstance(x, float):
        return repr(x) if math.isfinite(x) else f"float({str(x)!r})"
    if isinstance(x, dict):
        return dict_literal({name: value_literal(part, imports) for name, part in x.items()})
    return compound_literal(x, imports)


def compound_literal(x: Any, imports: Imports) -> str:
    """Return the source of a tuple, a named tuple, a list or a dataclass."""
    if hasattr(x, "_fields"):
        return constructor_text(type(x), x._asdict(), imports)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        values = {f: getattr(x, f.name) for f in dataclasses.fields(x)}
        changed = {f.name: value for f, value in values.items() if value != f.default}
        return constructor_text(type(x), changed, imports)
    if isinstance(x, tuple | list):
        inner = ", ".join(value_literal(part, imports) for part in x)
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' if len(x) == 1 else ''})"
    raise TypeError(f"no literal for {type(x).__name__}")


def constructor_text(kind: type, fields: dict[str, Any], imports: Imports) -> str:
    """Return the source of a constructor call with keyword arguments."""
    imports.add((kind.__module__, kind.__qualname__))
    parts = [f"{name}={value_literal(part, imports)}" for name, part in fields.items()]
    return f"{kind.__name__}({', '.join(parts)})"


def array_literal(x: np.ndarray[Any, Any]) -> str:
    """Return the source of an array: exact numbers, dtype, shape and memory layout."""
    order = memory_order(x)
    if order != tuple(range(x.ndim)):
        return f"{array_literal(x.transpose(order))}.transpose({tuple(np.argsort(order).tolist())})"
    plain = x.astype(np.float64) if x.dtype.name == "bfloat16" else x
    numbers = pprint.pformat(plain.tolist(), width=96, compact=True)
    text = f"np.array({numbers}, {x.dtype.name!r})"
    return text + f".reshape({x.shape})" * (x.size == 0)


def memory_order(x: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return the axes of an array, the largest stride first."""
    if x.size == 0 or x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
