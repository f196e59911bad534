"""Find the mutants of the catalogue that make the same errors as the implementation under test.

A mutant fits a call if its deviation is at least 99 % of the deviation of the implementation. A
mutant is compared on the calls of all failures of an operator, so that one failure cannot name a
mistake that another failure refutes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import OPERATORS, Capabilities
from mindref.conformance.bounds import Precision
from mindref.conformance.mutants import loader
from mindref.conformance.mutants.call_properties import map_call_floats
from mindref.conformance.mutants.deviation import (
    Part,
    Parts,
    Pool,
    call_similarities,
    deviation_of,
    expected_or_none,
)
from mindref.conformance.mutants.loader import Mutant, backend_of, suite_mutants
from mindref.conformance.runner.call import BackendImplementation, Implementation
from mindref.conformance.runner.check import FAMILY_OF, RESTS_ON, ConformanceCheck

MIN_EXPLAINED = 0.99
"""A mutant fits a call only if it explains at least this fraction of the deviation."""

MIN_CLOSE = 0.9999
"""In a partial match, the mutant must explain this fraction of the deviation in most calls."""

MOST = 0.75
"""A mutant that fits at least this fraction of the calls, but not all, is a partial match."""

FEW, FEW_SLOW, HALF = 5, 2, 0.5
"""A mutant first runs FEW wrong calls of an operator, or one call of a model.

It runs all calls if it explains over HALF of the deviation, or fits one call.
"""

PARTNERS = 8
"""Number of mutants that are combined with the best mutant, to find two mistakes at once."""


TIE_SCALES = (2.0**-60, 2.0**-30, 2.0**-7, 2.0**7, 2.0**20, 2.0**60)
"""Calls multiplied by these factors distinguish mutants that are equal on the other calls."""


MIN_WRONG = 3
"""If fewer calls are wrong, a mutant must explain these calls with other magnitudes, too."""


class Fit(NamedTuple):
    """A mutant, and how much of the deviation it explains in each call."""

    mutant: Mutant
    similarities: dict[int, float]  # calls with a wrong array of the implementation or the mutant

    @property
    def share(self) -> float:
        """Return the mean fraction of the deviation that the mutant explains."""
        return float(np.mean([*self.similarities.values()])) if self.similarities else 0.0

    @property
    def misfits(self) -> list[int]:
        """Return the calls that the mutant does not fit."""
        return [call for call, x in self.similarities.items() if x < MIN_EXPLAINED]

    @property
    def num_fits(self) -> int:
        """Return the number of calls that the mutant fits."""
        return len(self.similarities) - len(self.misfits)

    @property
    def is_complete(self) -> bool:
        """Return whether the mutant fits every call."""
        return bool(self.similarities) and not self.misfits  # conformance-R16

    def num_close(self, calls: Sequence[int]) -> int:
        """Return the number of `calls` whose deviation the mutant explains closely."""
        return sum(self.similarities.get(call, 0.0) >= MIN_CLOSE for call in calls)


def candidate_mutants(
    checks: Sequence[ConformanceCheck], implementation: Implementation | None = None
) -> tuple[Mutant, ...]:
    """Return the mutants of the specification pages of `checks`, and of pages that these use.

    If `implementation` claims the operators, checks of the operators find their mistakes, so
    mutants of operators are left out for checks of trainings. If all checks run one operator, each
    mutant edits code that the operator uses.
    """
    claims = getattr(implementation, "claims", None)
    has_operators = claims is not None and "ops" in claims.levels
    pages: set[str] = {"numerics"}
    for check in checks:
        if check.level == "train" and has_operators:
            pages |= {check.page, "optimiser", "model", "backend"}
            continue
        pages |= {check.page, check.stem, *RESTS_ON.get(check.stem, ())}
        if check.level in ("model", "train") or check.stem == "composition":
            pages |= {"model", "optimiser", *RESTS_ON["model"], "softmax", "squash"}
        pages |= {page for page, family in FAMILY_OF.items() if family == check.family}
    mutants = tuple(mutant for mutant in suite_mutants() if mutant.page in pages)
    stems = {check.stem for check in checks}
    if not stems <= set(OPERATORS):
        return mutants
    files = {file for stem in stems for file in files_used(f"mindref.ops.{stem}")}
    return tuple(m for m in mutants if any(edit.file in files for edit in m.edits))


def rank_mutants(pool: Pool, candidates: Sequence[Mutant]) -> list[Fit]:
    """Return the mutants with their fits, best first.

    A mutant that explains little of the first wrong calls does not run the other calls.
    """
    is_fast = pool_is_of_operators(pool)
    few = pool.select(spread_indices(pool.wrong_calls, FEW if is_fast else FEW_SLOW))
    first = few.select([0])
    fits = []
    for mutant in candidates:
        fit = fit_of(mutant, few if is_fast else first)
        if fit.share > HALF or fit.num_fits:
            fit = fit_of(mutant, pool)
        fits.append(fit)
    return sorted(fits, key=lambda fit: (-fit.is_complete, -fit.share))


def spread_indices(indices: Sequence[int], count: int) -> list[int]:
    """Return `count` of the indices: the first, the last, and others at equal distances."""
    if len(indices) <= count:
        return list(indices)
    positions = np.linspace(0, len(indices) - 1, count).round().astype(int)
    return [indices[position] for position in positions]


def fit_of(mutant: Mutant, pool: Pool) -> Fit:
    """Return how much of the deviation in each call of `pool` the mutant explains."""
    return Fit(mutant, call_similarities(pool.parts, mutant_parts(mutant, pool)))


def mutant_parts(mutant: Mutant, pool: Pool) -> Parts:
    """Return the deviation of `mutant` in the calls of `pool`."""
    implementation = mutant_implementation(mutant, is_operator=pool_is_of_operators(pool))
    return deviation_of(implementation, pool.calls, pool.expected, pool.gradients)


def pool_is_of_operators(pool: Pool) -> bool:
    """Return whether every call of `pool` is a call of an operator."""
    return all(call.stem in OPERATORS for call in pool.calls)


@cache
def mutant_implementation(mutant: Mutant, *, is_operator: bool) -> Implementation:
    """Return an implementation that runs calls on the code of `mutant`.

    If `is_operator`, only operators are built, which is faster.
    """
    return BackendImplementation(OperatorsOf(mutant) if is_operator else backend_of(mutant))


class OperatorsOf:
    """The operators of a mutant as a backend. Modules without an edit are those of the package."""

    def __init__(self, mutant: Mutant) -> None:
        self.name = mutant.name
        edited = {edit.file for edit in mutant.edits}
        modules: dict[str, Any] = {}
        for name, file in loader.FILES.items():
            if name != "mindref.shapes" and not name.startswith("mindref.ops."):
                continue
            if file in edited or imported_modules(file) & set(modules):
                edits = tuple(edit for edit in mutant.edits if edit.file == file)
                modules[name] = loader.run_module(name, loader.compile_edited(file, edits), modules)
        self.modules = modules
        self.ops = SimpleNamespace(**{stem: self.operator(stem) for stem in OPERATORS})

    def operator(self, stem: str) -> Any:
        """Return the module of the operator `stem`."""
        import mindref.ops

        return self.modules.get(f"mindref.ops.{stem}") or getattr(mindref.ops, stem)

    def capabilities(self) -> Capabilities:
        """Return the claims: all operators of MIND."""
        return Capabilities(OPERATORS)


@cache
def files_used(module: str) -> frozenset[str]:
    """Return the file of `module`, and the files of all modules of the package that it imports."""
    file = loader.FILES[module]
    used = [files_used(name) for name in imported_modules(file) if name in loader.FILES]
    return frozenset({file}).union(*used)


@cache
def imported_modules(file: str) -> set[str]:
    """Return the modules of the package that `file` imports, as full names."""
    names = set()
    for package, words in re.findall(
        r"^from (mindref[\w.]*) import (\([^)]*\)|.*)", loader.source_text(file), re.MULTILINE
    ):
        names |= {package, *(f"{package}.{word}" for word in re.findall(r"\w+", words))}
    return names


def find_pair(pool: Pool, fits: Sequence[Fit], candidates: Sequence[Mutant]) -> Fit | None:
    """Return two mutants as one, if both together explain the deviation in every call."""
    is_fast = pool_is_of_operators(pool)
    few = pool.select(spread_indices(pool.wrong_calls, FEW if is_fast else FEW_SLOW))
    for best in fits[: 2 if is_fast else 1]:
        if not (HALF < best.share < MIN_EXPLAINED or best.num_close(pool.wrong_calls)):
            continue
        remaining = [mutant for mutant in candidates if mutant is not best.mutant]
        for partner in likely_partners(best.mutant, few, remaining):
            both = combine_mutants(best.mutant, partner)
            try:
                if fit_of(both, few).is_complete and (fit := fit_of(both, pool)).is_complete:
                    return fit
            except ValueError:  # both edit the same statement
                continue
    return None


def combine_mutants(first: Mutant, second: Mutant) -> Mutant:
    """Return a mutant with the mistakes of both."""
    names = f"{first.description} [{first.name}, {first.rule}]; and {second.description}"
    return second._replace(description=names, edits=first.edits + second.edits)


def likely_partners(best: Mutant, few: Pool, candidates: Sequence[Mutant]) -> list[Mutant]:
    """Return the mutants whose deviation is most similar to the residual that `best` leaves."""
    residual = subtract_parts(few.parts, mutant_parts(best, few))
    pool = few._replace(parts=residual)
    shares = {mutant: fit_of(mutant, pool) for mutant in candidates}
    likely = sorted(
        candidates, key=lambda mutant: (-shares[mutant].num_fits, -shares[mutant].share)
    )
    return [mutant for mutant in likely[:PARTNERS] if shares[mutant].share > 0]


def subtract_parts(minuend: Parts, subtrahend: Parts) -> Parts:
    """Return `minuend` minus `subtrahend`, without parts of unequal shapes."""
    residual: Parts = {}
    for key, part in minuend.items():
        mutant_part = subtrahend.get(key, part)
        if mutant_part.deviation.shape == part.deviation.shape:
            with np.errstate(invalid="ignore"):
                residual[key] = Part(
                    np.nan_to_num(part.deviation - mutant_part.deviation), part.allowed
                )
    return residual


def break_ties(
    implementation: Implementation,
    pool: Pool,
    fits: Sequence[Fit],
    precision: Precision,
    rules: Sequence[str],
) -> list[Fit]:
    """Return the fits that also explain calls with much larger and smaller numbers.

    If several mutants fit and none explains these calls, return `fits`. If few calls are wrong, a
    mutant must explain them, too. Mutants that break one of `rules` come first.
    """
    chosen = list(fits)
    num_wrong = len(pool.wrong_calls)
    if len(fits) > 1 or num_wrong < MIN_WRONG:
        calls = [
            map_call_floats(partial(np.multiply, factor), call)
            for call in pool.select(spread_indices(pool.wrong_calls, 2)).calls
            for factor in TIE_SCALES
        ]
        calls = [call.to(calls[0].dtype) for call in calls]
        expected = [expected_or_none(call, precision) for call in calls]
        parts = deviation_of(implementation, calls, expected, pool.gradients)
        wide = Pool(calls, expected, parts, pool.gradients)
        explaining = [fit for fit in fits if not fit_of(fit.mutant, wide).misfits]
        chosen = explaining or (chosen if num_wrong >= MIN_WRONG else [])
    return sorted(chosen, key=lambda fit: fit.mutant.rule not in rules)
