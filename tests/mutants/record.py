"""The record of kills: which mutants need not run again.

`killed.json` maps a rule to a fingerprint: a hash of the code of its mutants, of the tests that
must kill them, and of every module of the repository that these tests import. The mutants of a rule
run again as soon as one of these has changed. Comments and docstrings do not count.

The fingerprint has Python files and the mutant alone. A change of another input of the tests (a
specification page, a golden file) does not start the mutants again.

The record is not trusted. `pytest --mutants` runs a sample of the recorded mutants again, which the
commit chooses. `--mutants all` ignores the record; a weekly job of .github/workflows/ci.yml runs
it. So an edited entry survives for a week at most. `--record-kills` writes the record, from a run
that killed the mutants.
"""

from __future__ import annotations

import ast
import hashlib
import json
import random
import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from configparser import ConfigParser
from functools import cache
from pathlib import Path

from mindref.conformance.mutants.loader import Mutant

REPOSITORY = Path(__file__).parent.parent.parent
RECORD = Path(__file__).with_name("killed.json")
SAMPLE = 40
"""Number of recorded mutants that run again."""

LAZY = ("__getattr__", "pytest_")
"""Functions whose imports do not count: they run on demand, and not in the tests of a mutant."""

PREFIXES = ("mindref.conformance.checks", "mindref.study.exercises.tasks")
"""Packages whose modules are imported by names that are built from this string."""

MODULE = re.compile(r"(mindref|tests)(\.\w+)*[.:]?")


def read(path: Path = RECORD) -> dict[str, str]:
    """Return rule -> fingerprint of the recorded kills; empty without a record."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write(
    killed: dict[str, str], survivors: set[str], mutants: Iterable[Mutant], path: Path = RECORD
) -> None:
    """Record the rules whose mutants were all killed; remove those that have a survivor or none.

    killed: the name of a mutant -> the fingerprint of its rule.
    """
    record = {}
    for rule, names in names_by_rule(mutants).items():
        if names <= set(killed):
            record[rule] = killed[min(names)]
        elif not names & survivors and rule in read(path):
            record[rule] = read(path)[rule]
    path.write_text(json.dumps(dict(sorted(record.items())), indent=0) + "\n", encoding="utf-8")


def to_run(
    fingerprints: dict[str, str],
    recorded: dict[str, str],
    mutants: Iterable[Mutant],
    commit: str,
) -> set[str]:
    """Return the names of the mutants of rules without a valid record, and a sample of the others.

    fingerprints: of every rule.
    """
    valid, others = set(), set()
    for rule, names in names_by_rule(mutants).items():
        (valid if recorded.get(rule) == fingerprints[rule] else others).update(names)
    return others | set(random.Random(commit).sample(sorted(valid), min(SAMPLE, len(valid))))


def names_by_rule(mutants: Iterable[Mutant]) -> dict[str, set[str]]:
    """Return rule -> names of its mutants."""
    names: dict[str, set[str]] = {}
    for mutant in mutants:
        names.setdefault(mutant.rule, set()).add(mutant.name)
    return names


def head() -> str:
    """Return the commit that is checked out; empty outside a checkout."""
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def fingerprint(mutant: Mutant, mutated: Iterable[str], tests: Sequence[str]) -> str:
    """Return a hash of a mutant's code, the files of its tests and all modules that they import."""
    files = {REPOSITORY / test for test in tests}
    files |= {REPOSITORY / "mindref" / edit.file for edit in mutant.edits}
    parts = [mutant.rule, mutant.tests, *map(structure_of_text, mutated)]
    parts += [structure(file) for file in sorted(closure(frozenset(files)))]
    return hash_of(parts)


def hash_of(parts: Iterable[str]) -> str:
    """Return the SHA-256 of strings, in hexadecimal."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


@cache
def closure(files: frozenset[Path]) -> frozenset[Path]:
    """Return these files and all files of the repository that they import, also indirectly."""
    reached: set[Path] = set()
    waiting = list(files)
    while waiting:
        file = waiting.pop()
        if file not in reached:
            reached.add(file)
            waiting += imports(file)
    return frozenset(reached)


@cache
def imports(file: Path) -> frozenset[Path]:
    """Return the files of the repository that a file may import, or start with `python -m`.

    A string that names a module counts as an import of it, and a string that ends after a dot as an
    import of the whole package: commands and backends are found by such names.
    """
    nodes = list(code_of(ast.parse(file.read_text(encoding="utf-8"))))
    reached = {path for name in names(nodes) for path in files_of(name)}
    if "entry_points" in {node.attr for node in nodes if isinstance(node, ast.Attribute)}:
        reached |= {path for name in entry_points() for path in files_of(name)}
    if "-m" in {node.value for node in nodes if isinstance(node, ast.Constant)}:
        reached.add(REPOSITORY / "mindref" / "__main__.py")
    for folder in file.parents:  # packages above it, and fixtures
        reached |= {folder / name for name in ("__init__.py", "conftest.py")}
        if folder == REPOSITORY:
            break
    return frozenset(path for path in reached if path.is_file())


def code_of(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a module that run: no docstrings, types, lazy attributes or hooks."""
    yield node
    for child in ast.iter_child_nodes(node):
        is_text = isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)
        is_lazy = str(getattr(child, "name", "")).startswith(LAZY)
        is_for_types = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        if not (is_text or is_lazy or is_for_types):
            yield from code_of(child)


def names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    """Yield the dotted names in the imports and strings of a module."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for match in MODULE.finditer(node.value):
                is_package = (REPOSITORY / match[0].replace(".", "/") / "__init__.py").is_file()
                # a package of its own name is a prefix of modules that are imported by name
                yield f"{match[0]}." if is_package and match[0] in PREFIXES else match[0]


def files_of(name: str) -> list[Path]:
    """Return the files of a module; of all modules below a package if the name ends with a dot."""
    path = REPOSITORY.joinpath(*name.rstrip(".:").split("."))
    if name.endswith("."):
        return sorted(path.rglob("*.py"))
    return [path.with_suffix(".py"), path / "__init__.py"]


@cache
def entry_points() -> tuple[str, ...]:
    """Return the modules of the backends and indexes in setup.cfg."""
    parser = ConfigParser()
    parser.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    groups = parser["options.entry_points"].items()
    lines = "\n".join(text for group, text in groups if group.startswith("mindref.")).splitlines()
    return tuple(line.partition("=")[2].partition(":")[0].strip() for line in lines if "=" in line)


@cache
def structure(file: Path) -> str:
    """Return a hash of the code of a file, without comments and docstrings."""
    return structure_of_text(file.read_text(encoding="utf-8"))


@cache
def structure_of_text(text: str) -> str:
    """Return a hash of code, without the text of comments and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            node.value.value = ""
    return hash_of([ast.dump(tree)])
