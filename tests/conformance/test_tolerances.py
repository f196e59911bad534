"""Tests of operators, model and gradient checker define no tolerance of their own."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
FILES = [path for name in ("ops", "models", "conformance") for path in (TESTS / name).glob("*.py")]
NAMES = {"rtol", "atol", "rel", "abs", "tolerance"}
LOOSE_UNLESS_TOLD = {"assert_allclose": "rtol", "approx": "rel"}  # their defaults are 1e-7, 1e-6


def own_numbers(tree):
    """Yield the line of every tolerance that is a number, or a number times something."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from (k.value.lineno for k in node.keywords if k.arg in NAMES and own(k.value))
        elif isinstance(node, ast.Dict):
            items = zip(node.keys, node.values, strict=True)
            yield from (v.lineno for k, v in items if named_tolerance(k) and own(v))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in NAMES:
            yield from [node.lineno] if own(node.value) else []


def named_tolerance(key):
    return isinstance(key, ast.Constant) and key.value in NAMES


def own(value):
    """Return whether a literal other than 0 is the value, or a factor or a branch of it."""
    if isinstance(value, ast.BinOp):
        return own(value.left) or own(value.right)
    if isinstance(value, ast.IfExp):
        return own(value.body) or own(value.orelse)
    return isinstance(value, ast.Constant) and value.value != 0


def silent(tree):
    """Yield the line of every comparison that leaves its tolerance to a library's default."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            needed = LOOSE_UNLESS_TOLD.get(ast.unparse(node.func).split(".")[-1])
            keywords = {k.arg for k in node.keywords}
            if needed and not keywords & {needed, "abs" if needed == "rel" else None, None}:
                yield node.lineno


@pytest.mark.rules("numerics-R9")
def test_no_test_defines_its_own_tolerance():
    assert len(FILES) > 40
    for path in FILES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert list(own_numbers(tree)) == [], f"{path}: use mindref.conformance.tolerances"
        assert list(silent(tree)) == [], f"{path}: set rtol, or rel or abs"


def test_the_search_finds_forbidden_tolerances():
    lines = ["f(rtol=1e-3)", "f(atol=20 * same)", "d = {'rtol': 1e-9}", "atol = 1e-2 if x else 0"]
    assert sorted(own_numbers(ast.parse("\n".join(lines)))) == [1, 2, 3, 4]
    assert not list(own_numbers(ast.parse("f(rtol=0, atol=same * np.max(x, initial=1))")))
    assert list(silent(ast.parse("np.testing.assert_allclose(a, b)\napprox(2)"))) == [1, 2]
    assert not list(silent(ast.parse("assert_allclose(a, b, **SAME)\napprox(2, abs=x)")))
