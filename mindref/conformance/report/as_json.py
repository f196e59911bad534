"""A judgement for programs. The form is `schema.json`, which ships beside this file.

Nothing here is rounded, and nothing depends on the clock but `seconds`.
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
from mindref.conformance.judging import manifest
from mindref.conformance.judging.result import STATUSES, Report, Result
from mindref.conformance.report import badge

FORMAT = "mindref conform"


def of(report: Report) -> dict[str, Any]:
    """Return a judgement as plain values, in the form of `schema.json`."""
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
            "claims": plain(report.claims),
        },
        "profile": report.profile,
        "seed": report.seed,
        "words": list(report.words),
        "precisions": list(report.precisions),
        "strictness": strictness(),
        "conforms": report.conforms,
        "balanced": report.balanced,
        "planned": report.planned,
        "counts": {status: counts[status] for status in STATUSES},
        "badge": badge.text(report),
        "remarks": list(report.remarks),
        "problems": list(report.problems),
        "rules": rules(report),
        "results": [row(result) for result in report.results],
    }


def text(value: dict[str, Any]) -> str:
    """Return plain values as JSON text, a line end at its end."""
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def schema() -> dict[str, Any]:
    """Return the published form, a JSON Schema of draft 2020-12."""
    source = resources.files("mindref.conformance.report").joinpath("schema.json")
    found: dict[str, Any] = json.loads(source.read_text(encoding="utf-8"))
    return found


def strictness() -> dict[str, Any]:
    """Return what decides how far a number may lie off: two judgements may differ in it."""
    table = json.dumps({name: list(ulps) for name, ulps in sorted(ULPS.items())})
    return {
        "factor": FACTOR["statistical"],
        "ulps": hashlib.sha256(table.encode()).hexdigest()[:12],
    }


def rules(report: Report) -> dict[str, Any]:
    """Return the rules that were judged, with their force and the digest of their text."""
    labels = dict.fromkeys(rule for result in report.results for rule in result.rules)
    known = manifest.shipped()["rules"]
    return {label: {key: known[label][key] for key in ("force", "digest")} for label in labels}


def row(result: Result) -> dict[str, Any]:
    """Return one result; of its evidence only the words."""
    fields = result._asdict()
    del fields["evidence"]
    share = result.share if math.isfinite(result.share) else None
    return fields | {"rules": list(result.rules), "page": result.page, "share": share}


def result_of(found: dict[str, Any]) -> Result:
    """Return the result that `row` took apart, without its evidence."""
    fields = {name: x for name, x in found.items() if name in Result._fields}
    share = math.inf if found["share"] is None else found["share"]
    return Result(**fields | {"rules": tuple(found["rules"]), "share": share})


def plain(x: Any) -> Any:
    """Return x with lists for its tuples."""
    if isinstance(x, dict):
        return {name: plain(part) for name, part in x.items()}
    return [plain(part) for part in x] if isinstance(x, tuple | list) else x
