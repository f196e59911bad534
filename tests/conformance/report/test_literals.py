"""Numbers in a script are those of the failure, bit for bit; where it is written, and where not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.report import reproduction
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.failure import Evidence
from mindref.conformance.runner.plan import RunSettings
from mindref.errors import RunError
from tests.conformance.small import result


def again(x: Any) -> Any:
    """Return what the literal of x makes."""
    imports: reproduction.Imports = set()
    text = reproduction.value_literal(x, imports)
    names: dict[str, Any] = {"np": np, "inf": np.inf, "nan": np.nan}
    for module, name in imports:
        exec(f"from {module} import {name}", names)
    return eval(text, names)


RNG = np.random.default_rng(0)
CUBE = RNG.standard_normal((2, 3, 4))


@pytest.mark.rules("conformance-R14")
@pytest.mark.parametrize(
    "x",
    [
        CUBE,
        CUBE.astype(np.float32),
        CUBE.astype(np.float16),
        np.array([np.nan, np.inf, -np.inf, -0.0, 5e-324, 1.7976931348623157e308]),
        np.asfortranarray(CUBE),
        CUBE.transpose(1, 2, 0).copy(order="K"),
        np.array(0.1, np.float32),
        np.zeros((2, 0, 3), np.float32),
        np.array([[True, False]]),
        np.array([1, -(2**62)]),
    ],
)
def test_a_literal_makes_the_same_array_bit_for_bit(x: Any) -> None:
    back = again(x)
    assert (back.dtype, back.shape) == (x.dtype, x.shape)
    assert back.tobytes() == x.tobytes()
    if x.size:
        assert back.strides == x.strides


def test_a_literal_of_numbers_words_and_nests() -> None:
    config = Config.of(changes={"interests": 3})
    for x in (None, True, 3, "softmax", 0.1, float("inf"), (1,), (1, (2.5, "a")), [1], {"a": (1,)}):
        assert again(x) == x
    assert again(config) == config
    call = Call("squash", {"x": CUBE}, {"kind": "squash"})
    assert again(call).arrays["x"].tobytes() == CUBE.tobytes()
    with pytest.raises(TypeError, match="no literal for set"):
        again({1})


def test_names_of_files_are_plain() -> None:
    found = result("numerics/inputs[softmax]", precision="float16/float32")
    assert reproduction.file_name(found) == "numerics.inputs.softmax.float16-float32.py"


def test_an_unwritable_folder_raises(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    found = result(status="failed", evidence=Evidence((Call("softmax", {}, {}),), kind="raised"))
    with pytest.raises(RunError, match="expected a place that can be written"):
        reproduction.write_script(found, "mine:Mine", RunSettings(), tmp_path / "file" / "scripts")
    path = reproduction.write_script(
        found, "mine:Mine", RunSettings(), tmp_path / "new" / "scripts"
    )
    assert os.listdir(path.parent) == [reproduction.file_name(found)]
    with pytest.raises(TypeError, match="no evidence"):
        reproduction.script_text(result(status="failed"), "mine:Mine", RunSettings())
