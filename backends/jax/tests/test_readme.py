"""The example of the README runs and learns."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np

README = Path(__file__).parents[1] / "README.md"
APPENDED_CODE = """
fresh = init(jax.random.key(1), config, Sizes(items, items, 0, 0))
print(loss(params, batch, catalogue, config) / loss(fresh, batch, catalogue, config))
print(vectors.shape, active.shape, jax.config.jax_enable_x64)
"""


def test_the_example_trains_saves_and_serves(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    (tmp_path / "script.py").write_text(code + APPENDED_CODE)
    command = [sys.executable, "-W", "error", "script.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    learnt, shapes = done.stdout.splitlines()
    assert float(learnt) < 0.7
    assert shapes == "(32, 3, 16) (32, 3) False"
    assert set(np.load(tmp_path / "mind.npz")) == {
        "items", "profile", "bilinear",
        *(f"layers.{i}.{name}" for i in (0, 1) for name in ("weight", "bias")),
    }  # fmt: skip
