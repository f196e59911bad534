"""A first run says that it compiles; a later one has the result in its cache and says nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mindref.cli
from mindref import kernels
from tests.runs import environment, options


def train(folder: Path, run: str, **more: str) -> str:
    """Return what a training in a process of its own says on standard error."""
    command = [sys.executable, "-m", "mindref", "train", "--out", run, "--quiet"]
    done = subprocess.run(
        [*command, *options(steps=1, evaluate_every=1)],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.slow
def test_the_first_run_says_that_it_compiles_and_the_second_does_not(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    first = train(tmp_path, "first", NUMBA_CACHE_DIR=cache)
    assert first.count(mindref.cli.COMPILING) == 1
    assert any(files for _, _, files in os.walk(cache))
    assert mindref.cli.COMPILING not in train(tmp_path, "second", NUMBA_CACHE_DIR=cache)


@pytest.mark.slow
def test_without_a_cache_every_run_says_so(tmp_path: Path) -> None:
    cache = str(tmp_path / "cache")
    said = train(tmp_path, "run", NUMBA_CACHE_DIR=cache, MINDREF_NUMBA_CACHE="0")
    assert said.count(mindref.cli.COMPILING) == 1
    assert not any(files for _, _, files in os.walk(cache))


def test_nobody_listens_when_the_command_is_over() -> None:
    with mindref.cli.saying_once("compiling"):
        assert kernels.listeners
    assert not kernels.listeners
