"""Run the conformance suite on one backend, and make the report of the run.

Spec: specs/conformance.md. The file manifest.json lists the planned checks. If a planned check does
not run, the report lists this as a problem (conformance-R1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from mindref.backend import device_name, import_from_cwd, list_backends, load_backend, on_device
from mindref.conformance.bounds import Precision
from mindref.conformance.runner import attribution, claims, expectations, manifest, plan
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import ConformanceCheck, select_checks
from mindref.conformance.runner.result import CheckResult, ConformanceReport
from mindref.errors import ConfigError, say

Key = tuple[str, str]
"""Name of a check, and name of a precision."""


class SuiteRun:
    """A run of the suite on one backend. A check runs when its result is first requested."""

    def __init__(
        self,
        name: str,
        words: tuple[str, ...] = (),
        settings: plan.RunSettings | None = None,
        expectations_path: Path | None = None,
        scripts: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """Load the backend and the expectations file.

        Raises BackendError if loading fails, the claims are malformed or the device is unsupported.
        Raises ConfigError for an unknown word, invalid settings, or an invalid expectations file.
        """
        words = tuple(dict.fromkeys(words))
        self.name, self.words, self.scripts = name, words, scripts
        backend = on_device(load_local_backend(name), device)
        self.device = device_name(backend, device)
        self.claimed = claims.claims_of(backend, name)
        self.implementation = BackendImplementation(backend)
        self.checks = selected_checks(words)
        self.expected = expectations.read_expectations(expectations_path)
        checked = check_settings(settings or plan.RunSettings())
        self.settings = checked._replace(factors=checked.factors | self.expected.factors)
        self.precisions = plan.claimed_precisions(self.implementation)
        self.unattributed: dict[Key, CheckResult] = {}
        self.final_results: dict[str, dict[str, CheckResult]] = {}  # precision -> check -> result

    def planned(self) -> Iterator[tuple[ConformanceCheck, Precision]]:
        """Yield every pair (check, precision) that runs, in order."""
        for precision in self.precisions:
            for check in plan.planned_checks(self.checks, precision):
                yield check, precision

    def run(self, check: ConformanceCheck, precision: Precision) -> CheckResult:
        """Return the result of `check`, before results of other checks can change it."""
        key = (check.name, str(precision))
        if key not in self.unattributed:
            self.unattributed[key] = plan.run_planned_check(
                check, self.implementation, precision, self.settings
            )
        return self.unattributed[key]

    def result(self, check: ConformanceCheck, precision: Precision) -> CheckResult:
        """Return the final result of `check`. If it fails, run all checks in this precision."""
        raw = self.run(check, precision)
        if raw.status not in expectations.FAILING:
            return expectations.apply_expectations(self.expected, [raw])[0]
        return self.all_of(precision)[check.name]

    def all_of(self, precision: Precision) -> dict[str, CheckResult]:
        """Return the final results of all checks in `precision`, by the name of the check."""
        if str(precision) not in self.final_results:
            checks = plan.planned_checks(self.checks, precision)
            results = attribution.block_explained([self.run(check, precision) for check in checks])
            results = [add_diagnosis(self.implementation, r) for r in results]
            results = attribution.attribute_to_mistakes(results)
            results = expectations.apply_expectations(self.expected, results)
            self.final_results[str(precision)] = {r.check: self.with_script(r) for r in results}
        return self.final_results[str(precision)]

    def with_script(self, result: CheckResult) -> CheckResult:
        """If `result` is a failure, write a script that reproduces it; add the path to `result`."""
        if result.status != "failed" or self.scripts is None or result.evidence is None:
            return result
        from mindref.conformance.report import reproduction

        path = reproduction.write_script(
            result, self.name, self.settings, self.scripts, self.device
        )
        return result._replace(script=str(path))

    def report(self, on_result: plan.Progress = lambda result: None) -> ConformanceReport:
        """Run every check that has not run yet, and return the report."""
        for check, precision in self.planned():
            on_result(self.run(check, precision))
        results = [r for precision in self.precisions for r in self.all_of(precision).values()]
        remarks = expectations.tolerance_remarks(self.expected)
        remarks += plan.unclaimed_features(self.implementation, self.checks, results)
        return self.report_of(results, len(self.keys()), remarks, self.problems(results))

    def report_of(
        self,
        results: Iterable[CheckResult],
        planned: int,
        remarks: Iterable[str],
        problems: Iterable[str],
    ) -> ConformanceReport:
        """Return a report with these results, remarks and problems."""
        return ConformanceReport(
            backend=self.name,
            version=package_version(self.name),
            seed=self.settings.seed,
            profile=self.settings.profile,
            claims=dict(self.claimed._asdict()),
            results=tuple(results),
            planned=planned,
            remarks=tuple(remarks),
            problems=tuple(problems),
            selection=self.words,
            precisions=tuple(map(str, self.precisions)),
            device=self.device,
        )

    def problems(self, results: list[CheckResult]) -> Iterator[str]:
        """Yield a message for each problem, such as a planned check that did not run."""
        yield from claims.missing_members(self.implementation.backend, self.claimed)
        yield from expectations.stale_lines(self.expected, results, partial=bool(self.words))
        ran = {(r.check, r.precision) for r in results}
        for name, precision in sorted(self.keys() - ran):
            yield f"{name} [{precision}] was planned and did not run: install mindref again"
        for name, precision in sorted(ran - self.keys()):
            yield f"{name} [{precision}] ran and is not in the manifest: install mindref again"

    def keys(self) -> set[Key]:
        """Return the pairs (check, precision) that must run, according to the manifest."""
        return {
            (name, str(precision))
            for precision in self.precisions
            for name, row in manifest.load_manifest()["checks"].items()
            if is_selected(name, row["rules"], self.words)
            and plan.covers_check(precision, row["level"], agreement=row["agreement"])
        }


def run_suite(
    name: str,
    words: tuple[str, ...] = (),
    settings: plan.RunSettings | None = None,
    expectations_path: Path | None = None,
    on_result: plan.Progress = lambda result: None,
    scripts: Path | None = None,
    device: str = "cpu",
) -> ConformanceReport:
    """Run the suite on the backend `name` (or `module:object`) on `device`; return the report.

    `words` lists the pages, rules or checks to run; if it is empty, every check runs. If `scripts`
    is a folder, a script for each failure is written there. `on_result` is called after each check.
    Raises BackendError for a backend that cannot be loaded. Raises ConfigError for an unknown page,
    rule or check, invalid settings, or an invalid expectations file.
    """
    return SuiteRun(name, words, settings, expectations_path, scripts, device).report(on_result)


def check_settings(settings: plan.RunSettings) -> plan.RunSettings:
    """Return `settings`. Raises ConfigError for an unknown profile or a negative seed."""
    if settings.profile not in plan.PROFILES:
        expected = f"one of {', '.join(plan.PROFILES)}"
        raise ConfigError(say("conform: profile", expected, settings.profile))
    if settings.seed < 0:
        raise ConfigError(say("conform: seed", "a number from 0", settings.seed))
    return settings


def load_local_backend(name: str) -> Any:
    """Load the backend `name`. Its module may be in the current folder."""
    import_from_cwd(name)
    return load_backend(name)


def is_selected(name: str, rules: Iterable[str], words: tuple[str, ...]) -> bool:
    """Return whether `words` is empty or contains `name`, a rule or the page of the first rule."""
    first = next(iter(rules))
    return not words or any(w in (first.split("-R")[0], name, *rules) for w in words)


def selected_checks(words: tuple[str, ...]) -> tuple[ConformanceCheck, ...]:
    """Return the checks that `words` select. Raises ConfigError for a word that selects nothing."""
    for word in words:
        if not select_checks((word,)):
            expected = "a page, a rule or a check, such as routing, routing-R3, softmax/..."
            raise ConfigError(say("conform", expected, repr(word)))
    return select_checks(words)


def add_diagnosis(implementation: BackendImplementation, result: CheckResult) -> CheckResult:
    """Return `result`. If it failed without an exception, add the mutants that explain it."""
    raised = result.evidence is not None and result.evidence.kind == "raised"
    if result.status != "failed" or raised:  # the exception explains the failure already
        return result
    from mindref.conformance.mutants.diagnosis import diagnose

    return result._replace(diagnosis=diagnose(implementation, result))


def package_version(name: str) -> str:
    """Return name and version of the backend's package, or "" if no package is installed."""
    if ":" not in name:
        offering = list_backends()[name].dist
        return f"{offering.name} {offering.version}" if offering else ""
    top = name.partition(":")[0].partition(".")[0]
    owners = metadata.packages_distributions().get(top, [])
    return f"{owners[0]} {metadata.version(owners[0])}" if owners else ""
