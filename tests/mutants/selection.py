"""Choose the mutants whose code or tests changed since a commit.

A mutant changed if one of these differs between the commit and the working tree: its entry; the
code of the function that it edits; a file with tests or checks that cite its rule. If another file
of the conformance suite changed, such as its bounds, a sample of the mutants of the suite is chosen
too. Helpers in other files are not followed: every night all mutants run.
"""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from mindref.conformance.mutants import loader
from mindref.conformance.mutants.loader import Edit, Mutant
from mindref.conformance.mutants.source_units import labels_of, parse_source
from tests import mutants

REPOSITORY = Path(__file__).parent.parent.parent
DAY = 24 * 60 * 60
CATALOGUES = ("mindref/conformance/mutants/", "tests/mutants/")
SUITE = "mindref/conformance/"
CHECKS = f"{SUITE}checks/"
SAMPLE = 15
"""Each mutant of the suite whose number is a multiple is in the sample."""


def select_mutants(choice: str, base: str | None = None) -> tuple[str, list[Mutant]]:
    """Return a title and the chosen mutants.

    choice: "changed" (since `base`), "all", or a part of the name of mutants.
    base: by default, the newest commit that is at least a day older than the last one.
    """
    catalogue = list(mutants.MUTANTS)
    if choice not in ("changed", "all"):
        named = [mutant for mutant in catalogue if choice in mutant.name]
        if not named:
            raise pytest.UsageError(f"--mutants: no mutant has {choice!r} in its name")
        return f"named {choice}", named
    base = base or day_before_head()
    if choice == "all" or not base:
        return "all", catalogue
    changes = Changes(base)
    return f"changed since {base[:10]}", [x for x in catalogue if changes.concern(x)]


def git(*arguments: str) -> str:
    """Return what a command of git prints; empty if it fails."""
    command = ["git", "-C", str(REPOSITORY), *arguments]
    done = subprocess.run(command, capture_output=True, check=False)
    return done.stdout.decode(errors="replace") if done.returncode == 0 else ""


def day_before_head() -> str:
    """Return the newest commit at least a day older than the last; empty if there is none."""
    time = git("log", "-1", "--format=%ct").strip()
    return git("rev-list", "-1", f"--before={int(time) - DAY}", "HEAD").strip() if time else ""


class Changes:
    """What changed from a commit to the working tree."""

    def __init__(self, base: str) -> None:
        self.base = base
        self.files = set(git("diff", "--no-renames", "--name-only", base).splitlines())
        self.entries = {entry(mutant) for mutant in catalogue_at(base)}
        python = {x for x in self.files if x.endswith(".py")}
        tests = {x for x in python if x.startswith(("tests/", CHECKS))}
        self.rules = {file: set(labels_of("".join(self.texts(file)))) for file in tests}
        in_suite = [x for x in mutants.MUTANTS if "suite" in x.scope]
        is_changed = any(x.startswith(SUITE) for x in python - tests)
        self.sample = in_suite[::SAMPLE] if is_changed else []

    def texts(self, file: str) -> tuple[str, str]:
        """Return the text of a file before and after the change; empty if there is no file."""
        path = REPOSITORY / file
        after = path.read_text(encoding="utf-8") if path.is_file() else ""
        return git("show", f"{self.base}:{file}"), after

    def concern(self, mutant: Mutant) -> bool:
        """Return whether a mutant changed."""
        return (
            entry(mutant) not in self.entries
            or mutant in self.sample
            or any(self.changed_code(edit) for edit in mutant.edits)
            or any(mutant.rule in self.rules[x] for x in self.rules if may_kill(mutant, x))
        )

    def changed_code(self, edit: Edit) -> bool:
        """Return whether the edited function changed, or the edited statement outside functions."""
        file = f"mindref/{edit.file}"
        if file not in self.files:
            return False
        before, after = (edited_code(text, edit.anchor) for text in self.texts(file))
        return before != after


def may_kill(mutant: Mutant, file: str) -> bool:
    """Return whether a mutant may be killed by a test or check in a file that cites its rule.

    Kernels differ from a wrong reference, so the tests of the reference must fail.
    """
    if "suite" in mutant.scope:
        return file.startswith(CHECKS)
    return file.startswith(mutant.tests or "tests/") and (
        bool(mutant.tests) or not file.startswith("tests/kernels/")
    )


def catalogue_at(commit: str) -> list[Mutant]:
    """Return the mutants of a commit."""
    found = []
    for file in git("ls-tree", "-r", "--name-only", commit, *CATALOGUES).splitlines():
        if file.endswith(".toml"):
            scope = "tests" if file.startswith("tests/") else "suite"
            found += loader.read_mutants(git("show", f"{commit}:{file}"), scope)
    return found


def entry(mutant: Mutant) -> tuple[object, ...]:
    """Return what decides whether a mutant is killed, without its description."""
    return mutant.name, mutant.rule, mutant.scope, mutant.tests, mutant.edits


@cache
def edited_code(text: str, anchor: str) -> str:
    """Return the code of the function that an anchor names; of its statement outside functions."""
    scope = anchor.partition(": ")[0]
    source = parse_source(text)
    for unit in source.units:
        if unit.function == scope and isinstance(unit.node, ast.FunctionDef):
            return code_of(unit.node)
    try:
        return code_of(source.find(anchor).node)
    except ValueError:
        return ""


def code_of(node: ast.AST) -> str:
    """Return code as a string, without comments and docstrings."""
    for x in ast.walk(node):
        if isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant):
            x.value.value = ""
    return ast.dump(node)
