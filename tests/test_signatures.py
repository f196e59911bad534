"""Signatures on the pages: names, order and defaults of the arguments are those of the code."""

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest

import mindref.ops
from tests import spec_pages

OPERATORS = Path(mindref.ops.__file__).parent

BLOCK = re.compile(r"^```python signatures\n(.*?)^```$", re.M | re.S)
LINES = [line for page in spec_pages.names() for text in BLOCK.findall(spec_pages.text(page))
         for line in text.splitlines()]  # fmt: skip

OPTIMISER = {"mindref.training.optimiser.init", "mindref.training.optimiser.update"}


def operator_functions():
    """Return page -> names of the functions that the page must list."""
    modules = {path.stem: f"mindref.ops.{path.stem}" for path in OPERATORS.glob("*.py")}
    pages = {page: module for page, module in modules.items() if page in spec_pages.names()}
    functions = {page: {f"{x}.forward", f"{x}.backward"} for page, x in pages.items()}
    return functions | {"optimiser": OPTIMISER}


def unlisted_functions(lines):
    """Return the pages without a line for a function that they must list."""
    listed = {line.split("(")[0] for line in lines}
    return {page for page, functions in operator_functions().items() if not functions <= listed}


def differs_from_code(line):
    """Return whether a line is not the signature of its function; the default ... is any object."""
    path, arguments = line.rstrip(")").split("(", 1)
    module, name = path.rsplit(".", 1)
    stated = inspect.signature(eval(f"lambda {arguments}: 0"))
    actual = inspect.signature(getattr(import_module(module), name))
    pairs = zip(stated.parameters.values(), actual.parameters.values(), strict=False)
    same = all(
        (a.name, a.kind) == (b.name, b.kind) and (a.default is ... or a.default == b.default)
        for a, b in pairs
    )
    return not same or len(stated.parameters) != len(actual.parameters)


@pytest.mark.rules("notation-R6")
def test_a_signature_on_a_page_is_that_of_the_code():
    assert len(LINES) > 20
    assert [line for line in LINES if differs_from_code(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        "mindref.ops.squash.forward(x, *, kind='unit')",
        "mindref.ops.squash.forward(x, *, kind)",
        "mindref.ops.squash.forward(x, kind='squash')",
        "mindref.ops.squash.forward(y, *, kind='squash')",
        "mindref.ops.squash.forward(x)",
        "mindref.ops.squash.forward(x, *, kind='squash', axis=1)",
    ],
)
def test_a_wrong_signature_is_noticed(line):
    assert differs_from_code(line)


@pytest.mark.rules("notation-R6")
def test_every_operator_page_lists_forward_and_backward():
    assert len(operator_functions()) == 10
    assert unlisted_functions(LINES) == set()
    assert "squash" in unlisted_functions([line for line in LINES if "squash.backward" not in line])
