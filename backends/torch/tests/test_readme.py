"""The example of the README runs and learns."""

from __future__ import annotations

import os
import re
from pathlib import Path

import torch

README = Path(__file__).parents[1] / "README.md"


def test_the_example_trains_saves_and_serves(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    names: dict[str, object] = {}
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        exec(code, names)
    finally:
        os.chdir(before)
    model, batch, loss = names["model"], names["batch"], names["loss"]
    assert names["interests"].shape == (32, 3, 16)
    assert set(torch.load(tmp_path / "mind.pt")) == {
        "items", "profile", "bilinear",
        *(f"layers.{i}.{name}" for i in (0, 1) for name in ("weight", "bias")),
    }  # fmt: skip
    assert loss.item() < 0.7 * untrained_loss(model, batch).item()


def untrained_loss(model: torch.nn.Module, batch: object) -> torch.Tensor:
    torch.manual_seed(1)
    with torch.no_grad():
        return type(model)(model.config, model.rows, model.weights)(batch)
