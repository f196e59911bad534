"""Numbers of threads: of one process, of several, and the number that a run stores."""

import json
import os
from pathlib import Path
from unittest.mock import Mock

import pytest

from mindref.backend import NumpyBackend
from mindref.cli.run_settings import run_backend, run_threads
from mindref.cli.settings import set_threads
from mindref.errors import ConfigError, RunError
from mindref.process.threads import usable_cores
from mindref.run.files import sealed
from tests.assertions import raises_exactly
from tests.runs import options, run_python, trained

NAMES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "7")
    monkeypatch.setenv("MINDREF_THREADS", "7")


@pytest.fixture
def two_processes(monkeypatch):
    """The environment of one of two processes that torchrun has started."""
    for name in (*NAMES, "MINDREF_THREADS"):
        monkeypatch.setenv(name, "1")
    for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "2")


def blas_threads():
    (number,) = {os.environ[name] for name in NAMES}
    return number


@pytest.fixture
def by_products(tmp_path):
    """A run of `numpy`, whose bytes depend on the BLAS threads."""
    return trained(tmp_path / "run", backend="numpy")


@pytest.mark.parametrize(
    ("backend", "threads", "environment", "blas", "kernels"),
    [
        ("numpy", None, "7", "7", "1"),
        ("numpy", None, None, "1", "1"),
        ("numpy", 2, "7", "2", "1"),
        ("numba", None, "7", "1", "7"),
        ("numba", None, None, "1", str(usable_cores())),
        ("numba", 3, "7", "1", "3"),
    ],
)
def test_blas_or_the_kernels_use_the_threads(
    monkeypatch, backend, threads, environment, blas, kernels
):
    if environment is None:
        for name in (*NAMES, "MINDREF_THREADS"):
            monkeypatch.delenv(name)
    set_threads(threads, backend)
    assert (blas_threads(), os.environ["MINDREF_THREADS"]) == (blas, kernels)


SET_THREADS = """
import sys
from mindref.cli import main, settings
def stop(*_):
    sys.exit(f"NumPy is imported: {{'numpy' in sys.modules}}")
settings.set_threads = stop
main({words})
"""


@pytest.mark.parametrize("words", [(), ("--resume",)])
def test_threads_are_set_before_numpy_is_imported(trained_run, words):
    """Else BLAS would have as many threads as cores, and the last bits of a report would change."""
    words = ["train", *words, str(trained_run)] if words else ["train"]
    script = SET_THREADS.format(words=words)
    assert run_python("-c", script).stderr == "NumPy is imported: False\n"


def test_a_numba_run_resumes_with_any_number_of_threads(trained_run, cli):
    assert run_backend(trained_run) == "numba"
    assert run_threads(trained_run, 9) == 9
    assert cli("train", "--resume", trained_run, "--threads", 3, "--quiet").code == 0
    assert os.environ["MINDREF_THREADS"] == "3"


def test_a_run_resumes_with_its_number_of_threads(by_products, cli):
    started = int(json.loads((by_products / "config.json").read_text())["threads"])
    assert run_threads(by_products, None) == run_threads(by_products, started) == started
    expected = f"--threads: expected {started}, as the run was started, got {started + 1}"
    with raises_exactly(ConfigError, expected):
        run_threads(by_products, started + 1)
    assert cli("train", "--resume", by_products, "--quiet", "--json").code == 0
    assert os.environ["OPENBLAS_NUM_THREADS"] == str(started)
    assert cli("train", "--resume", by_products, "--threads", 9).code == 2


NOT_SHARED = (
    "Error: backend numba: expected one whose step several processes can share, got none"
    " (WORLD_SIZE is 2); start one process, or choose another --backend, such as torch\n"
)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize(("words", "message"), [((), NOT_SHARED), (("--keep", "genres"), "--keep")])
def test_an_error_of_all_processes_is_printed_once(
    cli, two_processes, tmp_path, monkeypatch, words, message
):
    monkeypatch.chdir(tmp_path)
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        result = cli("train", *words)
        assert (result.code, result.out) == (2, "")
        assert (message in result.err) == (rank == "0")
        assert bool(result.err) == (rank == "0")
    assert list(tmp_path.iterdir()) == []


class Counted(NumpyBackend):
    instances = 0

    def __init__(self):
        Counted.instances += 1


@pytest.mark.rules("backend-R17")
def test_the_joined_backend_trains(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    small = options(steps=2, evaluate_every=1)
    for arguments in (("--out", tmp_path / "run", *small), ("--resume", tmp_path / "run")):
        monkeypatch.setattr(Counted, "instances", 0)
        result = cli("train", *arguments, "--backend", f"{__name__}:Counted", "--quiet")
        assert (result.code, Counted.instances) == (0, 1)


@pytest.mark.parametrize("local_processes", [1, usable_cores(), 100 * usable_cores()])
def test_processes_share_the_cores(local_processes, two_processes, monkeypatch):
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local_processes))
    monkeypatch.delenv("OPENBLAS_NUM_THREADS")  # torchrun sets OMP_NUM_THREADS=1
    set_threads(None, "torch")
    assert blas_threads() == str(max(1, usable_cores() // local_processes))
    set_threads(5, "torch")
    assert blas_threads() == "5"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    set_threads(None, "torch")
    assert blas_threads() == "3", "the environment overrides the share of the cores"


def test_threads_may_change_with_the_number_of_processes(two_processes, tmp_path, monkeypatch):
    arguments = {"threads": "64", "settings": {"backend": "torch"}}
    (tmp_path / "config.json").write_text(json.dumps(sealed(arguments)))
    assert run_threads(tmp_path, 3) == 3
    assert run_threads(tmp_path, None) == max(1, usable_cores() // 2)
    monkeypatch.delenv("WORLD_SIZE")
    assert run_threads(tmp_path, None) == 64


@pytest.mark.rules("faults-R18")
def test_a_configuration_that_cannot_be_read_is_an_error_and_no_default(tmp_path, monkeypatch):
    run = tmp_path / "run"
    assert run_threads(run, 3) == 3, "a missing run is reported later"
    run.mkdir()
    for content in ("{", "[]", '{"threads": ""}'):
        (run / "config.json").write_text(content, encoding="utf-8")
        assert run_threads(run, 3) == 3, "a damaged one too, and one from Python has no number"
        assert run_threads(run, None) is None
    error = OSError(5, "Input/output error")
    monkeypatch.setattr(Path, "read_text", Mock(side_effect=error))
    with pytest.raises(RunError, match=r"config\.json: expected .*, got Input/output error"):
        run_threads(run, 3)
