"""Names: defined once, and never an empty word. The rules are in .github/CONTRIBUTING.md."""

import ast
import re
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "mindref"
FILES = sorted(PACKAGE.rglob("*.py"))

SHARED = {"forward", "backward", "init", "loss", "main", "Saved", "Params", "Batch", "Gradients"}
SHARED |= {"check_inputs"}
"""Names of the interface of an operator, a model family or a program: defined in many modules."""

MIRRORED = ("ops/", "kernels/")
"""Folders with the same modules on purpose: an operator and its compiled form."""

EMPTY_WORDS = frozenset(
    re.findall(
        r"\w+",
        """given found own asked known made some said told whole alone wanted shown whose kept
        others more rest named it its mine what who where here there place at""",
    )
)
"""Words that say nothing about a value; a local is named after a noun of the formula."""


def definitions(tree):
    """Yield the public functions and classes that a module defines at its top level."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            yield node.name


def defined_twice(files):
    """Return name -> modules, for each name that several of these modules define."""
    modules = defaultdict(set)
    for file, text in files.items():
        module = f"ops and kernels/{Path(file).name}" if file.startswith(MIRRORED) else file
        for name in definitions(ast.parse(text)):
            modules[name].add(module)
    return {n: sorted(fs) for n, fs in modules.items() if len(fs) > 1 and n not in SHARED}


def empty_bindings(text):
    """Return the variables and parameters of a module that are empty words."""
    bound = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.append((node.lineno, node.id))
        elif isinstance(node, ast.arg):
            bound.append((node.lineno, node.arg))
    return [f"line {line}: {name}" for line, name in bound if name in EMPTY_WORDS]


def test_no_function_or_class_is_defined_in_two_modules():
    files = {str(path.relative_to(PACKAGE)): path.read_text(encoding="utf-8") for path in FILES}
    assert defined_twice(files) == {}


def test_no_variable_is_an_empty_word():
    assert len(FILES) > 100
    texts = {path.relative_to(PACKAGE): path.read_text(encoding="utf-8") for path in FILES}
    words = {str(path): empty_bindings(text) for path, text in texts.items()}
    assert {path: names for path, names in words.items() if names} == {}


def test_a_second_definition_is_noticed():
    files = {"run/a.py": "def read_items(): ...", "recall/b.py": "def read_items(): ..."}
    assert defined_twice(files) == {"read_items": ["recall/b.py", "run/a.py"]}
    mirror = {"ops/a.py": "def squash_rows(): ...", "kernels/a.py": "def squash_rows(): ..."}
    assert defined_twice(mirror) == {}
    inside = {"ops/a.py": "def squash_rows(): ...", "ops/b.py": "def squash_rows(): ..."}
    assert defined_twice(inside) == {
        "squash_rows": ["ops and kernels/a.py", "ops and kernels/b.py"]
    }


def test_an_empty_word_is_noticed():
    text = "def f(given, *, rows):\n    for what in rows:\n        (found, total) = what, 1\n"
    assert empty_bindings(text) == ["line 1: given", "line 2: what", "line 3: found"]
