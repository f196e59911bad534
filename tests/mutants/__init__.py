"""Every mutant of the repository.

The mutants of pages that the conformance suite checks are in the package, and those of other pages
are in the *.toml files of this folder. Format and scopes: mindref/conformance/mutants/__init__.py.
"""

from __future__ import annotations

from pathlib import Path

from mindref.conformance.mutants import loader
from mindref.conformance.mutants.loader import Mutant

SHIPPED = loader.shipped_mutants()
ADDED = loader.mutants_in_folder(Path(__file__).parent, scope="tests")
MUTANTS: tuple[Mutant, ...] = (*SHIPPED, *ADDED)


def of_scope(scope: str) -> list[Mutant]:
    """Return the mutants of a scope, such as "tests"."""
    return [mutant for mutant in MUTANTS if scope in mutant.scope]
