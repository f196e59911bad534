"""Choose the mutants whose code or tests changed since a commit.

A mutant changed if one of these differs between the commit and the working tree: its entry; the
function that it edits; a test or check that cites its rule, with the fixtures and helpers of the
same file that this test uses. Comments and docstrings do not count, and new tests do not either.
"""

from __future__ import annotations

import ast
import subprocess
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from mindref.conformance.mutants import loader
from mindref.conformance.mutants.loader import Edit, Mutant
from mindref.conformance.mutants.source_units import labels_of, parse_source
from tests import mutants

REPOSITORY = Path(__file__).parent.parent.parent
DAY = 24 * 60 * 60
CATALOGUES = ("mindref/conformance/mutants/", "tests/mutants/")
CHECKS = "mindref/conformance/checks/"


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
    """What changed from a commit to a later one, or to the working tree."""

    def __init__(self, base: str, head: str = "") -> None:
        self.base, self.head = base, head
        revisions = [base, head] if head else [base]
        self.files = set(git("diff", "--no-renames", "--name-only", *revisions).splitlines())
        self.entries = {entry(mutant) for mutant in catalogue_at(base)}
        sources = {x for x in self.files if x.startswith(("tests/", CHECKS)) and x.endswith(".py")}
        self.rules = {file: changed_rules(*self.texts(file)) for file in sources}

    def texts(self, file: str) -> tuple[str, str]:
        """Return the text of a file before and after the change; empty if there is no file."""
        path = REPOSITORY / file
        if self.head:
            return git("show", f"{self.base}:{file}"), git("show", f"{self.head}:{file}")
        after = path.read_text(encoding="utf-8") if path.is_file() else ""
        return git("show", f"{self.base}:{file}"), after

    def concern(self, mutant: Mutant) -> bool:
        """Return whether a mutant changed."""
        return (
            entry(mutant) not in self.entries
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


def changed_rules(before: str, after: str) -> set[str]:
    """Return the rules that changed or removed tests of a file cite."""
    now = {test.name: test.code for test in tests_of(after)}
    changed = (test for test in tests_of(before) if now.get(test.name) != test.code)
    return {rule for test in changed for rule in test.rules}


class SourceTest(NamedTuple):
    """A statement of a file that cites rules, and the statements that it uses."""

    name: str
    rules: frozenset[str]
    code: frozenset[str]


def tests_of(text: str) -> list[SourceTest]:
    """Return the test functions or checks of a file, and the classes of tests."""
    statements = ast.parse(text).body
    defined = {name: node for node in statements for name in names_defined(node)}
    tests = []
    for name, node in defined.items():
        used, waiting = {name}, [node]
        while waiting:
            new = names_used(waiting.pop()) & defined.keys() - used
            used |= new
            waiting += [defined[x] for x in new]
        code = frozenset(code_of(defined[x]) for x in used)
        if rules := {rule for x in used for rule in rules_in(defined[x])}:
            tests.append(SourceTest(name, frozenset(rules), code))
    return tests


def rules_in(node: ast.stmt) -> set[str]:
    """Return the rules in the strings of a statement."""
    strings = (x.value for x in ast.walk(node) if isinstance(x, ast.Constant))
    return {rule for x in strings if isinstance(x, str) for rule in labels_of(x)}


def names_defined(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    stored = (x for x in ast.walk(node) if isinstance(x, ast.Name) and isinstance(x.ctx, ast.Store))
    return {x.id for x in stored}


def names_used(node: ast.stmt) -> set[str]:
    """Return the names in a statement; arguments of a test are names of fixtures."""
    nodes = list(ast.walk(node))
    names = {x.id for x in nodes if isinstance(x, ast.Name)}
    return names | {x.arg for x in nodes if isinstance(x, ast.arg)}


def code_of(node: ast.AST) -> str:
    """Return code as a string, without comments and docstrings."""
    for x in ast.walk(node):
        if isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant):
            x.value.value = ""
    return ast.dump(node)
