"""A failure as one file that anyone can run: exact numbers, the rule, the calls, the verdict.

The script imports NumPy, the backend and, for levels 2 and 3, the tuples of mindref that carry
parameters and batches; nothing of the suite. It exits with 1 while the failure
is there and with 0 when it is not.
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
from mindref.conformance.judging import compare, manifest
from mindref.conformance.judging.call import Answer, Anything, Call
from mindref.conformance.judging.claims import LEVELS
from mindref.conformance.judging.failure import Evidence
from mindref.conformance.judging.plan import Settings
from mindref.conformance.judging.reference import expected
from mindref.conformance.judging.result import Result
from mindref.run import atomic

Imports = set[tuple[str, str]]
"""(module, name) of each class that a literal needs."""

Ranges = dict[str, tuple[Anything, Anything]]
"""Part of an answer -> the smallest and the largest value allowed."""

COMPARED = ("outside", "fact", "missing")
"""Kinds of evidence that are about numbers that came back."""


def write(
    result: Result, backend: str, settings: Settings, folder: Path, device: str = "cpu"
) -> Path:
    """Write the script of a failure with evidence into a folder and return its path.

    It appears whole or not at all. Raises RunError where nothing can be written.
    """
    path = folder / file_name(result)
    with atomic.explained(path):
        folder.mkdir(parents=True, exist_ok=True)
    atomic.write_text(path, text(result, backend, settings, device))
    return path


def file_name(result: Result) -> str:
    """Return the name of a script: check and precision, and nothing that a shell would read."""
    check = re.sub(r"\W+", ".", result.check).strip(".")
    return f"{check}.{result.precision.replace('/', '-')}.py"


def text(result: Result, backend: str, settings: Settings, device: str = "cpu") -> str:
    """Return the script of a failure. Raises TypeError for a result without evidence."""
    evidence = result.evidence
    if evidence is None:
        raise TypeError(f"{result.check}: nothing is known of this failure")
    imports: Imports = set()
    calls = [
        call_literal(call, imports, frozen=place in evidence.frozen)
        for place, call in enumerate(evidence.calls)
    ]
    wrong = wrong_literal(result, evidence, imports)
    lines = [*head(result, backend, settings), common(), "from numpy import inf, nan"]
    lines += [f"from {module} import {name}" for module, name in sorted(imports)]
    if any("'bfloat16'" in call for call in calls):
        lines.append("import ml_dtypes")  # it gives NumPy the type
    lines += ["", f"BACKEND, DEVICE = {backend!r}, {device!r}", "", "CALLS = ["]
    lines += [textwrap.indent(call, "    ") + "," for call in calls]
    lines += ["]", "", f"WRONG = {wrong}", "", 'if __name__ == "__main__":']
    lines += ["    sys.exit(reproduce(BACKEND, CALLS, WRONG, DEVICE))"]
    return "\n".join(lines) + "\n"


def head(result: Result, backend: str, settings: Settings) -> list[str]:
    """Return the comment at the top: what is wrong, by which rule, and who says so."""
    rule = result.rule
    paragraphs = [
        f"{result.check} [{result.precision}] fails for the backend {backend}.",
        f"{rule} ({manifest.force(rule)}): {manifest.words(rule)}",
        f"Asked: {result.text}",
        f"Found: {result.message}",
        f"Probably: {result.diagnosis}" if result.diagnosis else "",
        "Run it where the backend can be imported: it exits with 1 while this fails, with 0 when"
        " it holds.",
        f"By mindref {mindref.__version__}, specification {versions.SPEC}, suite {versions.SUITE};"
        f" profile {settings.profile}, seed {settings.seed}.",
    ]
    lines: list[str] = []
    for paragraph in filter(None, paragraphs):
        wrapped = textwrap.wrap(" ".join(paragraph.split()), 97, break_on_hyphens=False)
        lines += [f"# {line}" for line in wrapped] + ["#"]
    return lines[:-1]


@cache
def common() -> str:
    """Return the part that is the same in every script."""
    source = resources.files("mindref.conformance.report").joinpath("standalone.py")
    return source.read_text(encoding="utf-8")  # conformance-R14


def call_literal(call: Call, imports: Imports, *, frozen: bool = False) -> str:
    """Return one question as a literal; a frozen one is put with arrays that are read-only."""
    parts = {
        "stem": repr(call.stem),
        "arrays": literal(call.arrays, imports),
        "numbers": literal(call.numbers, imports),
        "d_out": literal(call.cotangent, imports),
        "gradients": repr(call.learned),
        "frozen": repr(frozen),
    }
    if call.stem == "contract":
        parts["methods"] = literal(LEVELS, imports)
    return mapping(parts)


def wrong_literal(result: Result, evidence: Evidence, imports: Imports) -> str:
    """Return what was wrong as a literal."""
    names = ("part", "place", "low", "high")
    given = {name: getattr(evidence, name) for name in names}
    given |= {"like": like(evidence)} | standard(result, evidence)
    return mapping({name: literal(x, imports) for name, x in given.items()})


def standard(result: Result, evidence: Evidence) -> dict[str, Any]:
    """Return by what the answers are to be judged once more.

    An interval serves if the reference keeps it: one that was made of other answers may be the
    wrong one. Without an interval all answers must be right; if they were, they must change.
    """
    kind, part = evidence.kind, evidence.part
    ranges = [allowed(call, result) for call in evidence.calls] if kind in COMPARED else []
    if kind == "outside" and evidence.like is None and part in ranges[evidence.place]:
        kept = meet((evidence.low, evidence.high), ranges[evidence.place][part])
        kind = "outside" if kept else "fact"
    was: list[Answer] = [dict(evidence.answers).get(i, {}) for i in range(len(evidence.calls))]
    if kind == "fact" and not any(map(off, was, ranges)):
        return {"kind": "same", "allowed": [], "was": was}
    return {"kind": kind, "allowed": ranges if kind in ("fact", "missing") else [], "was": []}


def like(evidence: Evidence) -> tuple[int, Anything | None] | None:
    """Return the answer that a law speaks of, with None where it takes all of it as it is."""
    if evidence.like is None:
        return None
    place, index = evidence.like
    other = dict(evidence.answers)[place][evidence.part]
    whole = np.array_equal(index, np.arange(other.size).reshape(other.shape))
    return place, None if whole else index


def allowed(call: Call, result: Result) -> Ranges:
    """Return the interval of each part of the reference's answer, none where it refuses."""
    try:
        found = expected(call, Precision.of(result.precision.split("/")), "worst")
    except Exception:  # a question that ought to be refused, or that is no question to it
        return {}
    wide = {n: e._replace(allowed=result.factor * e.allowed) for n, e in found.items()}
    return {name: compare.interval(want) for name, want in wide.items()}


def meet(one: tuple[Any, Any], other: tuple[Any, Any]) -> bool:
    """Return whether two intervals have numbers in common, in every place."""
    (low, high), (least, most) = ([x.astype(np.float64) for x in pair] for pair in (one, other))
    if low.shape != least.shape:
        return False
    both = strange(low, high) & strange(least, most)
    free = np.isneginf(low) & np.isposinf(high)
    return bool(np.all(both | free | ((low <= most) & (least <= high))))


def strange(low: Anything, high: Anything) -> Anything:
    """Return where an interval is that of an infinity or of NaN."""
    return ~((low < high) | np.isfinite(low))


def off(answer: Answer, ranges: Ranges) -> bool:
    """Return whether some part of an answer lies outside what is allowed."""
    common = [name for name in ranges if name in answer]
    return any(not meet((answer[n], answer[n]), ranges[n]) for n in common)


def mapping(parts: dict[str, str]) -> str:
    """Return a dict of literals, a line each."""
    lines = [f"    {name!r}: {value}," for name, value in parts.items()]
    return "\n".join(["{", *lines, "}"])


def literal(x: Any, imports: Imports) -> str:
    """Return Python text that makes x again, bit for bit but for the payload of a NaN.

    Raises TypeError for what is neither a number, a word, an array, a plain container of those, a
    named tuple nor a dataclass.
    """
    if isinstance(x, np.ndarray | np.generic):
        return array(np.asarray(x))
    if x is None or isinstance(x, bool | int | str):
        return repr(x)
    if isinstance(x, float):
        return repr(x) if math.isfinite(x) else f"float({str(x)!r})"
    if isinstance(x, dict):
        return mapping({name: literal(part, imports) for name, part in x.items()})
    return compound(x, imports)


def compound(x: Any, imports: Imports) -> str:
    """Return the text of a tuple, a named tuple, a list or a dataclass."""
    if hasattr(x, "_fields"):
        return made(type(x), x._asdict(), imports)
    if dataclasses.is_dataclass(x) and not isinstance(x, type):
        fields = {f.name: (getattr(x, f.name), f.default) for f in dataclasses.fields(x)}
        return made(type(x), {n: v for n, (v, default) in fields.items() if v != default}, imports)
    if isinstance(x, tuple | list):
        inner = ", ".join(literal(part, imports) for part in x)
        return f"[{inner}]" if isinstance(x, list) else f"({inner}{',' if len(x) == 1 else ''})"
    raise TypeError(f"no literal for {type(x).__name__}")


def made(kind: type, fields: dict[str, Any], imports: Imports) -> str:
    """Return the text of a call of a class by names."""
    imports.add((kind.__module__, kind.__qualname__))
    parts = [f"{name}={literal(part, imports)}" for name, part in fields.items()]
    return f"{kind.__name__}({', '.join(parts)})"


def array(x: np.ndarray[Any, Any]) -> str:
    """Return the text of an array: every number exactly, its type, its shape and its layout."""
    order = layout(x)
    if order != tuple(range(x.ndim)):
        return f"{array(x.transpose(order))}.transpose({tuple(np.argsort(order).tolist())})"
    plain = x.astype(np.float64) if x.dtype.name == "bfloat16" else x
    numbers = pprint.pformat(plain.tolist(), width=96, compact=True)
    text = f"np.array({numbers}, {x.dtype.name!r})"
    return text + f".reshape({x.shape})" * (x.size == 0)


def layout(x: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Return the axes of an array, those first that have the largest steps in memory."""
    if x.size == 0 or x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis])))
