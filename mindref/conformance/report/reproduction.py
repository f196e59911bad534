"""Write a Python script that calls a backend with the exact inputs of a failed check.

The script imports NumPy and the backend, but not the suite. If it tests a model or a training, it
also imports mindref.config, mindref.models and mindref.training. Exit codes: 1 if the failure is
still present, 0 if it is gone, 2 if the backend cannot be loaded.
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

Imports = set[str]
"""The modules that a script must import. Two modules may define a class of the same name."""

Ranges = dict[str, tuple[AnyArray, AnyArray]]
"""Name of an array in an answer -> the smallest and the largest allowed values."""

SUITE_IMPORT = re.compile(r"^from mindref\.conformance\.runner\.(\w+) import .*\n", re.M)
"""Matches an import line of the template; the code of the module replaces this line."""

COMPARED = ("outside", "fact", "missing")
"""Values of `Evidence.kind` for which the script compares the numbers of answers."""


def write_script(
    result: CheckResult, backend: str, settings: RunSettings, folder: Path, device: str = "cpu"
) -> Path:
    """Write the script that reproduces `result` into `folder`, and return its path.

    Raises RunError if the script cannot be written.
    """
    path = folder / file_name(result)
    with atomic.explain_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, script_text(result, backend, settings, device))
    return path


def file_name(result: CheckResult) -> str:
    """Return a file name such as "routing.padding_has_no_influence.float64.py"."""
    check = re.sub(r"\W+", ".", result.check).strip(".")
    return f"{check}.{result.precision.replace('/', '-')}.py"


def script_text(
    result: CheckResult, backend: str, settings: RunSettings, device: str = "cpu"
) -> str:
    """Return the text of the script. Raises TypeError if `result.evidence` is None."""
    evidence = result.evidence
    if evidence is None:
        raise TypeError(f"{result.check}: this failure has no evidence")
    imports: Imports = set()
    calls = [
        call_literal(
            call,
            imports,
            read_only=index in evidence.read_only,
            layout=dict(evidence.layouts).get(index, ""),
        )
        for index, call in enumerate(evidence.calls)
    ]
    wrong = expectation_literal(result, evidence, imports)
    lines = [*header_lines(result, backend, settings), template_source()]
    lines += ["from numpy import inf, nan"]
    lines += [f"import {module}" for module in sorted(imports)]
    if any("'bfloat16'" in call for call in calls):
        lines.append("import ml_dtypes")  # defines bfloat16 for NumPy
    lines += ["", f"BACKEND, DEVICE = {backend!r}, {device!r}", "", "CALLS = ["]
    lines += [textwrap.indent(call, "    ") + "," for call in calls]
    lines += ["]", "", f"WRONG = {wrong}", "", 'if __name__ == "__main__":']
    lines += ["    sys.exit(reproduce(BACKEND, CALLS, WRONG, DEVICE))"]
    return "\n".join(lines) + "\n"


def header_lines(result: CheckResult, backend: str, settings: RunSettings) -> list[str]:
    """Return the comment at the top of the script: the failure, the rule, and the versions."""
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
    """Return the code that all scripts share: the template and the modules that it imports."""
    folder = resources.files("mindref.conformance")

    def code_of(path: str) -> str:
        return folder.joinpath(path).read_text(encoding="utf-8")

    template = code_of("report/reproduction_template.py")

    def module_code(line: re.Match[str]) -> str:
        code = code_of(f"runner/{line[1]}.py").split("annotations\n\n")[1]
        code = SUITE_IMPORT.sub("", code)  # the template imports these modules too
        repeated = {x for x in template.splitlines() if x.startswith(("import ", "from "))}
        return "\n".join(x for x in code.splitlines() if x not in repeated) + "\n"

    return SUITE_IMPORT.sub(module_code, template)  # conformance-R14


def call_literal(call: Call, imports: Imports, *, read_only: bool = False, layout: str = "") -> str:
    """Return Python source for `call`. If `read_only`, the script makes the arrays read-only.

    layout: how the script lays out the arrays in memory (layouts.py).
    """
    parts = {
        "stem": repr(call.stem),
        "arrays": value_literal(call.arrays, imports),
        "numbers": value_literal(call.numbers, imports),
        "d_out": value_literal(call.cotangent, imports),
        "gradients": repr(call.differentiable),
        "read_only": repr(read_only),
        "layout": repr(layout),
    }
    if call.stem == "contract":
        parts["methods"] = value_literal(LEVELS, imports)
    return dict_literal(parts)


def expectation_literal(result: CheckResult, evidence: Evidence, imports: Imports) -> str:
    """Return Python source of a dict: the wrong array, the allowed interval, how to compare."""
    names = ("part", "call_index", "low", "high")
    fields = {name: getattr(evidence, name) for name in names}
    fields |= {"source": source_literal(evidence)} | recheck_rule(result, evidence)
    return dict_literal({name: value_literal(x, imports) for name, x in fields.items()})


def recheck_rule(result: CheckResult, evidence: Evidence) -> dict[str, Any]:
    """Return a dict. Its "kind" is the condition under which the failure is present, such as:

    - "outside": a number is outside the interval that the check allows.
    - "fact": an answer does not match the reference. Used if the check's interval may be wrong.
    - "same": no answer has changed. Used if all answers matched the reference.
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
    """Return `evidence.source`, with None in place of the indices 0, 1, ..., size - 1."""
    if evidence.source is None:
        return None
    call_index, index = evidence.source
    other = dict(evidence.answers)[call_index][evidence.part]
    takes_all = np.array_equal(index, np.arange(other.size).reshape(other.shape))
    return call_index, None if takes_all else index


def allowed_ranges(call: Call, result: CheckResult) -> Ranges:
    """Return the allowed interval of each array in the answer; {} if there is no useful bound.

    The reference may raise an error. Over many steps, rounding errors grow without a useful bound.
    """
    if call.stem == "steps":
        return {}
    try:
        expected = expected_answer(call, Precision.of(result.precision.split("/")), "worst")
    except Exception:
        return {}
    wide = {n: e._replace(allowed=result.factor * e.allowed) for n, e in expected.items()}
    return {name: want.interval() for name, want in wide.items()}


def intervals_meet(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Return whether the intervals (low, high) in `one` and `other` overlap at every position."""
    (low, high), (least, most) = ([x.astype(np.float64) for x in pair] for pair in (one, other))
    if low.shape != least.shape:
        return False
    both = non_finite_interval(low, high) & non_finite_interval(least, most)
    free = np.isneginf(low) & np.isposinf(high)
    return bool(np.all(both | free | ((low <= most) & (least <= high))))


def non_finite_interval(low: AnyArray, high: AnyArray) -> AnyArray:
    """Return a mask: true where `low` and `high` are both NaN or the same infinity."""
    return ~((low < high) | np.isfinite(low))


def is_outside(answer: Answer, ranges: Ranges) -> bool:
    """Return whether any array in `answer` has a number outside the interval in `ranges`."""
    common = [name for name in ranges if name in answer]
    return any(not intervals_meet((answer[n], answer[n]), ranges[n]) for n in common)


def dict_literal(parts: dict[str, str]) -> str:
    """Return the source of a dict. `parts` maps each key to the source of the value."""
    lines = [f"    {name!r}: {value}," for name, value in parts.items()]
    return "\n".join(["{", *lines, "}"])


def value_literal(x: Any, imports: Imports) -> str:
    """Return Python source that evaluates to `x` bit for bit; only the bits of a NaN may differ.

    Raises TypeError for types other than numbers, text, arrays, dicts, lists, tuples, dataclasses.
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
    """Return the source of `x`, a tuple, named tuple, list or dataclass."""
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
    """Return the source of a call `kind(name=value, ...)`, and add its module to `imports`."""
    imports.add(kind.__module__)
    parts = [f"{name}={value_literal(part, imports)}" for name, part in fields.items()]
    return f"{kind.__module__}.{kind.__qualname__}({', '.join(parts)})"


def array_literal(x: np.ndarray[Any, Any]) -> str:
    """Return source of an array with the numbers, dtype, shape and memory layout of `x`."""
    order = memory_order(x)
    if order != tuple(range(x.ndim)):
        return f"{array_literal(x.transpose(order))}.transpose({tuple(np.argsort(order).tolist())})"
    plain = x.astype(np.float64) if x.dtype.name == "bfloat16" else x
    numbers = pprint.pformat(plain.tolist(), width=96, compact=True)
    text = f"np.array({numbers}, {x.dtype.name!r})"
    return text + f".reshape({x.shape})" * (x.size == 0)


def memory_order(x: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return the axes of `x`, sorted from the largest to the smallest stride."""
    if x.size == 0 or x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
