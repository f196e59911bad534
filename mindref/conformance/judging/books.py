"""After the checks have run: what explains what, so that one mistake shows once."""

from __future__ import annotations

import re
from functools import cache

from mindref.backend import OPERATORS
from mindref.conformance.judging.check import RESTS_ON, all_checks
from mindref.conformance.judging.result import Result

NAMED = re.compile(r"^your .*?\[[\w-]+, ([a-z_]+-R\d+)")
"""A diagnosis that names a mistake, and the rule that the mistake breaks."""


def explained(results: list[Result]) -> list[Result]:
    """Return the results of one precision, each failure that follows from another as blocked.

    A failure is blocked by one of agreement on a page that its own rests on, by one of forward
    agreement on its own page if it asks for gradients, by an earlier agreement of its page; a rule
    of all operators that is broken beside the check blocks it. A failure without a cause stays.
    """
    return [settle(result, position, results) for position, result in enumerate(results)]


def settle(result: Result, position: int, results: list[Result]) -> Result:
    """Return one result with its cause."""
    if result.status == "blocked":  # Beside or Adrift: named by the engine
        return of_other_rule(result, results)
    if result.status != "failed":
        return result
    cause = below(result, results) or earlier(result, position, results)
    cause = cause or raised_before(result, position, results)
    if cause is None:
        return result
    return result._replace(status="blocked", blocked_by=cause.rule)  # conformance-R9


def of_other_rule(result: Result, results: list[Result]) -> Result:
    """Return it blocked by a failure that names its cause; failed, if there is none."""
    if result.blocked_by == "agreement":
        pages = (result.page, operator(result))
        causes = [r for r in results if r.page in pages and broke(r) and agrees(r)]
        causes += [r for r in [below(result, results)] if r]
    else:
        causes = [r for r in results if r.status == "failed" and result.blocked_by in r.rules]
    if causes:
        return result._replace(blocked_by=causes[0].rule)
    named = "" if result.blocked_by == "agreement" else f"{result.blocked_by}: "
    return result._replace(status="failed", blocked_by="", message=named + result.message)


def below(result: Result, results: list[Result]) -> Result | None:
    """Return a failure of agreement on a page that this one rests on, the deepest first."""
    for page in foundations(result.check) or foundations(operator(result)):
        for other in results:
            forward = result.gradient or not other.gradient
            if other.page == page and broke(other) and agrees(other) and forward:
                return other
    return same_question(result, results)


def same_question(result: Result, results: list[Result]) -> Result | None:
    """Return a failure of `name[softmax]` for `name[routing]`, which is built of softmax."""
    question, of_all, _ = result.check.partition("[")
    for page in foundations(operator(result)) if of_all else ():
        for other in results:
            if other.check == f"{question}[{page}]" and broke(other):
                return other
    return None


def earlier(result: Result, position: int, results: list[Result]) -> Result | None:
    """Return an earlier failure of agreement on the same page that explains this one."""
    if not (agrees(result) or result.gradient):
        return None
    for other in results[:position]:
        forward = result.gradient or not other.gradient
        if other.page == result.page and broke(other) and agrees(other) and forward:
            return other
    return None


def raised_before(result: Result, position: int, results: list[Result]) -> Result | None:
    """Return an earlier failure of the same operator that raised the very same, its signature."""
    if not result.message.startswith("raised "):
        return None
    asked = operator(result)
    same = (r for r in results[:position] if operator(r) == asked and broke(r))
    return next((r for r in same if r.message == result.message), None)


def attributed(results: list[Result]) -> list[Result]:
    """Return the results of one precision once mistakes are named: one mistake shows once.

    What a named mistake explains is blocked by the rule that the mistake breaks, if a failure that
    cites this rule is explained by it, too.
    """
    found = []
    for result in results:
        rule = mistaken(result)
        cited = any(rule in r.rules and r.diagnosis == result.diagnosis for r in results)
        if rule and cited and rule not in result.rules:
            result = result._replace(status="blocked", blocked_by=rule)
        found.append(result)
    return [rooted(result, found) for result in found]


def rooted(result: Result, results: list[Result]) -> Result:
    """Return what is blocked by a rule that has become blocked itself as blocked by its cause."""
    passed = [""]
    while result.status == "blocked" and result.blocked_by not in passed:
        causes = [r for r in results if result.blocked_by in r.rules]
        if any(broke(r) for r in causes):
            break
        passed.append(result.blocked_by)
        deeper = next((r.blocked_by for r in causes if r.status == "blocked"), "")
        result = result._replace(blocked_by=deeper or result.blocked_by)
    return result


def mistaken(result: Result) -> str:
    """Return the rule that the named mistake breaks, "" if none is named."""
    if result.status != "failed":
        return ""
    named = NAMED.search(result.diagnosis)
    return named[1] if named else ""


def foundations(page: str) -> list[str]:
    """Return the pages that a page rests on, those without foundations first."""
    found: list[str] = []
    for under in RESTS_ON.get(page, ()):
        found += [p for p in [*foundations(under), under] if p not in found]
    return found


def operator(result: Result) -> str:
    """Return the page of the operator that was asked, else its own: numerics asks all operators."""
    return operators().get(result.check, result.page)


def broke(result: Result) -> bool:
    """Return whether a result failed, or would have."""
    return result.status == "failed"


def agrees(result: Result) -> bool:
    """Return whether it belongs to a check of agreement with the reference."""
    return result.check in agreements()


@cache
def operators() -> dict[str, str]:
    """Return the name of each check of an operator and the operator."""
    return {c.name: c.stem for c in all_checks() if c.stem in OPERATORS}


@cache
def agreements() -> set[str]:
    """Return the names of the checks of agreement."""
    return {c.name for c in all_checks() if c.agreement}
