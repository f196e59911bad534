"""Somebody's own training script, in a folder of its own, with the package as it is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).parent / "stranger.py"


def test_a_script_of_somebody_else_trains_saves_and_loads(tmp_path: Path) -> None:
    script = shutil.copy(SCRIPT, tmp_path)
    said = [run(script, tmp_path) for _ in range(2)]
    assert said[0] == said[1]
    first, last = map(float, said[0].split())
    assert last < 0.9 * first
    saved = torch.load(tmp_path / "mind.pt")
    assert len(saved["losses"]) == 60
    assert saved["model"]["items"].shape == (210, 16)
    assert saved["model"]["layers.0.weight"].shape == (20, 32)


def run(script: str, folder: Path) -> str:
    """Run a script without this checkout on its path, warnings being errors; return its words."""
    command = [sys.executable, "-I", "-W", "error", script, "7"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}  # the same sums in the same order twice
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
