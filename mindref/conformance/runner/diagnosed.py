"""Add diagnoses to the failures of a run. An error of the diagnosis loses no result."""

from __future__ import annotations

from mindref.conformance.runner.call import CALLERS, BackendImplementation
from mindref.conformance.runner.result import CheckResult
from mindref.errors import FOREIGN_ERRORS, value_text


def add_diagnoses(
    implementation: BackendImplementation, results: list[CheckResult], seed: int = 0
) -> list[CheckResult]:
    """Return `results`. Checks that failed without an exception get a diagnosis."""
    failed = [result for result in results if has_diagnosis(result)]
    if not failed:
        return results
    from mindref.conformance.mutants.diagnosis import diagnose_failures

    try:
        texts = diagnose_failures(implementation, failed, seed)
    except FOREIGN_ERRORS as error:  # no result may be lost
        reason = f"{type(error).__name__}: {value_text(error)}"
        text = f"no diagnosis, because of a bug in the suite ({reason}); please report it"
        texts = dict.fromkeys([result.check for result in failed], text)
    return [r._replace(diagnosis=texts.get(r.check, r.diagnosis)) for r in results]


def has_diagnosis(result: CheckResult) -> bool:
    """Return whether a failure is diagnosed: an exception explains itself.

    A failure of concurrent callers has no diagnosis: each mutant would run for seconds.
    """
    evidence = result.evidence
    if result.status != "failed" or evidence is None or evidence.kind == "raised":
        return False
    return all(call.stem != CALLERS for call in evidence.calls)
