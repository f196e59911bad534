"""A whole judgement: from the name of a backend to a report.

Spec: specs/conformance.md. What was planned comes from the manifest that ships with the suite, not
from what happened to run (conformance-R1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from mindref.backend import available, device_name, load, look_here, placed
from mindref.conformance.bounds import Precision
from mindref.conformance.judging import books, claims, expectations, manifest, plan
from mindref.conformance.judging.check import Check, chosen
from mindref.conformance.judging.result import Report, Result
from mindref.conformance.judging.subject import OfBackend
from mindref.errors import ConfigError, say

Key = tuple[str, str]
"""Name of a check, and a precision in words."""


class Judgement:
    """One backend before the judge; each check runs when its result is first asked for."""

    def __init__(
        self,
        name: str,
        words: tuple[str, ...] = (),
        settings: plan.Settings | None = None,
        expectations_path: Path | None = None,
        scripts: Path | None = None,
        device: str = "cpu",
    ) -> None:
        """Load the backend, its claims and what is expected of it.

        Raises BackendError for a backend that cannot be loaded, does not compute on this device
        or whose claims say nothing, and ConfigError for an unknown word or a file of expectations
        that cannot be used.
        """
        words = tuple(dict.fromkeys(words))
        self.name, self.words, self.scripts = name, words, scripts
        backend = placed(load_here(name), device)
        self.device = device_name(backend, device)
        self.claimed = claims.claims_of(backend, name)
        self.subject = OfBackend(backend)
        self.checks = known(words)
        self.expected = expectations.read(expectations_path)
        given = checked(settings or plan.Settings())
        self.settings = given._replace(factors=given.factors | self.expected.factors)
        self.precisions = plan.precisions(self.subject)
        self.raw: dict[Key, Result] = {}
        self.settled: dict[str, dict[str, Result]] = {}  # precision -> check -> result

    def planned(self) -> Iterator[tuple[Check, Precision]]:
        """Yield every check in every precision that it is judged in, in the order of running."""
        for precision in self.precisions:
            for check in plan.planned(self.checks, precision):
                yield check, precision

    def run(self, check: Check, precision: Precision) -> Result:
        """Return what comes of one check by itself, before it is known what explains it."""
        key = (check.name, str(precision))
        if key not in self.raw:
            self.raw[key] = plan.judged(check, self.subject, precision, self.settings)
        return self.raw[key]

    def result(self, check: Check, precision: Precision) -> Result:
        """Return the final result of one check: only a failure needs the others to be explained."""
        raw = self.run(check, precision)
        if raw.status not in expectations.FAILING:
            return expectations.applied(self.expected, [raw])[0]
        return self.all_of(precision)[check.name]

    def all_of(self, precision: Precision) -> dict[str, Result]:
        """Return the final result of each check in one precision."""
        if str(precision) not in self.settled:
            checks = plan.planned(self.checks, precision)
            results = books.explained([self.run(check, precision) for check in checks])
            results = books.attributed([diagnosed(self.subject, r) for r in results])
            results = expectations.applied(self.expected, results)
            self.settled[str(precision)] = {r.check: self.shown(r) for r in results}
        return self.settled[str(precision)]

    def shown(self, result: Result) -> Result:
        """Return a failure with a script that shows it."""
        if result.status != "failed" or self.scripts is None or result.evidence is None:
            return result
        from mindref.conformance.report import script

        path = script.write(result, self.name, self.settings, self.scripts, self.device)
        return result._replace(script=str(path))

    def report(self, on_result: plan.Progress = lambda result: None) -> Report:
        """Run all that has not run yet, and return the books."""
        for check, precision in self.planned():
            on_result(self.run(check, precision))
        results = [r for precision in self.precisions for r in self.all_of(precision).values()]
        remarks = expectations.remarks(self.expected)
        remarks += plan.surprises(self.subject, self.checks, results)
        return Report(
            self.name,
            version(self.name),
            self.settings.seed,
            self.settings.profile,
            dict(self.claimed._asdict()),
            tuple(results),
            len(self.keys()),
            tuple(remarks),
            tuple(self.problems(results)),
            self.words,
            tuple(map(str, self.precisions)),
            self.device,
        )

    def problems(self, results: list[Result]) -> Iterator[str]:
        """Yield what keeps a backend from conforming beside failures."""
        yield from claims.unhonoured(self.subject.backend, self.claimed)
        yield from expectations.problems(self.expected, results, partial=bool(self.words))
        ran = {(r.check, r.precision) for r in results}
        for name, precision in sorted(self.keys() - ran):
            yield f"{name} [{precision}] was planned and did not run: the installation is damaged"
        for name, precision in sorted(ran - self.keys()):
            yield f"{name} [{precision}] ran and is not in the manifest"

    def keys(self) -> set[Key]:
        """Return what must run, by the manifest that ships with the suite."""
        return {
            (name, str(precision))
            for precision in self.precisions
            for name, row in manifest.shipped()["checks"].items()
            if wanted(name, row["rules"], self.words)
            and plan.judges(precision, row["level"], agreement=row["agreement"])
        }


def judge_backend(
    name: str,
    words: tuple[str, ...] = (),
    settings: plan.Settings | None = None,
    expectations_path: Path | None = None,
    on_result: plan.Progress = lambda result: None,
    scripts: Path | None = None,
    device: str = "cpu",
) -> Report:
    """Return the report of a backend, by its name or as `module:object`, on a device.

    `words` are pages, rules or checks, all without any. With a folder `scripts` each failure is
    written there as a script. `on_result` hears of each check once it has run. Raises BackendError
    for a backend that cannot be loaded, ConfigError for unknown words or bad expectations.
    """
    return Judgement(name, words, settings, expectations_path, scripts, device).report(on_result)


def checked(settings: plan.Settings) -> plan.Settings:
    """Return the settings. Raises ConfigError for an unknown profile or a negative seed."""
    if settings.profile not in plan.PROFILES:
        expected = f"one of {', '.join(plan.PROFILES)}"
        raise ConfigError(say("conform: profile", expected, settings.profile))
    if settings.seed < 0:
        raise ConfigError(say("conform: seed", "a number from 0", settings.seed))
    return settings


def load_here(name: str) -> Any:
    """Load a backend, whose module may lie in the current folder."""
    look_here(name)
    return load(name)


def wanted(name: str, rules: Iterable[str], words: tuple[str, ...]) -> bool:
    """Return whether the words choose a check of this name and these rules."""
    first = next(iter(rules))
    return not words or any(w in (first.split("-R")[0], name, *rules) for w in words)


def known(words: tuple[str, ...]) -> tuple[Check, ...]:
    """Return the checks of these words. Raises ConfigError for one that chooses nothing."""
    for word in words:
        if not chosen((word,)):
            expected = "a page, a rule or a check, such as routing, routing-R3, softmax/..."
            raise ConfigError(say("conform", expected, repr(word)))
    return chosen(words)


def diagnosed(subject: OfBackend, result: Result) -> Result:
    """Return a failure with the known mistake that explains it, or that none does."""
    raised = result.evidence is not None and result.evidence.kind == "raised"
    if result.status != "failed" or raised:  # what was raised says more than any comparison
        return result
    from mindref.conformance.variants.diagnosis import diagnose

    return result._replace(diagnosis=diagnose(subject, result))


def version(name: str) -> str:
    """Return name and version of the package that offers a backend, "" if none is installed."""
    if ":" not in name:
        offering = available()[name].dist
        return f"{offering.name} {offering.version}" if offering else ""
    top = name.partition(":")[0].partition(".")[0]
    owners = metadata.packages_distributions().get(top, [])
    return f"{owners[0]} {metadata.version(owners[0])}" if owners else ""
