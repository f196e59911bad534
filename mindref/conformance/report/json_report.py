"""The report as JSON, in the format of `schema.json` in this folder.

Numbers are not rounded. Only the field `seconds` depends on the clock.
"""

from __future__ import annotations

import hashlib
import json
import math
from importlib import resources
from typing import Any

import mindref
from mindref.conformance import versions
from mindref.conformance.bounds.arithmetic import FACTOR
from mindref.conformance.bounds.precision import ULPS
from mindref.conformance.report import summary
from mindref.conformance.report.rule_address import rule_address
from mindref.conformance.runner import manifest
from mindref.conformance.runner.result import STATUSES, CheckResult, ConformanceReport
from mindref.errors import printable_json

FORMAT = "mindref conform"


def suite_report_json(report: ConformanceReport) -> dict[str, Any]:
    """Return `report` as a dict in the format of `schema.json`."""
    counts = report.counts()
    return {
        "format": FORMAT,
        "protocol": versions.PROTOCOL,
        "specification": versions.SPEC,
        "suite": versions.SUITE,
        "mindref": mindref.__version__,
        "backend": {
            "name": report.backend,
            "version": report.version,
            "device": report.device,
            "claims": lists_for_tuples(report.claims),
        },
        "profile": report.profile,
        "seed": report.seed,
        "selection": list(report.selection),
        "precisions": list(report.precisions),
        "strictness": strictness(),
        "conforms": report.conforms,
        "complete": report.complete,
        "stopped": report.stopped,
        "planned": report.planned,
        "counts": {status: counts[status] for status in STATUSES},
        "badge": summary.badge_text(report),
        "remarks": list(report.remarks),
        "problems": list(report.problems),
        "rules": rule_entries(report),
        "results": [result_json(result) for result in report.results],
    }


def json_text(value: dict[str, Any]) -> str:
    """Return `value` as JSON text with a final newline."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return printable_json(text) + "\n"  # security-R12


def suite_report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a report."""
    source = resources.files("mindref.conformance.report").joinpath("schema.json")
    schema: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return schema


def strictness() -> dict[str, Any]:
    """Return the factor of the error bounds, and a digest of ULPS (the errors of exp, log, ...)."""
    table = json.dumps({name: list(ulps) for name, ulps in sorted(ULPS.items())})
    digest = hashlib.sha256(table.encode()).hexdigest()[:12]
    return {"factor": FACTOR["statistical"], "ulps": digest}


def rule_entries(report: ConformanceReport) -> dict[str, Any]:
    """Return, for each cited rule, its force, a digest of its text, and its address."""
    labels = dict.fromkeys(rule for result in report.results for rule in result.rules)
    rules = manifest.load_manifest()["rules"]
    return {
        label: {key: rules[label][key] for key in ("force", "digest")}
        | {"address": rule_address(label)}
        for label in labels
    }


def result_json(result: CheckResult) -> dict[str, Any]:
    """Return `result` as a dict for JSON, without the field `evidence`."""
    fields = result._asdict()
    del fields["evidence"]
    error_ratio = result.error_ratio if math.isfinite(result.error_ratio) else None
    return fields | {"rules": list(result.rules), "page": result.page, "error_ratio": error_ratio}


def result_from_json(row: dict[str, Any]) -> CheckResult:
    """Return the result from the dict that `result_json` returned; `evidence` is None."""
    fields = {name: x for name, x in row.items() if name in CheckResult._fields}
    error_ratio = math.inf if row["error_ratio"] is None else row["error_ratio"]
    return CheckResult(**fields | {"rules": tuple(row["rules"]), "error_ratio": error_ratio})


def lists_for_tuples(x: Any) -> Any:
    """Return `x` with each tuple replaced by a list, also inside dicts and lists."""
    if isinstance(x, dict):
        return {name: lists_for_tuples(part) for name, part in x.items()}
    return [lists_for_tuples(part) for part in x] if isinstance(x, tuple | list) else x
