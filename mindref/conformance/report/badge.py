"""One line with passed and claimed rules: "ops 41/41 · gradients 38/41 · model 12/12 · train 6/6".

It counts rules whose checks all passed, out of the claimed rules. Dtypes narrower than float32 are
counted separately.
"""

from __future__ import annotations

from collections.abc import Callable

from mindref.conformance.runner.plan import FULL_PRECISIONS
from mindref.conformance.runner.result import CheckResult, ConformanceReport

PARTS: dict[str, Callable[[CheckResult], bool]] = {
    "ops": lambda r: r.level == "ops" and not r.gradient,
    "gradients": lambda r: r.level == "ops" and r.gradient,
    "model": lambda r: r.level == "model",
    "train": lambda r: r.level == "train",
}


def badge_text(report: ConformanceReport) -> str:
    """Return the badge of a report."""
    logic = [r for r in report.results if r.precision.split("/")[0] in FULL_PRECISIONS]
    parts = [badge_part(name, list(filter(of, logic))) for name, of in PARTS.items()]
    narrow = [p for p in report.precisions if p.split("/")[0] not in FULL_PRECISIONS]
    parts += [badge_part(p, [r for r in report.results if r.precision == p]) for p in narrow]
    only = f"{', '.join(report.selection)}: " if report.selection else ""
    loosened = sum(r.grade == "C" for r in report.results)
    parts += [f"{loosened} with widened tolerance"] * bool(loosened)
    return only + " · ".join(filter(None, parts))


def badge_part(name: str, results: list[CheckResult]) -> str:
    """Return one part of the badge, or "" without any check."""
    if not results:
        return ""
    statuses_by_rule: dict[str, list[str]] = {}
    for result in results:
        if result.status not in ("not_claimed", "self_comparison"):
            for rule in result.rules:
                statuses_by_rule.setdefault(rule, []).append(result.status)
    if not statuses_by_rule:
        itself = any(r.status == "self_comparison" for r in results)
        return f"{name} {'the reference itself' if itself else 'not claimed'}"
    num_passed = sum(set(statuses) == {"passed"} for statuses in statuses_by_rule.values())
    return f"{name} {num_passed}/{len(statuses_by_rule)}"
