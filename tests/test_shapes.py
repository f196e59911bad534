"""Each rule of specs/notation.md: letters, messages, names."""

import inspect
import re
import typing

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mindref.conformance.strategies import distinct_sizes
from mindref.errors import ShapeError
from mindref.ops import OPS
from mindref.ops.embedding import check_row_indices
from mindref.shapes import Array, bind_axes, common_float_dtype, require_bool
from mindref.study.latex import INLINE_FORMULA
from tests import spec_pages
from tests.assertions import raises_exactly

WORDS = {"int", "float", "str", "bool"}
SHAPE = r"(?<!\w)\(([A-Z](?: [A-Z])*(?:, ?[A-Z](?: [A-Z])*)*,?(?: ragged rows| rows)?)\)"
OPERATORS = pytest.mark.parametrize("op", OPS.values(), ids=OPS)


@pytest.mark.rules("notation-R1")
@given(distinct_sizes(4))
def test_every_axis_letter_has_a_size(drawn):
    b, length, k, d = drawn
    found = bind_axes(
        "op",
        history=(np.zeros((b, length, d)), "BLD"),
        active=(np.zeros((b, k)), "BK"),
        bilinear=(np.zeros((d, d)), "DD"),
    )
    assert found == {"B": b, "L": length, "D": d, "K": k}


@pytest.mark.rules("notation-R1")
@given(distinct_sizes(3), st.sampled_from(range(3)))
def test_an_axis_letter_with_two_sizes_is_rejected(drawn, axis):
    other = list(drawn)
    other[axis] += 1
    with pytest.raises(ShapeError):
        bind_axes("op", x=(np.zeros(drawn), "BLD"), y=(np.zeros(other), "BLD"))


@pytest.mark.rules("notation-R1", "notation-R3")
def test_a_repeated_letter_requires_a_square_matrix():
    message = "op: bilinear has shape (3, 4) but bilinear (3, 4) needs (D, D) = (3, 3)"
    with raises_exactly(ShapeError, message):
        bind_axes("op", bilinear=(np.zeros((3, 4)), "DD"))


@pytest.mark.rules("notation-R2")
@pytest.mark.parametrize("shape", [(32,), (32, 19, 1)])
def test_a_wrong_number_of_axes_is_rejected(shape):
    with raises_exactly(ShapeError, f"routing: mask has shape {shape} but needs 2 axes (B, L)"):
        bind_axes("routing", mask=(np.zeros(shape, bool), "BL"))


@pytest.mark.rules("notation-R3")
def test_the_worked_example_holds():
    (example,) = spec_pages.examples("notation")
    arrays = {name: (np.zeros(shape), word) for name, (shape, word) in example["arrays"].items()}
    with raises_exactly(ShapeError, example["message"]):
        bind_axes(example["where"], **arrays)


@pytest.mark.rules("notation-R3")
@pytest.mark.parametrize(
    ("op", "shapes", "text"),
    [
        (
            "routing",
            [(2, 3, 5), (2, 4), (5, 5), (2, 3, 4), (2, 4)],
            "routing: mask has shape (2, 4) but history (2, 3, 5) needs (B, L) = (2, 3)",
        ),
        (
            "routing",
            [(2, 3, 5), (2, 3), (5, 6), (2, 3, 4), (2, 4)],
            "routing: bilinear has shape (5, 6) but history (2, 3, 5) needs (D, D) = (5, 5)",
        ),
        (
            "embedding",
            [(4, 5), (2, 3), (2, 1)],
            "embedding: weights has shape (2, 1) but rows (2, 3) needs (M, F) = (2, 3)",
        ),
    ],
)
def test_operators_name_the_array_with_the_wrong_shape(op, shapes, text):
    arguments = {"routing": {"iterations": 3, "gradient": "all"}}.get(op, {})
    types = {"embedding": [float, int, float]}.get(op, [float, bool, float, float, bool])
    arrays = [np.zeros(shape, kind) for shape, kind in zip(shapes, types, strict=True)]
    with raises_exactly(ShapeError, text):
        OPS[op].forward(*arrays, **arguments)


@pytest.mark.rules("notation-R3")
@pytest.mark.parametrize("name", [name for name, op in OPS.items() if hasattr(op, "bind_axes")])
def test_arrays_are_bound_in_the_order_of_the_signature_except_in_routing(name, monkeypatch):
    class BoundError(Exception):
        """Carries the names of the arrays that are bound."""

    def bind(_, **arrays):
        raise BoundError(list(arrays))

    monkeypatch.setattr(OPS[name], "bind_axes", bind)
    parameters = inspect.signature(OPS[name].forward).parameters
    arrays = [p for p, x in parameters.items() if x.annotation not in WORDS]
    numbers = dict.fromkeys((p for p, x in parameters.items() if x.kind == x.KEYWORD_ONLY), 1)
    with pytest.raises(BoundError) as bound:
        OPS[name].forward(*[np.ones((1, 1))] * len(arrays), **numbers)
    if name == "routing":
        arrays = re.findall(r"(\w+) [A-Z]+", spec_pages.text("notation").split("```\n")[1])
    assert bound.value.args == ([x for x in arrays if x in bound.value.args[0]],)
    assert bound.value.args[0][0] == arrays[0]


@pytest.mark.rules("notation-R5")
def test_row_zero_is_an_ordinary_row():
    check_row_indices("op", np.arange(3), 3)
    for row in (-1, 3):
        with pytest.raises(ShapeError):
            check_row_indices("op", np.array([0, row]), 3)


@OPERATORS
@pytest.mark.rules("notation-R6")
def test_arrays_are_positional_and_other_arguments_keyword_only(op):
    for parameter in inspect.signature(op.forward).parameters.values():
        is_number = parameter.annotation in WORDS
        assert (parameter.kind == parameter.KEYWORD_ONLY) == is_number, parameter
    assert issubclass(op.Saved, tuple)
    assert typing.get_type_hints(op.forward)["return"] == tuple[Array, op.Saved]


@OPERATORS
@pytest.mark.rules("notation-R7")
def test_backward_takes_the_output_gradient_and_saved(op):
    gradient, saved = inspect.signature(op.backward).parameters.values()
    assert gradient.name.startswith("d_")
    assert (saved.name, saved.annotation) == ("saved", "Saved")


@pytest.mark.rules("numerics-R1")
@pytest.mark.parametrize(
    ("types", "text"),
    [
        (("int64",), "op: expected one dtype, float32 or float64, got x int64"),
        (("float16",), "op: expected one dtype, float32 or float64, got x float16"),
        (
            ("float64", "float32"),
            "op: expected one dtype, float32 or float64, got x float64, y float32",
        ),
    ],
)
def test_mixed_float_dtypes_are_rejected(types, text):
    arrays = {name: np.zeros(2, kind) for name, kind in zip("xy", types, strict=False)}
    with raises_exactly(ShapeError, text):
        common_float_dtype("op", **arrays)
    assert common_float_dtype("op", x=np.zeros(2), y=np.ones(3)) == np.float64


@pytest.mark.rules("numerics-R3")
@pytest.mark.parametrize("kind", ["int64", "float32", "uint8"])
def test_a_mask_must_have_dtype_bool(kind):
    require_bool("op", mask=np.ones(2, bool))
    with raises_exactly(ShapeError, f"op: mask: expected a mask of dtype bool, got {kind}"):
        require_bool("op", mask=np.ones(2, kind))


def page_letters(page):
    """Return the capital letters in the columns of axes and in the shapes of a page."""
    text = spec_pages.text(page)
    cells = re.findall(SHAPE, text)
    inputs = text.partition("## Inputs and outputs")[2].partition("\n## ")[0]
    for table in re.findall(r"(?:^\|.*\n)+", inputs, re.M):
        header, _, *rows = table.splitlines()
        if re.search(r"\| (axes|shape) \|", header):
            cells += [re.sub(r"[`\[(][\w.]{2,}[`\])]", "", row.split("|")[2]) for row in rows]
    return set(re.findall(r"(?<![\w'])[A-Z](?![\w'])", " ".join(cells)))


def formula_letters(page):
    """Return the capital letters in the formulas of a page, and in a list of symbols."""
    text = re.sub(r"(?ms)```(?!math\n)\w.*?^```$|`[^`\n]+`", "", spec_pages.text(page))
    formulas = re.findall(r"```math\n(.*?)```", text, re.S) + INLINE_FORMULA.findall(text)
    symbols = re.findall(r"^Symbols: (.*?)\n\n", text, re.M | re.S)
    formula = re.sub(r"\\(mathrm|text)\{[^}]*\}|\\[a-zA-Z]+", " ", " ".join(formulas))
    return set(re.findall(r"(?<![A-Za-z])[A-Z](?![a-z])", " ".join([formula, *symbols])))


def notation_table(head):
    """Return the rows of the table of specs/notation.md whose first cell is `head`."""
    table = spec_pages.text("notation").partition(f"\n| {head} |")[2].partition("\n\n")[0]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table.split("\n")[2:]]


@pytest.mark.rules("notation-R1")
def test_every_letter_of_a_page_is_in_the_table_of_letters():
    cells = [row[i] for row in notation_table("letter") for i in (0, 2)]
    general = " ".join(cells).replace(",", "").split()
    assert len(general) == len(set(general)), "a letter with two meanings"
    of_page = {page: re.findall(r"\b[A-Z]\b", x) for page, x in notation_table("page")}
    assert {"M", "P"}.isdisjoint(general), "these differ from page to page"
    used = {x: page_letters(x) | formula_letters(x) for x in spec_pages.names()}
    used |= {page: formula_letters(page) for page in ("scale", "speed", "notation")}
    for page, letters in used.items():
        assert letters <= {*general, *of_page.get(page, ())}, page
    assert {"E", "H"} <= used["model"]
    assert {"V", "P"} <= used["scale"]
    for page, letters in of_page.items():
        for letter in letters:
            assert re.search(rf"\b{letter}(?![^\W_])", spec_pages.text(page)), f"{page}: {letter}"
