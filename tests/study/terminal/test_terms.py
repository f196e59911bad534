"""The printed terms of a cell add up to the printed cell."""

import math
import re

import numpy as np
import pytest

from mindref.study.explain.cells import FUNCTIONS as CELLS
from mindref.study.explain.cells import explain_cell
from mindref.study.recipe_arrays import FUNCTIONS as ARRAYS
from mindref.study.terminal.lookup import TraceCell, find_largest, find_producer
from mindref.study.terminal.terms import (
    format_explanation,
    format_group,
)
from mindref.study.tracing import trace_pair
from tests.assertions import nonempty
from tests.study.pairs import SETTINGS, make_small_pair

CLOSE = 1e-12
VALUE = re.compile(r" (-?(?:\d[\d.]*(?:e[-+]\d+)?|inf))$")


def is_close(one, other):
    return one == other or abs(one - other) <= CLOSE * max(1, abs(other))


def computed_cells(trace):
    for tensor in trace.tensors.values():
        if tensor.recipe["op"] != "input":
            yield from ((tensor, index) for index in np.ndindex(*np.shape(tensor.values)))


def parse_group(lines):
    """Return the printed terms of a group, the word before the total, and the total."""
    matches = [(line.split()[0], VALUE.search(line)) for line in lines]
    numbers = [(word, float(value[1])) for word, value in matches if value]
    *terms, (word, total) = numbers
    assert word in ("total", "largest")
    return [value for _, value in terms], word, total


@pytest.mark.slow
def test_the_printed_terms_of_every_cell_add_up(film_club):
    trace, count = film_club.trace, 0
    for tensor, index in computed_cells(trace):
        explanation = explain_cell(trace.values, tensor.recipe, index)
        value = float(np.asarray(tensor.values)[index])
        assert is_close(explanation.value, value), (tensor.name, index)
        for group in explanation.groups:
            lines = [line.text for line in format_group(trace, group, 100, True, False)]
            terms, word, total = parse_group(lines)
            exact = math.fsum(terms) if word == "total" else max(terms)
            in_order = sum(terms) if word == "total" else max(terms)
            assert is_close(in_order, total), (tensor.name, index)
            assert is_close(exact, total)
            assert len(terms) == len(group.terms)
        count += 1
    assert count > 10_000


def test_few_printed_terms_and_their_omitted_rest_add_up(film_club):
    trace = film_club.trace
    for name in nonempty(("y[1]", "z[3]", "d_S", "w[2]", "d_b[1]", "loss")):
        tensor = trace.tensors[name]
        for in_order in (False, True):
            explanation = explain_cell(trace.values, tensor.recipe, find_largest(tensor))
            for group in explanation.groups:
                lines = [line.text for line in format_group(trace, group, 80, False, in_order)]
                terms, _, total = parse_group(lines)
                assert is_close(sum(terms), total)


@pytest.mark.parametrize("name", SETTINGS)
def test_cells_of_every_model_setting_are_explained(name):
    trace = trace_pair(make_small_pair(pads=2, **SETTINGS[name]))
    for tensor, index in nonempty(computed_cells(trace)):
        explanation = explain_cell(trace.values, tensor.recipe, index)
        assert is_close(explanation.value, float(np.asarray(tensor.values)[index])), (
            tensor.name,
            index,
        )


def test_every_recipe_function_has_an_explanation():
    assert CELLS.keys() == ARRAYS.keys()


def test_the_value_in_the_heading_has_all_digits(film_club):
    trace = film_club.trace
    for name, tensor in trace.tensors.items():
        index = find_largest(tensor)
        cell = TraceCell(tensor, find_producer(trace, name), index)
        head = format_explanation(trace, cell, 200)[0].text
        value = np.asarray(tensor.values)[index]
        text = head.rpartition(" = ")[2].partition("  (")[0]
        assert (text == "yes") == bool(value) if value.dtype == bool else float(text) == value


def test_the_largest_terms_are_first_unless_in_order(film_club):
    trace = film_club.trace
    tensor = trace.tensors["z[3]"]
    cell = TraceCell(tensor, find_producer(trace, "z[3]"), (0, 1))
    tables = {}
    for in_order in (False, True):
        lines = format_explanation(trace, cell, 100, True, in_order)
        rows = [line.text for line in lines if re.match(r"   [ \d]\d ", line.text)]
        tables[in_order] = [(int(row.split()[0]), float(row.split()[-1])) for row in rows]
    assert [position for position, _ in tables[True]] == list(range(1, 21))
    assert tables[False] == sorted(tables[True], key=lambda row: -abs(row[1]))
    assert tables[False] != tables[True]
