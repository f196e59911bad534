"""Run the conformance suite on one backend, and make the report of the run.

Spec: specs/conformance.md. The file manifest.json lists the planned checks. If a planned check does
not run, the report lists this as a problem (conformance-R1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from mindref.backend import Backend, device_name, import_from_cwd, load_backend, on_device
from mindref.conformance.bounds import Precision
from mindref.conformance.runner import attribution, claims, expectations, manifest, plan
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.callers import NO_END
from mindref.conformance.runner.check import ConformanceCheck, is_selected, select_checks
from mindref.conformance.runner.diagnosed import add_diagnoses
from mindref.conformance.runner.processes import MIN_RESULTS, CheckPool, open_pool
from mindref.conformance.runner.result import CheckResult, ConformanceReport
from mindref.conformance.versions import package_version
from mindref.errors import ConfigError, say

Key = tuple[str, str]
"""Name of a check, and name of a precision."""

HANGS = "backend-R18"
"""The rule that blocks all checks after callers that hang."""


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
        processes: int = 1,
    ) -> None:
        """Load the backend and the expectations file. `processes`: how many run the checks.

        Raises BackendError if loading fails, the claims are malformed or the device is unsupported.
        Raises ConfigError for an unknown word, invalid settings, or an invalid expectations file.
        """
        words = tuple(dict.fromkeys(words))
        self.reload = partial(  # in another process
            SuiteRun,
            name,
            words,
            settings=settings,
            expectations_path=expectations_path,
            device=device,
        )
        self.name, self.words, self.scripts = name, words, scripts
        loaded = load_local_backend(name)
        backend = on_device(loaded, device)
        self.device = device_name(backend, device)
        self.claimed = claims.claims_of(backend, name)
        threads = "threads" in self.claimed.concurrency
        loads_anew = threads and load_local_backend(name) is not loaded  # a class, no object
        self.implementation = BackendImplementation(backend, loads_anew=loads_anew)
        self.checks = selected_checks(words)
        self.expected = expectations.read_expectations(expectations_path)
        checked = plan.check_settings(settings or plan.RunSettings())
        self.settings = checked._replace(factors=checked.factors | self.expected.factors)
        self.precisions = plan.claimed_precisions(self.implementation)
        self.processes = max(1, min(processes, len(self.keys()) // MIN_RESULTS))
        self.pool: CheckPool | None = None  # if there are several processes, while `report` runs
        self.unattributed: dict[Key, CheckResult] = {}
        self.final_results: dict[str, dict[str, CheckResult]] = {}  # precision -> check -> result

    def planned(self) -> Iterator[tuple[ConformanceCheck, Precision]]:
        """Yield every pair (check, precision) that runs, in order."""
        for precision in self.precisions:
            for check in plan.planned_checks(self.checks, precision):
                yield check, precision

    def planned_keys(self) -> Iterator[Key]:
        """Yield the names of every pair (check, precision) that runs, in order."""
        for check, precision in self.planned():
            yield check.name, str(precision)

    def run(self, check: ConformanceCheck, precision: Precision) -> CheckResult:
        """Return the result of `check`, before results of other checks can change it."""
        key = (check.name, str(precision))
        if key not in self.unattributed and self.hangs:
            result = check.result(precision, "blocked", blocked_by=HANGS)  # conformance-R34
            self.unattributed[key] = result
        if key not in self.unattributed:
            self.unattributed[key] = plan.run_planned_check(
                check, self.implementation, precision, self.settings
            )
        return self.unattributed[key]

    @property
    def hangs(self) -> bool:
        """Return whether concurrent callers did not end. They may hold locks of the backend."""
        return any(NO_END in result.message for result in self.unattributed.values())

    def result(self, check: ConformanceCheck, precision: Precision) -> CheckResult:
        """Return the final result of `check`. If it fails, run all checks in this precision."""
        raw = self.run(check, precision)
        if raw.status not in expectations.FAILING:
            return expectations.apply_expectations(self.expected, [raw])[0]
        return self.all_of(precision)[check.name]

    def run_by_name(self, check: str, precision: str) -> CheckResult:
        """Return the result of `run` for the name of a check and the name of a precision."""
        selected = next(c for c in self.checks if c.name == check)
        return self.run(selected, Precision.of(precision.split("/")))

    def all_of(self, precision: Precision) -> dict[str, CheckResult]:
        """Return the final results of all checks in `precision`, by the name of the check."""
        if str(precision) not in self.final_results:
            checks = plan.planned_checks(self.checks, precision)
            results = self.explain([self.run(check, precision) for check in checks])
            self.final_results[str(precision)] = {r.check: r for r in results}
        return self.final_results[str(precision)]

    def explain(self, results: list[CheckResult]) -> list[CheckResult]:
        """Return the final results of one precision, with the causes of failures.

        Only failures that no other failure blocks are shrunk and diagnosed.
        """
        if self.hangs:  # conformance-R34
            explained = attribution.block_explained(results)
            results = [
                b if b.blocked_by == HANGS else a for b, a in zip(results, explained, strict=True)
            ]
            return expectations.apply_expectations(self.expected, results)
        blocked = attribution.block_explained(results)
        shrunk = self.shrink_failed(results, blocked)  # conformance-R21
        again = attribution.block_explained(shrunk)  # shrunk failures may have equal messages
        results = [b if b.status == "blocked" else a for b, a in zip(blocked, again, strict=True)]
        results = add_diagnoses(self.implementation, results, self.settings.seed)
        results = attribution.attribute_to_mistakes(results)
        results = expectations.apply_expectations(self.expected, results)
        return [self.with_script(result) for result in results]

    def shrink_failed(
        self, results: list[CheckResult], blocked: list[CheckResult]
    ) -> list[CheckResult]:
        """Return `results`; each that failed in `blocked` has a smaller call."""
        failed = [i for i, result in enumerate(blocked) if result.status == "failed"]
        if self.pool is None:
            changed = [self.shrink(results[i]) for i in failed]
        else:
            changed = self.pool.shrink(results[i] for i in failed)
        by_index = dict(zip(failed, changed, strict=True))
        return [by_index.get(i, result) for i, result in enumerate(results)]

    def shrink(self, result: CheckResult) -> CheckResult:
        """Return `result`, which failed, with the smallest failing call that is found."""
        check = next(c for c in self.checks if c.name == result.check)
        return plan.shrink_planned(check, self.implementation, result, self.settings)

    def with_script(self, result: CheckResult) -> CheckResult:
        """If `result` is a failure, write a script that reproduces it; add the path to `result`."""
        if result.status != "failed" or self.scripts is None or result.evidence is None:
            return result
        from mindref.conformance.report import reproduction

        path = reproduction.write_script(
            result, self.name, self.settings, self.scripts, self.device
        )
        return result._replace(script=str(path))

    def report(
        self, on_result: plan.Progress = lambda result: None, *, fail_fast: bool = False
    ) -> ConformanceReport:
        """Run every check that has not run yet, and return the report.

        If `fail_fast`, stop after the first check that failed (conformance-R22).
        """
        if self.processes == 1:
            return self.run_and_report(on_result, fail_fast=fail_fast)
        with open_pool(self.reload, self.processes) as self.pool:
            try:
                return self.run_and_report(on_result, fail_fast=fail_fast)
            finally:
                self.pool = None

    def run_and_report(self, on_result: plan.Progress, *, fail_fast: bool) -> ConformanceReport:
        """Run every check that has not run yet, and return the report."""
        for result in self.raw_results(in_order=fail_fast):
            self.unattributed[result.check, result.precision] = result
            on_result(result)
            if fail_fast and (first := self.first_failure()) is not None:  # conformance-R22
                return self.stopped_report("--fail-fast", first)
        results = [r for precision in self.precisions for r in self.all_of(precision).values()]
        remarks = expectations.tolerance_remarks(self.expected)
        if not self.hangs:  # conformance-R34
            remarks += plan.unclaimed_features(self.implementation, self.checks, results)
        return self.report_of(results, len(self.keys()), remarks, self.problems(results))

    def raw_results(self, *, in_order: bool = False) -> Iterator[CheckResult]:
        """Yield the result of each check; with a pool, as they arrive.

        in_order: checks start in the order of the plan, so that the first failure is soon known.
        """
        if self.pool is None:
            yield from (self.run(check, precision) for check, precision in self.planned())
        else:
            yield from self.pool.run_checks(self.planned(), in_order=in_order)

    def first_failure(self) -> int | None:
        """Return the index of the first planned check that failed.

        None if no check failed, or if a check before it has no result yet: then the first failure
        does not depend on the order in which the results arrive.
        """
        for index, key in enumerate(self.planned_keys()):
            result = self.unattributed.get(key)
            if result is None:
                return None
            if result.status != "failed":
                continue
            if expectations.mark_expected(self.expected, result).status == "failed":
                return index
        return None

    def stopped_report(self, reason: str, last: int | None = None) -> ConformanceReport:
        """Return a report of the results so far (conformance-R22, R24).

        The report is incomplete, so the backend does not conform. reason: why the other planned
        checks did not run. last: index of the last planned check of the report; then the failures
        are shrunk and diagnosed. By default, all results so far are reported at once, because a
        user waits for the end.
        """
        results = [*self.stopped_results(last)]
        problems = [
            *claims.missing_members(self.implementation.backend, self.claimed),
            *expectations.stale_lines(self.expected, results, partial=True),
        ]
        remarks = expectations.tolerance_remarks(self.expected)
        return self.report_of(results, len(self.keys()), remarks, problems, reason)

    def stopped_results(self, last: int | None) -> Iterator[CheckResult]:
        """Yield the results so far, in the order of the plan. See `stopped_report` for `last`."""
        keys = list(self.planned_keys())
        keys = keys if last is None else keys[: last + 1]
        for precision in map(str, self.precisions):
            ran = [k for k in keys if k[1] == precision and k in self.unattributed]
            raw = [self.unattributed[key] for key in ran]
            if precision in self.final_results:
                yield from self.final_results[precision].values()
            elif last is not None:
                yield from self.explain([block_by_first(result, raw[-1]) for result in raw])
            else:
                blocked = attribution.block_explained(raw)
                yield from expectations.apply_expectations(self.expected, blocked)

    def report_of(
        self,
        results: Iterable[CheckResult],
        planned: int,
        remarks: Iterable[str],
        problems: Iterable[str],
        stopped: str = "",
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
            stopped=stopped,
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
    processes: int = 1,
) -> ConformanceReport:
    """Run the suite on the backend `name` (or `module:object`) on `device`; return the report.

    `words` lists the pages, rules or checks to run; if it is empty, every check runs. If `scripts`
    is a folder, a script for each failure is written there. `on_result` is called after each check.
    If `processes` is above 1, so many processes run the checks, in any order. Then the main module
    of the program must be importable, as for `multiprocessing`.
    Raises BackendError for a backend that cannot be loaded. Raises ConfigError for an unknown page,
    rule or check, invalid settings, or an invalid expectations file.
    """
    run = SuiteRun(name, words, settings, expectations_path, scripts, device, processes)
    return run.report(on_result)


def block_by_first(result: CheckResult, first: CheckResult) -> CheckResult:
    """Return `result`. If agreement of the page of `first` blocks it, `first` blocks it.

    A property of wrong answers is no failure, and the agreement checks of the page have not run.
    """
    if result.blocked_by == "agreement" and result.page == first.page:
        return result._replace(blocked_by=first.rule)
    return result


def load_local_backend(name: str) -> Backend:
    """Load the backend `name`. Its module may be in the current folder."""
    import_from_cwd(name)
    return load_backend(name)


def selected_checks(words: tuple[str, ...]) -> tuple[ConformanceCheck, ...]:
    """Return the checks that `words` select. Raises ConfigError for a word that selects nothing."""
    for word in words:
        if not select_checks((word,)):
            expected = "a page, a rule or a check, such as routing, routing-R3, softmax/..."
            raise ConfigError(say("conform", expected, repr(word)))
    return select_checks(words)
