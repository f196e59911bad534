"""An external training script runs in an empty folder with the installed package."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import torch

SCRIPT = Path(__file__).parent / "external_script.py"


def test_an_external_script_trains_saves_and_loads(tmp_path: Path) -> None:
    script = shutil.copy(SCRIPT, tmp_path)
    outputs = [run_script(script, tmp_path) for _ in range(2)]
    assert outputs[0] == outputs[1]
    first, last = map(float, outputs[0].split())
    assert last < 0.9 * first
    saved = torch.load(tmp_path / "mind.pt")
    assert len(saved["losses"]) == 60
    assert saved["model"]["items"].shape == (210, 16)
    assert saved["model"]["layers.0.weight"].shape == (20, 32)


def run_script(script: str, folder: Path) -> str:
    """Run a script without the checkout on its path, with warnings as errors; return the output."""
    command = [sys.executable, "-I", "-W", "error", script, "7"]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}  # the same order of sums in both runs
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout
