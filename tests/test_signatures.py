"""Signatures on the pages: names, order and defaults of the arguments are those of the code."""

import inspect
import re
from importlib import import_module

import pytest

from tests import spec_pages

BLOCK = re.compile(r"^```python signatures\n(.*?)^```$", re.M | re.S)
LINES = [line for page in spec_pages.names() for text in BLOCK.findall(spec_pages.text(page))
         for line in text.splitlines()]  # fmt: skip


def differs(line):
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
@pytest.mark.parametrize("line", LINES)
def test_a_signature_on_a_page_is_that_of_the_code(line):
    assert not differs(line)


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
    assert differs(line)
