"""T6: the terms of a cell add up to it, as they are printed."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mindref.study.evaluate import FUNCTIONS as ARRAYS
from mindref.study.explain.cells import FUNCTIONS as CELLS
from mindref.study.explain.cells import explain
from mindref.study.run import Given, trace_of
from mindref.study.terminal.beside import PARTS, beside
from mindref.study.terminal.cells import Cell, largest_of
from mindref.study.terminal.finding import place_of
from mindref.study.terminal.terms import explained, group_lines
from mindref.study.trace import Tensor, Trace
from tests.study.small import SETTINGS
from tests.study.small import given as small
from tests.study.terminal.conftest import Studied

CLOSE = 1e-12
VALUE = re.compile(r" (-?(?:\d[\d.]*(?:e[-+]\d+)?|inf))$")


def near(one: float, other: float) -> bool:
    return one == other or abs(one - other) <= CLOSE * max(1, abs(other))


def computed(trace: Trace) -> Iterator[tuple[Tensor, tuple[int, ...]]]:
    """Yield every cell that is not given."""
    for tensor in trace.tensors.values():
        if tensor.recipe["op"] != "given":
            yield from ((tensor, index) for index in np.ndindex(*np.shape(tensor.values)))


def printed(lines: list[str]) -> tuple[list[float], str, float]:
    """Return the terms that stand in the lines of a group, the word of the total, and the total."""
    found = [(line.split()[0], VALUE.search(line)) for line in lines]
    numbers = [(word, float(value[1])) for word, value in found if value]
    *terms, (word, total) = numbers
    assert word in ("total", "largest")
    return [value for _, value in terms], word, total


@pytest.mark.slow
def test_t6_the_printed_terms_of_every_cell_add_up(film_club: Studied) -> None:
    trace, count = film_club.trace, 0
    for tensor, index in computed(trace):
        found = explain(trace.values, tensor.recipe, index)
        value = float(np.asarray(tensor.values)[index])
        assert near(found.value, value), (tensor.name, index)
        for group in found.groups:
            lines = [line.text for line in group_lines(trace, group, 100, True, False)]
            terms, word, total = printed(lines)
            made = math.fsum(terms) if word == "total" else max(terms)
            added = sum(terms) if word == "total" else max(terms)
            assert near(added, total), (tensor.name, index)
            assert near(made, total)
            assert len(terms) == len(group.terms)
        count += 1
    assert count > 10_000


def test_t6_also_few_terms_and_the_rest_add_up(film_club: Studied) -> None:
    trace = film_club.trace
    for name in ("y[1]", "z[3]", "d_S", "w[2]", "d_b[1]", "loss"):
        tensor = trace.tensors[name]
        for in_order in (False, True):
            found = explain(trace.values, tensor.recipe, largest_of(tensor))
            for group in found.groups:
                lines = [line.text for line in group_lines(trace, group, 80, False, in_order)]
                terms, _, total = printed(lines)
                assert near(sum(terms), total)


@pytest.mark.parametrize("name", SETTINGS)
def test_t6_every_setting_is_explained(name: str) -> None:
    """What a model may be set to changes recipes; each is explained to the same number."""
    trace = trace_of(Given(*small(pads=2, **SETTINGS[name])))
    for tensor, index in computed(trace):
        found = explain(trace.values, tensor.recipe, index)
        assert near(found.value, float(np.asarray(tensor.values)[index])), (tensor.name, index)


def test_t6_each_function_of_a_recipe_is_explained() -> None:
    assert CELLS.keys() == ARRAYS.keys()


def test_t6_the_value_on_top_has_all_its_digits(film_club: Studied) -> None:
    trace = film_club.trace
    for name, tensor in trace.tensors.items():
        index = largest_of(tensor)
        cell = Cell(tensor, place_of(trace, name), index)
        head = explained(trace, None, cell, 200)[0].text
        value = np.asarray(tensor.values)[index]
        text = head.rpartition(" = ")[2].partition("  (")[0]
        assert (text == "yes") == bool(value) if value.dtype == bool else float(text) == value


def test_t6_largest_first_unless_in_order(film_club: Studied) -> None:
    trace = film_club.trace
    tensor = trace.tensors["z[3]"]
    cell = Cell(tensor, place_of(trace, "z[3]"), (0, 1))
    tables = {}
    for in_order in (False, True):
        lines = [line.text for line in explained(trace, None, cell, 100, True, in_order)]
        rows = [line for line in lines if re.match(r"   [ \d]\d ", line)]
        tables[in_order] = [(int(row.split()[0]), float(row.split()[-1])) for row in rows]
    assert [place for place, _ in tables[True]] == list(range(1, 21))
    assert tables[False] == sorted(tables[True], key=lambda row: -abs(row[1]))
    assert tables[False] != tables[True]


def gradients(trace: Trace) -> Iterator[Cell]:
    """Yield three cells of every gradient: the largest, the first, the last."""
    for at, step in enumerate(trace.steps):
        for tensor in step.outputs:
            if step.phase == "backward" and tensor.name.startswith(("d_", "from_")):
                shape = np.shape(tensor.values)
                last = tuple(size - 1 for size in shape)
                for index in {largest_of(tensor), tuple(0 for _ in shape), last}:
                    yield Cell(tensor, at, index)


@pytest.mark.parametrize("settings", [{}, {"normalise": True, "temperature": 0.3}])
def test_t6_beside_every_gradient_stands_its_finite_difference(settings: dict[str, Any]) -> None:
    given = Given(*small(power=2.0, iterations=3, routing_gradient="all", **settings))
    trace = trace_of(given)
    seen = set()
    for cell in gradients(trace):
        lines = [line.text for line in beside(given, trace, cell, 200)]
        if cell.tensor.name in PARTS:
            assert not lines
            continue
        _, closed, slope, _ = (line.partition("  ")[2].split()[0] for line in lines)
        assert float(closed) == cell.tensor.values[cell.place]
        off = abs(float(closed) - float(slope))
        assert off < 1e-6 * np.abs(cell.tensor.values).max(), (cell.tensor.name, cell.place, lines)
        seen.add(cell.tensor.name)
    assert {"d_S", "d_items", "d_w[2]", "d_o", "d_query", "from_agreement[1]"} <= seen


def test_t6_stop_gradient_is_named_where_weights_are_held() -> None:
    given = Given(*small(scale=0.5, power=2.0, routing_gradient="last"))
    trace = trace_of(given)
    tensor = trace.tensors["d_S"]
    cell = Cell(tensor, place_of(trace, "d_S"), largest_of(tensor))
    *_, error, line = (line.text for line in beside(given, trace, cell, 200))
    assert "stop-gradient" in line
    assert float(error.split()[-1]) < 1e-6
