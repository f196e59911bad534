"""Compare a report with an earlier report: which checks changed their status, and why.

Both reports are parsed JSON in the format of `schema.json`. If a rule changed or an error bound
became smaller, a new failure does not count as a regression of the backend.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mindref.conformance import versions
from mindref.conformance.report.json_report import FORMAT, suite_report_schema
from mindref.errors import ConfigError, say
from mindref.run.user_files import read_input_text

ReportJson = dict[str, Any]
Row = dict[str, Any]
BAD = ("failed", "blocked", "expected")

TODO = "name a file that --output has written"
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}
TYPES |= {"integer": int, "number": int | float, "null": type(None)}
"""JSON Schema type -> Python type."""

WHYS = (
    "backend regression", "tightened tolerance", "changed rule", "changed check", "changed suite",
    "other examples", "new rule", "new check", "still fails", "no longer claimed", "no longer run",
    "newly claimed", "newly run", "fixed",
)  # fmt: skip
"""Causes of a change, the most important cause first."""


class Change(NamedTuple):
    """A check whose status differs between two reports."""

    check: str
    precision: str
    was: str  # status in the old report; "" if the check did not run
    now: str
    why: str


def read_earlier_report(path: Path) -> ReportJson:
    """Read the report `path`. Raises ConfigError if it is invalid or has another protocol."""
    location, expected = f"--diff {path}", "a report of mindref conform --json"
    try:
        text = read_input_text("--diff", path)
    except OSError as error:
        raise ConfigError(say(location, expected, error.strerror, TODO)) from error
    except UnicodeDecodeError as error:
        raise ConfigError(say(location, expected, "a file that is not UTF-8 text", TODO)) from error
    try:
        report = json.loads(text)
    except (ValueError, RecursionError) as error:
        got = f"text that is not JSON: {error}" if text.strip() else "an empty file"
        raise ConfigError(say(location, expected, got, TODO)) from error
    if not isinstance(report, dict) or report.get("format") != FORMAT:
        raise ConfigError(say(location, expected, "JSON of another kind", TODO))
    protocol = str(report.get("protocol"))
    if protocol.split(".")[0] != versions.PROTOCOL.split(".")[0]:
        todo = "run the suite of this version again"
        raise ConfigError(say(location, f"protocol {versions.PROTOCOL}", protocol, todo))
    schema = suite_report_schema()
    if flaw := next(schema_violations(report, schema, schema["$defs"]), ""):
        raise ConfigError(say(location, expected, f"a report {flaw}", TODO))
    return report


def schema_violations(
    x: Any, form: dict[str, Any], definitions: dict[str, Any], name: str = ""
) -> Iterator[str]:
    """Yield a message for each required field that `x` lacks, and for each value of a wrong type.

    Other constraints of the schema are not tested: reports of older suites may violate them.
    """
    form = definitions[form["$ref"].rpartition("/")[2]] if "$ref" in form else form
    declared = form.get("type", [])
    types = [declared] if isinstance(declared, str) else declared
    if types and not any(isinstance(x, TYPES[word]) for word in types):
        yield f"in which {name} is not of type {' or '.join(types)}"
    elif isinstance(x, dict):
        above = f"{name}." if name else ""
        yield from (f"without {above}{key}" for key in form.get("required", []) if key not in x)
        for key, part in x.items():
            additional = form.get("additionalProperties") or {}
            inner = form.get("properties", {}).get(key, additional)
            yield from schema_violations(part, inner, definitions, f"{above}{key}")
    elif isinstance(x, list):
        for number, part in enumerate(x):
            inner = form.get("items", {})
            yield from schema_violations(part, inner, definitions, f"{name}[{number}]")


def report_changes(old: ReportJson, new: ReportJson) -> list[Change]:
    """Return the checks whose status differs between `old` and `new`."""
    before, after = results_by_key(old), results_by_key(new)
    changes = []
    for key in [*after, *(k for k in before if k not in after)]:
        was, now = before.get(key), after.get(key)
        if was is None or now is None or was["status"] != now["status"]:
            changes.append(classify_change(key, was, now, old, new))
    return changes


def results_by_key(report: ReportJson) -> dict[tuple[str, str], Row]:
    """Return a dict: (check, precision) -> result."""
    return {(row["check"], row["precision"]): row for row in report["results"]}


def classify_change(
    key: tuple[str, str], was: Row | None, now: Row | None, old: ReportJson, new: ReportJson
) -> Change:
    """Return the change from the result `was` to the result `now`, with the cause."""
    if now is None:
        why = "no longer run"
    else:
        why = new_check_reason(now, old) if was is None else change_reason(was, now, old, new)
    return Change(*key, was["status"] if was else "", now["status"] if now else "", why)


def new_check_reason(now: Row, old: ReportJson) -> str:
    """Return why the check of `now` is missing in the report `old`."""
    chosen_then = bool(old["selection"]) or now["precision"] not in old["precisions"]
    if any(row["check"] == now["check"] for row in old["results"]) or chosen_then:
        return "newly run"
    unknown = any(rule not in old["rules"] for rule in now["rules"])
    return "new rule" if unknown else "new check"


def change_reason(was: Row, now: Row, old: ReportJson, new: ReportJson) -> str:
    """Return why the status of `now` differs from the status of `was`."""
    if now["status"] == "not_claimed":
        return "no longer claimed"
    if was["status"] in ("not_claimed", "self_comparison"):
        return "newly claimed" if was["status"] == "not_claimed" else "newly run"
    if now["status"] not in BAD:
        return "fixed"
    return "still fails" if was["status"] in BAD else new_failure_cause(was, now, old, new)


def new_failure_cause(was: Row, now: Row, old: ReportJson, new: ReportJson) -> str:
    """Return why a check that passed in the report `old` fails in the report `new`."""
    if any(rule_digest(old, rule) != rule_digest(new, rule) for rule in now["rules"]):
        return "changed rule"
    if (was["rules"], was["text"]) != (now["rules"], now["text"]):
        return "changed check"
    if is_tightened(was, now, old, new):
        return "tightened tolerance"
    if old["suite"] != new["suite"]:  # the cause may be a stricter suite
        return "changed suite"
    draws = [(report["profile"], report["seed"]) for report in (old, new)]
    return "backend regression" if draws[0] == draws[1] else "other examples"


def rule_digest(report: ReportJson, rule: str) -> str:
    """Return the digest of the rule's text, or "" if `report` does not contain the rule."""
    return str(report["rules"].get(rule, {}).get("digest", ""))


def is_tightened(was: Row, now: Row, old: ReportJson, new: ReportJson) -> bool:
    """Return whether error bounds got smaller, or the assumed errors of exp, log etc. changed."""
    then, today = old["strictness"], new["strictness"]
    looser = today["factor"] * now["factor"] >= then["factor"] * was["factor"]
    return not looser or then["ulps"] != today["ulps"]


def change_lines(changes: list[Change], old: ReportJson, new: ReportJson) -> Iterator[str]:
    """Yield lines: versions and settings that differ, number of changes by cause, each change."""
    for name in ("specification", "suite", "protocol", "mindref", "profile", "seed"):
        if old[name] != new[name]:
            yield f"{name}: {old[name]} before, {new[name]} now"
    if old["backend"]["name"] != new["backend"]["name"]:
        yield f"backend: {old['backend']['name']} before, {new['backend']['name']} now"
    then, today = (report["backend"].get("device", "cpu") for report in (old, new))
    if then != today:
        yield f"device: {then} before, {today} now"
    counts = Counter(c.why for c in changes)
    causes = [f"{counts[why]} {why}" for why in WHYS if counts[why]]
    yield ", ".join(causes) or "no check has changed"
    precisions: dict[tuple[str, str, str, str], list[str]] = {}
    for change in changes:
        key = (change.why, change.check, change.was, change.now)
        precisions.setdefault(key, []).append(change.precision)
    for key in sorted(precisions, key=lambda key: (WHYS.index(key[0]), key[3] == "blocked")):
        why, check, *states = key
        was, now = (s.replace("_", " ") or "not run" for s in states)
        yield f"{why}: {check} [{', '.join(precisions[key])}], {was} -> {now}"
