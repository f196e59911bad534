"""How MIND plus starts: weights by age, what is drawn, and what settings are refused."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import STANDARD_ERRORS
from mindref.errors import ConfigError
from mindref.models import mind_plus, parameters
from mindref.models.mind_plus import ages
from mindref.models.parameters import Sizes, flatten
from tests import spec_pages
from tests.assertions import assert_close, raises_exactly
from tests.models.worlds import plus_config


@pytest.mark.rules("mind_plus-R2")
def test_the_weights_start_as_lines_of_equal_ratios() -> None:
    config = plus_config(recency="interests", interests=4, contexts=1, window=6)
    expected = [[-age * 0.03 * 3**column for column in range(5)] for age in range(6)]
    assert_close(ages.start(config), expected)
    assert ages.start(dataclasses.replace(config, dtype="float32")).dtype == np.float32


@pytest.mark.rules("mind_plus-R2")
def test_one_column_is_the_slowest_line_and_no_column_is_none() -> None:
    shared = ages.start(plus_config(recency="shared", window=4))
    assert_close(shared[:, 0], [0, -0.03, -0.06, -0.09], atol=0)
    assert ages.start(plus_config(window=4)).shape == (4, 0)


@pytest.mark.rules("mind_plus-R13")
@pytest.mark.parametrize("unused", [{"contexts": 1}, {"user_features": ["age"]}])
def test_an_input_that_no_head_reads_raises(unused: dict[str, Any]) -> None:
    wanted = "layers or residual, which use contexts and user features"
    with raises_exactly(ConfigError, f"head: expected {wanted}, got none"):
        plus_config(head="none", **unused)
    for head in ("layers", "residual"):
        plus_config(head=head, **unused)


@pytest.mark.rules("mind_plus-R20")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [0, 2])
def test_tables_and_matrix_start_as_those_of_mind(count: int, dtype: str) -> None:
    config = plus_config(dtype=dtype, hidden=[30], width=8, contexts=count)
    sizes = Sizes(20, 25, 7, 2)
    found = flatten(mind_plus.init(np.random.default_rng(3), config, sizes))
    of_mind = parameters.init(np.random.default_rng(3), config, sizes)
    alike = set(flatten(of_mind)) if count == 0 else {"items", "profile", "bilinear"}
    for name in alike:
        assert found[name].tobytes() == flatten(of_mind)[name].tobytes(), name
    assert found["layers.0.weight"].shape == (8 + 2 * 8 + count * 8, 30)
    weight = found["layers.0.weight"]
    spread = weight.std() * np.sqrt(weight.shape[0] / 2)
    error = STANDARD_ERRORS / math.sqrt(2 * weight.size)
    assert spread == pytest.approx(1, abs=error)
    assert {x.dtype for x in found.values()} == {np.dtype(dtype)}


@pytest.mark.rules("mind_plus-R20")
def test_what_is_left_out_does_not_change_how_the_rest_starts() -> None:
    sizes = Sizes(20, 25, 0, 0)
    whole = flatten(mind_plus.init(np.random.default_rng(3), plus_config(), sizes))
    for changes, gone in (({"votes": "items"}, "bilinear"), ({"head": "none"}, "layers.0.weight")):
        some = flatten(mind_plus.init(np.random.default_rng(3), plus_config(**changes), sizes))
        assert gone not in some or some[gone].size == 0
        for name, x in some.items():
            if x.size:
                assert x.tobytes() == whole[name].tobytes(), name


@pytest.mark.rules("mind_plus-R22")
@pytest.mark.parametrize("preset", ["best", "sparse"])
def test_a_preset_is_the_column_of_the_page_and_nothing_else(preset: str) -> None:
    table = spec_pages.text("mind_plus").split("| setting | `best` | `sparse` | default |")[1]
    rows = [line.split("|")[1:5] for line in table.split("\n\n")[0].splitlines()[2:]]
    plain, found = (Config.of(name).to_dict() for name in ("default", preset))
    column = {"best": 1, "sparse": 2}[preset]
    changed = {}
    for row in rows:
        name, *cells = (cell.strip() for cell in row)
        assert cell_of(plain[name]) == cells[2], name
        assert cell_of(found[name]) == cells[column - 1], name
        changed[name] = found[name]
    assert {n: x for n, x in found.items() if x != plain[n]}.items() <= changed.items()


def cell_of(value: object) -> str:
    """Return a setting as a cell of the table."""
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "none"
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:g}" if number else str(value).lower()
