"""One line that says how much of what: "ops 41/41 · gradients 38/41 · model 12/12 · train 6/6".

Rules are counted, those whose checks all passed over those that are claimed; a percentage would
hide of what. Types narrower than float32 are a class of their own.
"""

from __future__ import annotations

from collections.abc import Callable

from mindref.conformance.judging.plan import LOGIC
from mindref.conformance.judging.result import Report, Result

PARTS: dict[str, Callable[[Result], bool]] = {
    "ops": lambda r: r.level == "ops" and not r.gradient,
    "gradients": lambda r: r.level == "ops" and r.gradient,
    "model": lambda r: r.level == "model",
    "train": lambda r: r.level == "train",
}


def text(report: Report) -> str:
    """Return the badge of a judgement."""
    logic = [r for r in report.results if r.precision.split("/")[0] in LOGIC]
    parts = [part(name, list(filter(of, logic))) for name, of in PARTS.items()]
    narrow = [p for p in report.precisions if p.split("/")[0] not in LOGIC]
    parts += [part(p, [r for r in report.results if r.precision == p]) for p in narrow]
    only = f"{', '.join(report.words)}: " if report.words else ""
    loosened = sum(r.grade == "C" for r in report.results)
    parts += [f"{loosened} loosened"] * bool(loosened)
    return only + " · ".join(filter(None, parts))


def part(name: str, results: list[Result]) -> str:
    """Return one part of the badge, "" for one without any check."""
    if not results:
        return ""
    asked: dict[str, list[str]] = {}
    for result in results:
        if result.status not in ("not_claimed", "itself"):
            for rule in result.rules:
                asked.setdefault(rule, []).append(result.status)
    if not asked:
        itself = any(r.status == "itself" for r in results)
        return f"{name} {'the reference itself' if itself else 'not claimed'}"
    kept = sum(all(status == "passed" for status in found) for found in asked.values())
    return f"{name} {kept}/{len(asked)}"
