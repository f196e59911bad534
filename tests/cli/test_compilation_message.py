"""The first run prints that it compiles; later runs use the cache and print nothing."""

import os

import pytest

import mindref.cli
from mindref import kernels
from tests.runs import call, options


def train(folder, run, **changes):
    """Train with the reference: it compiles only the top-n search, which takes few seconds."""
    settings = options(steps=1, evaluate_every=1, backend="numpy")
    command = ["train", "--out", run, "--quiet", *settings]
    done = call(*command, cwd=folder, **changes)
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.slow
def test_compilation_is_announced_only_in_the_first_run(tmp_path):
    cache = str(tmp_path / "cache")
    first = train(tmp_path, "first", NUMBA_CACHE_DIR=cache)
    assert first.count(mindref.cli.COMPILING) == 1
    assert any(files for _, _, files in os.walk(cache))
    assert mindref.cli.COMPILING not in train(tmp_path, "second", NUMBA_CACHE_DIR=cache)


@pytest.mark.slow
def test_compilation_is_announced_in_every_run_without_a_cache(tmp_path):
    cache = str(tmp_path / "cache")
    result = train(tmp_path, "run", NUMBA_CACHE_DIR=cache, MINDREF_NUMBA_CACHE="0")
    assert result.count(mindref.cli.COMPILING) == 1
    assert not any(files for _, _, files in os.walk(cache))


def test_the_compilation_listener_is_removed_after_the_command():
    with mindref.cli.announce_compilation("compiling"):
        assert kernels.listeners
    assert not kernels.listeners
