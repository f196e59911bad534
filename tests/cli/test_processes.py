"""Processes started by torchrun: the first speaks for them, and each has its share of the cores."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from mindref.backend import NumpyBackend
from mindref.cli.settings import cores, set_threads, threads_of
from mindref.run.files import sealed
from tests.cli.conftest import Cli

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(autouse=True)
def two(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of one of two processes."""
    for name in (*NAMES, "MINDREF_THREADS"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_backend_that_cannot_share_is_refused_once(
    rank: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", rank)
    said = cli("train", "--out", tmp_path / "run")
    assert said.code == 2
    assert said.out == ""
    assert not (tmp_path / "run").exists()
    if rank == "0":
        assert said.err == (
            "Error: backend numba: expected one whose step several processes can share, got none"
            " (WORLD_SIZE is 2); start one process, or choose another --backend, such as torch\n"
        )
    else:
        assert said.err == ""


class Counted(NumpyBackend):
    """A backend of which one is enough."""

    made = 0

    def __init__(self) -> None:
        Counted.made += 1


@pytest.mark.rules("backend-R17")
def test_the_backend_that_joins_is_the_one_that_trains(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(Counted, "made", 0)
    small = ("--steps", 2, "--evaluate-every", 1, "--batch", 8, "--negatives", 9, "--quiet")
    said = cli("train", "--backend", f"{__name__}:Counted", "--out", tmp_path / "run", *small)
    assert (said.code, Counted.made) == (0, 1)
    monkeypatch.setattr(Counted, "made", 0)
    who = f"{__name__}:Counted"
    said = cli("train", "--resume", tmp_path / "run", "--backend", who, "--quiet")
    assert (said.code, Counted.made) == (0, 1)


@pytest.mark.parametrize("here", [1, cores(), 100 * cores()])
def test_processes_share_the_cores(here: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(here))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")  # torchrun sets OMP_NUM_THREADS=1 by itself
    set_threads(None, "torch")
    assert [os.environ[name] for name in NAMES] == [str(max(1, cores() // here))] * 3
    set_threads(5, "torch")
    assert [os.environ[name] for name in NAMES] == ["5"] * 3


def test_what_the_environment_says_goes_before_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    set_threads(None, "torch")
    assert [os.environ[name] for name in NAMES] == ["3"] * 3


def test_another_number_of_processes_may_have_other_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"threads": "64", "settings": {"backend": "torch"}}
    (tmp_path / "config.json").write_text(json.dumps(sealed(words)))
    assert threads_of(tmp_path, 3) == 3
    assert threads_of(tmp_path, None) == max(1, cores() // 2)
    monkeypatch.delenv("WORLD_SIZE")
    assert threads_of(tmp_path, None) == 64
