"""What is tried of this package: that a wrong answer is one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mindref.doctor import trials
from mindref.kernels import product, squash


@pytest.mark.parametrize(
    ("module", "name", "wrong", "says"),
    [
        (squash, "forward", lambda x: (2 * x, None), "a kernel disagrees"),
        (product, "product", lambda a, b, out: np.copyto(out, a @ b + 1), "a product of SciPy's"),
    ],
)
def test_a_kernel_that_is_wrong_is_no_kernel(
    module: Any, name: str, wrong: Any, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trials.kernels()["threads"] >= 1
    monkeypatch.setattr(module, name, wrong)
    with pytest.raises(ArithmeticError, match=says):
        trials.kernels()
