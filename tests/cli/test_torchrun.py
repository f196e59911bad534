"""Processes started by torchrun: one prints errors, and they share the cores."""

import json
import os

import pytest

from mindref.backend import NumpyBackend
from mindref.cli.settings import run_threads, set_threads, usable_cores
from mindref.run.files import sealed

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(autouse=True)
def two_devices(monkeypatch):
    """The environment of one of two processes."""
    for name in (*NAMES, "MINDREF_THREADS"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("rank", ["0", "1"])
def test_a_backend_without_join_is_rejected_once(rank, cli, tmp_path, monkeypatch):
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", rank)
    result = cli("train", "--out", tmp_path / "run")
    assert result.code == 2
    assert result.out == ""
    assert not (tmp_path / "run").exists()
    if rank == "0":
        assert result.err == (
            "Error: backend numba: expected one whose step several processes can share, got none"
            " (WORLD_SIZE is 2); start one process, or choose another --backend, such as torch\n"
        )
    else:
        assert result.err == ""


class Counted(NumpyBackend):
    """A backend that counts its instances."""

    instances = 0

    def __init__(self):
        Counted.instances += 1


@pytest.mark.rules("backend-R17")
def test_the_joined_backend_trains(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(Counted, "instances", 0)
    small = ("--steps", 2, "--evaluate-every", 1, "--batch", 8, "--negatives", 9, "--quiet")
    result = cli("train", "--backend", f"{__name__}:Counted", "--out", tmp_path / "run", *small)
    assert (result.code, Counted.instances) == (0, 1)
    monkeypatch.setattr(Counted, "instances", 0)
    name = f"{__name__}:Counted"
    result = cli("train", "--resume", tmp_path / "run", "--backend", name, "--quiet")
    assert (result.code, Counted.instances) == (0, 1)


@pytest.mark.parametrize("local_processes", [1, usable_cores(), 100 * usable_cores()])
def test_processes_share_the_cores(local_processes, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local_processes))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")  # torchrun sets OMP_NUM_THREADS=1 by itself
    set_threads(None, "torch")
    assert [os.environ[name] for name in NAMES] == [
        str(max(1, usable_cores() // local_processes))
    ] * 3
    set_threads(5, "torch")
    assert [os.environ[name] for name in NAMES] == ["5"] * 3


def test_the_environment_overrides_the_share_of_cores(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    set_threads(None, "torch")
    assert [os.environ[name] for name in NAMES] == ["3"] * 3


def test_threads_may_change_with_the_number_of_processes(tmp_path, monkeypatch):
    arguments = {"threads": "64", "settings": {"backend": "torch"}}
    (tmp_path / "config.json").write_text(json.dumps(sealed(arguments)))
    assert run_threads(tmp_path, 3) == 3
    assert run_threads(tmp_path, None) == max(1, usable_cores() // 2)
    monkeypatch.delenv("WORLD_SIZE")
    assert run_threads(tmp_path, None) == 64
