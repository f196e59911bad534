"""Known gaps and widened tolerances of a backend: a TOML file, read strictly.

Spec: specs/conformance.md. A line that meets nothing, or only what passes, is a problem: the file
always says what is so today.

    [[expect]]
    rule = "routing-R9"          # or check = "routing/...", and if it is only one: precision
    kind = "notyet"              # notimpl: we could; notyet: waits for others; never; bug
    reason = "..."
    link = "https://..."         # optional

    [[tolerance]]
    check = "routing/..."
    factor = 3.0                 # times the allowed error
    reason = "..."
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.conformance.judging import manifest
from mindref.conformance.judging.result import Result
from mindref.errors import ConfigError, say

KINDS = ("notimpl", "notyet", "never", "bug")
FAILING = ("failed", "blocked")
WIDEST = 16.0
"""The largest factor: beyond it a wrong gradient of the catalogue could pass in float32."""

FIELDS = {
    "expect": {"check", "rule", "precision", "kind", "reason", "link"},
    "tolerance": {"check", "factor", "reason"},
}


class Expectation(NamedTuple):
    """A gap that is known: of a check, or of all checks of a rule."""

    where: str  # file and number of the table
    kind: str
    reason: str
    check: str = ""
    rule: str = ""
    precision: str = ""  # "" for all
    link: str = ""

    def meets(self, result: Result) -> bool:
        """Return whether a result is one that this line speaks of."""
        named = result.check == self.check if self.check else self.rule in result.rules
        return named and self.precision in ("", result.precision)

    @property
    def what(self) -> str:
        """Return what it speaks of, in words."""
        return (self.check or self.rule) + (f" [{self.precision}]" if self.precision else "")

    @property
    def why(self) -> str:
        """Return kind, reason and link, as the report shows them."""
        return f"{self.kind}: {self.reason}" + (f" ({self.link})" if self.link else "")


class Tolerance(NamedTuple):
    """An allowed error that was widened by hand."""

    where: str
    check: str
    factor: float
    reason: str


class Expectations(NamedTuple):
    """All that a file says."""

    gaps: tuple[Expectation, ...] = ()
    tolerances: tuple[Tolerance, ...] = ()

    @property
    def factors(self) -> dict[str, float]:
        """Return check -> factor of its allowed error."""
        return {t.check: t.factor for t in self.tolerances}


def read(path: Path | None) -> Expectations:
    """Return what a file says, nothing without one.

    Raises ConfigError for what is no TOML, for an unknown table or field, a missing reason, an
    unknown kind, or a factor outside its range; each names the file and the table.
    """
    if path is None:
        return Expectations()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(say(str(path), "a TOML file of expectations", error)) from error
    unknown = set(found) - set(FIELDS)
    if unknown:
        got = ", ".join(sorted(unknown))
        raise ConfigError(say(str(path), "tables [[expect]] and [[tolerance]]", got))
    gaps = tuple(gap(where, row) for where, row in rows(path, found, "expect"))
    tolerances = tuple(tolerance(where, row) for where, row in rows(path, found, "tolerance"))
    return Expectations(gaps, unique(tolerances))


def rows(path: Path, found: dict[str, Any], name: str) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield where it stands and the table, for each table of a name; refuse unknown fields."""
    tables = found.get(name, [])
    if not isinstance(tables, list) or not all(isinstance(row, dict) for row in tables):
        raise ConfigError(say(str(path), f"tables [[{name}]]", f"{name} = {tables!r}"))
    for number, row in enumerate(tables, 1):
        where = f"{path}: [[{name}]] {number}"
        unknown = set(row) - FIELDS[name]
        if unknown:
            expected = f"only {', '.join(sorted(FIELDS[name]))}"
            raise ConfigError(say(where, expected, ", ".join(sorted(unknown))))
        yield where, row


def gap(where: str, row: dict[str, Any]) -> Expectation:
    """Return one known gap."""
    texts = {name: text(where, name, row[name]) for name in row}
    if ("check" in texts) == ("rule" in texts):
        got = "both" if "check" in texts else "neither"
        raise ConfigError(say(where, "check or rule", got, "name what is expected to fail"))
    if texts.get("kind") not in KINDS:
        raise ConfigError(say(where, f"kind = one of {', '.join(KINDS)}", texts.get("kind")))
    return Expectation(where, **(texts | {"reason": reason(where, row)}))


def tolerance(where: str, row: dict[str, Any]) -> Tolerance:
    """Return one widened tolerance."""
    check, factor = text(where, "check", row.get("check", "")), row.get("factor")
    if not check:
        raise ConfigError(say(where, "check = the name of a check", "none"))
    good = isinstance(factor, int | float) and not isinstance(factor, bool)
    if not good or not 1 <= float(str(factor)) <= WIDEST:
        todo = "beyond that, expect the failure and say why"
        raise ConfigError(say(where, f"factor from 1 to {WIDEST:g}", factor, todo))
    return Tolerance(where, check, float(str(factor)), reason(where, row))


def unique(tolerances: tuple[Tolerance, ...]) -> tuple[Tolerance, ...]:
    """Refuse two factors for one check."""
    seen: set[str] = set()
    for line in tolerances:
        if line.check in seen:
            raise ConfigError(say(line.where, "one tolerance for a check", f"two, {line.check}"))
        seen.add(line.check)
    return tolerances


def reason(where: str, row: dict[str, Any]) -> str:
    """Return the reason, which is not optional."""
    found = text(where, "reason", row.get("reason", "")).strip()
    if not found:
        raise ConfigError(say(where, "a reason", "none", 'add reason = "..." for your readers'))
    return found


def text(where: str, name: str, value: Any) -> str:
    """Return a field that must be text."""
    if not isinstance(value, str):
        raise ConfigError(say(f"{where}: {name}", "text", repr(value)))
    return value


def applied(expectations: Expectations, results: Iterable[Result]) -> list[Result]:
    """Return the results: expected failures named so, widened tolerances with their reason."""
    found = [loosened(expectations, foreseen(expectations, result)) for result in results]
    return [following(result, found) for result in found]


def foreseen(expectations: Expectations, result: Result) -> Result:
    """Return a failure that a line speaks of as expected."""
    line = next((gap for gap in expectations.gaps if gap.meets(result)), None)
    if line is None or result.status not in FAILING:
        return result
    return result._replace(status="expected", reason=line.why)


def following(result: Result, results: Sequence[Result]) -> Result:
    """Return what only an expected failure blocks as expected, too."""
    if result.status != "blocked":
        return result
    causes = [
        r
        for r in results
        if result.blocked_by in r.rules
        and r.precision == result.precision
        and r.status in ("failed", "expected")
    ]
    if not causes or any(r.status == "failed" for r in causes):
        return result
    why = f"follows from {result.blocked_by}: {causes[0].reason}"
    return result._replace(status="expected", reason=why)


def loosened(expectations: Expectations, result: Result) -> Result:
    """Return a result with the factor of its tolerance, and why."""
    line = next((t for t in expectations.tolerances if t.check == result.check), None)
    if line is None or result.status in ("not_claimed", "itself"):
        return result
    why = result.reason or f"allowed error x {line.factor:g}: {line.reason}"
    grade = "C" if result.status == "passed" else result.grade  # conformance-R11
    return result._replace(factor=line.factor, grade=grade, reason=why)


def problems(
    expectations: Expectations, results: Sequence[Result], *, partial: bool = False
) -> list[str]:
    """Return what is stale: lines that meet nothing, or nothing that fails.

    In a partial judgement a line that meets nothing may speak of the rest; not so one of a check or
    a rule that does not exist.
    """
    gaps = [line for line in expectations.gaps if not unknown(line.check, line.rule)]
    tolerances = [over for over in expectations.tolerances if not unknown(over.check)]
    found = list(stale(expectations))
    for line in gaps:
        met = [r for r in results if line.meets(r) and r.status not in ("not_claimed", "itself")]
        if not met and not partial:
            found.append(f"{line.where}: {line.what} meets no check that was judged; remove it")
        elif met and not any(r.status == "expected" for r in met):  # conformance-R10
            found.append(f"{line.where}: {line.what} passes now; remove the expectation")
    for over in tolerances:
        if not partial and not any(over.check == r.check for r in results):
            found.append(f"{over.where}: {over.check} is no check that was judged; remove it")
    return found


def stale(expectations: Expectations) -> Iterator[str]:
    """Yield each line that names a check or a rule which this suite does not have."""
    named = [(line.where, unknown(line.check, line.rule)) for line in expectations.gaps]
    named += [(over.where, unknown(over.check)) for over in expectations.tolerances]
    for where, what in named:
        if what:
            yield f"{where}: {what}: the line is stale; mend the name or remove it"


def unknown(check: str, rule: str = "") -> str:
    """Return that this suite has no such check, or that none of its checks cites the rule."""
    checks = manifest.shipped()["checks"]
    if check:
        return "" if check in checks else f"{check} is no check of this suite"
    cited = any(rule in row["rules"] for row in checks.values())
    return "" if cited else f"{rule} is no rule that a check of this suite cites"


def remarks(expectations: Expectations) -> list[str]:
    """Return what a reader must know: every tolerance that was widened."""
    return [
        f"allowed error of {t.check} widened {t.factor:g} times: {t.reason}"
        for t in expectations.tolerances
    ]
