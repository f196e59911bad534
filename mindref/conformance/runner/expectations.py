"""Read a TOML file that lists the known failures and the widened tolerances of a backend.

Spec: specs/conformance.md. If an [[expect]] table matches no check, or only checks that pass, the
report lists a problem.

    [[expect]]
    rule = "routing-R9"          # or check = "routing/..."; optional: precision = "float32"
    kind = "notyet"              # not possible yet; others: "notimpl" (possible, but not
    reason = "..."               # implemented), "never" (will not be implemented), "bug"
    link = "https://..."         # optional

    [[tolerance]]
    check = "routing/..."
    factor = 3.0                 # multiplies the error bound
    reason = "..."
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.conformance.runner import manifest
from mindref.conformance.runner.result import CheckResult
from mindref.errors import ConfigError, say
from mindref.run.user_files import read_input_text

KINDS = ("notimpl", "notyet", "never", "bug")
FAILING = ("failed", "blocked")
WITHOUT_RUN = ("not_claimed", "self_comparison")
WIDEST = 16.0
"""Largest allowed `factor`. With a larger factor, a wrong gradient would pass in float32."""

FIELDS = {
    "expect": {"check", "rule", "precision", "kind", "reason", "link"},
    "tolerance": {"check", "factor", "reason"},
}


class Expectation(NamedTuple):
    """One [[expect]] table: the check `check`, or every check of `rule`, is expected to fail."""

    location: str  # file, and number of the table in the file
    kind: str
    reason: str
    check: str = ""
    rule: str = ""
    precision: str = ""  # "" for all
    link: str = ""

    def matches(self, result: CheckResult) -> bool:
        """Return whether this table matches the check (or a rule) and the precision of `result`."""
        applies = result.check == self.check if self.check else self.rule in result.rules
        return applies and self.precision in ("", result.precision)

    @property
    def target(self) -> str:
        """Return the check or rule that this table names, and the precision if there is one."""
        return (self.check or self.rule) + (f" [{self.precision}]" if self.precision else "")

    @property
    def explanation(self) -> str:
        """Return kind, reason and link as one text for the report."""
        return f"{self.kind}: {self.reason}" + (f" ({self.link})" if self.link else "")


class Tolerance(NamedTuple):
    """One [[tolerance]] table: `factor` multiplies the error bounds of the check `check`."""

    location: str
    check: str
    factor: float
    reason: str


class Expectations(NamedTuple):
    """The content of an expectations file."""

    gaps: tuple[Expectation, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()

    @property
    def factors(self) -> dict[str, float]:
        """Return a dict from the name of a check to the factor of its error bounds."""
        return {t.check: t.factor for t in self.tolerances}


def read_expectations(path: Path | None) -> Expectations:
    """Return the expectations in the file `path`. If `path` is None, return empty Expectations.

    Raises ConfigError for invalid TOML, an unknown table, field or kind, a missing reason, or a
    factor out of range.
    """
    if path is None:
        return Expectations()
    try:
        content = tomllib.loads(read_input_text("--expectations", path))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(say(str(path), "a TOML file of expectations", error)) from error
    unknown = set(content) - set(FIELDS)
    if unknown:
        got = ", ".join(sorted(unknown))
        raise ConfigError(say(str(path), "tables [[expect]] and [[tolerance]]", got))
    gaps = tuple(parse_gap(location, row) for location, row in table_rows(path, content, "expect"))
    tolerances: dict[str, Tolerance] = {}
    for location, row in table_rows(path, content, "tolerance"):
        line = parse_tolerance(location, row)
        if line.check in tolerances:
            raise ConfigError(say(location, "one tolerance for a check", f"two, {line.check}"))
        tolerances[line.check] = line
    return Expectations(gaps, tuple(tolerances.values()))


def table_rows(
    path: Path, content: dict[str, Any], name: str
) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield location and fields of each [[name]] table. Raises ConfigError for unknown fields."""
    tables = content.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(row, dict) for row in tables):
        raise ConfigError(say(str(path), f"tables [[{name}]]", f"{name} = {tables!r}"))
    for number, row in enumerate(tables, 1):
        location = f"{path}: [[{name}]] {number}"
        unknown = set(row) - FIELDS[name]
        if unknown:
            expected = f"only {', '.join(sorted(FIELDS[name]))}"
            raise ConfigError(say(location, expected, ", ".join(sorted(unknown))))
        yield location, row


def parse_gap(location: str, row: dict[str, Any]) -> Expectation:
    """Return one [[expect]] table as an Expectation. Raises ConfigError for an invalid field."""
    texts = {name: required_text(location, name, row[name]) for name in row}
    if ("check" in texts) == ("rule" in texts):
        got = "both" if "check" in texts else "neither"
        todo = "name the check or rule that is expected to fail"
        raise ConfigError(say(location, "check or rule", got, todo))
    if texts.get("kind") not in KINDS:
        raise ConfigError(say(location, f"kind = one of {', '.join(KINDS)}", texts.get("kind")))
    return Expectation(location, **(texts | {"reason": required_reason(location, row)}))


def parse_tolerance(location: str, row: dict[str, Any]) -> Tolerance:
    """Return one [[tolerance]] table as a Tolerance. Raises ConfigError for an invalid field."""
    check, factor = required_text(location, "check", row.get("check", "")), row.get("factor")
    if not check:
        raise ConfigError(say(location, "check = the name of a check", "none"))
    good = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not good or not 1 <= float(str(factor)) <= WIDEST:
        todo = "for a larger factor, expect the failure with [[expect]]"
        raise ConfigError(say(location, f"factor from 1 to {WIDEST:g}", factor, todo))
    return Tolerance(location, check, float(str(factor)), required_reason(location, row))


def required_reason(location: str, row: dict[str, Any]) -> str:
    """Return the field `reason` of a table. Raises ConfigError if it is missing or empty."""
    reason = required_text(location, "reason", row.get("reason", "")).strip()
    if not reason:
        raise ConfigError(say(location, "a reason", "none", 'add reason = "..."'))
    return reason


def required_text(location: str, name: str, value: Any) -> str:
    """Return `value`, the field `name`. Raises ConfigError if `value` is not a string."""
    if not isinstance(value, str):
        raise ConfigError(say(f"{location}: {name}", "text", repr(value)))
    return value


def apply_expectations(
    expectations: Expectations, results: Iterable[CheckResult]
) -> list[CheckResult]:
    """Return `results`; expected failures and widened tolerances are marked, with the reason."""
    expected = (mark_expected(expectations, result) for result in results)
    marked = [mark_loosened(expectations, result) for result in expected]
    return [mark_following(result, marked) for result in marked]


def mark_expected(expectations: Expectations, result: CheckResult) -> CheckResult:
    """Return `result`. If an [[expect]] table lists this failure, the status is "expected"."""
    line = next((gap for gap in expectations.gaps if gap.matches(result)), None)
    if line is None or result.status not in FAILING:
        return result
    return result._replace(status="expected", reason=line.explanation)


def mark_following(result: CheckResult, results: Sequence[CheckResult]) -> CheckResult:
    """Return `result`. If only expected failures block it, the status is "expected"."""
    if result.status != "blocked":
        return result
    failing = [r for r in results if r.status in ("failed", "expected")]
    failing = [r for r in failing if r.precision == result.precision]
    causes = [r for r in failing if result.blocked_by in r.rules]
    if not causes or any(r.status == "failed" for r in causes):
        return result
    why = f"follows from {result.blocked_by}: {causes[0].reason}"
    return result._replace(status="expected", reason=why)


def mark_loosened(expectations: Expectations, result: CheckResult) -> CheckResult:
    """Return `result`. If the tolerance of its check is widened, add the factor and the reason."""
    line = next((t for t in expectations.tolerances if t.check == result.check), None)
    if line is None or result.status in WITHOUT_RUN:
        return result
    why = result.reason or f"error bound x {line.factor:g}: {line.reason}"
    grade = "C" if result.status == "passed" else result.grade  # conformance-R11
    return result._replace(factor=line.factor, grade=grade, reason=why)


def stale_lines(
    expectations: Expectations, results: Sequence[CheckResult], *, partial: bool = False
) -> list[str]:
    """Return a message for each table that matches no check, or expects a failure that is absent.

    If `partial`, only some checks ran. Then a table that matches no check is not reported. A table
    with a check or rule that does not exist is always reported.
    """
    gaps = [line for line in expectations.gaps if not unknown_reason(line.check, line.rule)]
    tolerances = [over for over in expectations.tolerances if not unknown_reason(over.check)]
    messages = list(unknown_names(expectations))
    for line in gaps:
        met = [r for r in results if line.matches(r) and r.status not in WITHOUT_RUN]
        if not met and not partial:
            problem = f"{line.target} matches no check of this run; remove the line"
            messages.append(f"{line.location}: {problem}")
        elif met and not any(r.status == "expected" for r in met):  # conformance-R10
            messages.append(f"{line.location}: {line.target} passes now; remove the line")
    for over in tolerances:
        if not partial and not any(over.check == r.check for r in results):
            problem = f"{over.check} matches no check of this run; remove the line"
            messages.append(f"{over.location}: {problem}")
    return messages


def unknown_names(expectations: Expectations) -> Iterator[str]:
    """Yield a message for each table with a check or rule that this suite does not have."""
    reasons = [(line.location, unknown_reason(line.check, line.rule)) for line in expectations.gaps]
    reasons += [(over.location, unknown_reason(over.check)) for over in expectations.tolerances]
    for location, reason in reasons:
        if reason:
            yield f"{location}: {reason}; correct the name or remove the line"


def unknown_reason(check: str, rule: str = "") -> str:
    """Return a message if this suite has no such check or rule, otherwise an empty text."""
    checks = manifest.load_manifest()["checks"]
    if check:
        return "" if check in checks else f"this suite has no check {check}"
    cited = any(rule in row["rules"] for row in checks.values())
    return "" if cited else f"no check of this suite cites a rule {rule}"


def tolerance_remarks(expectations: Expectations) -> list[str]:
    """Return a sentence for the report about each widened tolerance."""
    return [
        f"error bound of {t.check} widened by a factor of {t.factor:g}: {t.reason}"
        for t in expectations.tolerances
    ]
