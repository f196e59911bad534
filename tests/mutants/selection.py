"""Choose the mutants whose code or tests changed since a commit.

A mutant changed if one of these differs between the commit and the working tree: its entry; the
function that it edits; a test or check that cites its rule, with the fixtures and helpers that this
test uses. Comments and docstrings do not count, and new tests do not either. If other code of the
conformance suite changed, such as its bounds, a sample of the mutants of the suite is chosen too.
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
    """What changed from a commit to a later one, or to the working tree."""

    def __init__(self, base: str, head: str = "") -> None:
        self.base, self.head = base, head
        revisions = [base, head] if head else [base]
        self.files = set(git("diff", "--no-renames", "--name-only", *revisions).splitlines())
        self.entries = {entry(mutant) for mutant in catalogue_at(base)}
        python = {x for x in self.files if x.endswith(".py")}
        tests = {x for x in python if x.startswith(("tests/", CHECKS)) or x == "conftest.py"}
        self.rules = {file: changed_rules(*self.texts(file)) for file in tests}
        for file, rules in self.rules_of_helpers(tests).items():
            self.rules[file] = self.rules.get(file, set()) | rules
        suite = {x for x in python - tests if x.startswith(SUITE)}
        is_changed = any(changed_names(*self.texts(file)) for file in suite)
        in_suite = [x for x in mutants.MUTANTS if "suite" in x.scope]
        self.sample = in_suite[::SAMPLE] if is_changed else []

    def rules_of_helpers(self, changed_files: set[str]) -> dict[str, set[str]]:
        """Return test file -> rules of the tests that use changed helpers of other files."""
        changed = {
            f"{module_of(file)}.{name}"
            for file in changed_files
            for name in changed_names(*self.texts(file))
        }
        if not changed:
            return {}
        folders = ("conftest.py", "tests", CHECKS)
        listed = git("ls-tree", "-r", "--name-only", self.head or "HEAD", *folders).splitlines()
        after = {x: self.texts(x)[1] for x in listed if x.endswith(".py")}
        uses: list[tuple[str, Definition]] = []
        waiting = True
        while waiting:
            words = {name.rpartition(".")[2] for name in changed}
            files = [file for file, text in after.items() if any(x in text for x in words)]
            uses = [(file, x) for file in files for x in users_of(changed, file, after[file])]
            using = {f"{module_of(file)}.{x.name}" for file, x in uses}
            waiting = not using <= changed
            changed |= using
        rules: dict[str, set[str]] = {}
        for file, definition in uses:
            rules.setdefault(file, set()).update(definition.rules)
        return rules

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


def changed_rules(before: str, after: str) -> set[str]:
    """Return the rules that changed or removed tests of a file cite."""
    changed = changed_names(before, after)
    return {rule for x in definitions_of(before) if x.name in changed for rule in x.rules}


def changed_names(before: str, after: str) -> set[str]:
    """Return the names of a file whose code, or code that they use, changed or was removed."""
    now = {x.name: x.code for x in definitions_of(after)}
    return {x.name for x in definitions_of(before) if now.get(x.name) != x.code}


class Definition(NamedTuple):
    """A name that a file defines, such as a test, and what it uses of the file and of others."""

    name: str
    rules: frozenset[str]
    code: frozenset[str]
    used: frozenset[str]  # such as "naive" and "naive.forward"


@cache
def definitions_of(text: str) -> list[Definition]:
    """Return the functions, classes and variables of a file."""
    statements = ast.parse(text).body
    defined = {name: node for node in statements for name in names_defined(node)}
    definitions = []
    for name, node in defined.items():
        inside, used, waiting = {name}, set[str](), [node]
        while waiting:
            names = names_used(waiting.pop())
            new = names & defined.keys() - inside
            used |= names
            inside |= new
            waiting += [defined[x] for x in new]
        code = frozenset(code_of(defined[x]) for x in inside)
        rules = frozenset(rule for x in inside for rule in rules_in(defined[x]))
        definitions.append(Definition(name, rules, code, frozenset(used)))
    return definitions


def users_of(changed: set[str], file: str, text: str) -> list[Definition]:
    """Return the definitions of a file that use changed names, such as "tests.naive.forward".

    A name is imported, or it is that of a fixture in a conftest.py of a folder above.
    """
    full_names = {}
    for name in changed:
        module, _, fixture = name.rpartition(".")
        if module.endswith("conftest") and module_of(file).startswith(module[: -len("conftest")]):
            full_names[fixture] = name
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            full_names |= {x.asname or x.name: f"{node.module}.{x.name}" for x in node.names}
    definitions = definitions_of(text)
    defined = {definition.name for definition in definitions}
    users = []
    for definition in definitions:
        parts = (name.partition(".") for name in definition.used - defined)
        if any(f"{full_names.get(x, x)}{dot}{attribute}" in changed for x, dot, attribute in parts):
            users.append(definition)
    return users


def module_of(file: str) -> str:
    """Return the name of the module in a file."""
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


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
    attributes = (x for x in nodes if isinstance(x, ast.Attribute))
    names |= {f"{x.value.id}.{x.attr}" for x in attributes if isinstance(x.value, ast.Name)}
    return names | {x.arg for x in nodes if isinstance(x, ast.arg)}


def code_of(node: ast.AST) -> str:
    """Return code as a string, without comments and docstrings."""
    for x in ast.walk(node):
        if isinstance(x, ast.Expr) and isinstance(x.value, ast.Constant):
            x.value.value = ""
    return ast.dump(node)
