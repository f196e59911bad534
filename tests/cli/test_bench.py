"""mindref bench: JSON alone on stdout, one line for what cannot be done, tables and a plot."""

from __future__ import annotations

import importlib.util
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from mindref.bench import machine, report
from mindref.cli import bench
from tests.bench.small import HERE
from tests.cli.conftest import Cli, Said
from tests.runs import environment

SIZES = "--batch 6 --length 5 --width 4 --hidden 3 --negatives 7 --catalogue 40 --users 5 --top 3"
QUICK = "--rounds 2 --burst 1 --lead 0 --warmup 1 --threads 1 --tasks step"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


def call(cli: Cli, *words: object, backends: str = "numpy") -> Said:
    return cli("bench", "--backends", backends, *SIZES.split(), *QUICK.split(), *words)


def test_json_stands_alone_and_progress_goes_to_stderr(cli: Cli) -> None:
    said = call(cli, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert set(found) == {
        "format",
        "machine",
        "versions",
        "settings",
        "candidates",
        "relative_to",
        "tasks",
        "floor",
        "scaling",
    }
    assert {"cpu", "cores", "load_before"} <= set(found["machine"])
    assert {"python", "numpy", "numba", "blas"} <= set(found["versions"])
    assert found["settings"]["threads"] == 1
    assert found["settings"]["power"] == "inf"
    assert len(found["tasks"]["step"]["numpy"]["seconds"]) == 2
    assert "starting and compiling kernels: numpy" in said.err
    assert "step: timing 2 rounds" in said.err


def test_tables_have_a_row_for_each_and_the_reason_for_one_that_is_not_usable(cli: Cli) -> None:
    said = call(cli, backends=f"numpy,{HERE}:Failing,no_such_module:X")
    assert said.code == 0
    assert "x numpy" in said.out
    text = " ".join(said.out.split())
    assert f"{HERE}:Failing: not usable: BackendError: backend failing, step 1:" in text
    assert "got KeyError: 'something of its own'" in text
    assert "no_such_module:X: not usable: BackendError: backend no_such_module:X:" in text
    assert "bound by the equations" in said.out


def test_variables_that_choose_instructions_are_told(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in machine.INSTRUCTIONS:
        monkeypatch.delenv(name, raising=False)
    assert "is set" not in call(cli, backends="numpy").out
    monkeypatch.setenv("NUMBA_OPT", "3")
    said = " ".join(call(cli, backends="numpy").out.split())
    assert "NUMBA_OPT=3 is set" in said


def test_it_fails_when_nobody_can_be_timed(cli: Cli) -> None:
    said = call(cli, backends="no_such_module:X")
    assert said.code == 1
    assert "not usable" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--backends", "nobody"], "--backends: expected one of "),
        (["--backends", ","], "--backends: expected at least one"),
        (["--tasks", "step,steps"], "--tasks: expected some of step, inference"),
        (["--tasks", ""], "--tasks: expected at least one"),
        (["--scaling", "B,N"], "--scaling: expected some of B, L, K, d, catalogue, threads"),
        (["--hidden", "256,x"], "--hidden: expected whole numbers from 1"),
        (["--hidden", "0"], "--hidden: expected whole numbers from 1"),
        (["--relative-to", "numba"], "--relative-to: expected one of those that are timed"),
        (["--top", "36"], "--top: expected at most 35"),
        (["--plot", "no/such/x.png"], "--plot: expected a file in a folder that exists"),
        (["--plot", "x.bmp"], "--plot: expected a file ending in .png, .svg, .pdf"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line_before_anything_runs(
    words: list[str], says: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mindref.bench.run.Crew", None)
    said = call(cli, *words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Error: ")
    assert says in said.err
    assert said.err.count("\n") == 1


@pytest.mark.parametrize("words", [["--rounds", "0"], ["--batch", "x"], ["--zipf", "-1"]])
def test_numbers_out_of_range_are_usage(words: list[str], cli: Cli) -> None:
    said = call(cli, *words)
    assert (said.code, said.out) == (2, "")
    assert "Try 'mindref bench --help'" in said.err


def test_a_power_that_is_no_number_is_refused(cli: Cli) -> None:
    said = call(cli, "--power", "nan")
    assert (said.code, said.out) == (2, "")
    assert "power" in said.err


def test_without_matplotlib_it_says_what_to_install(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    said = call(cli, "--plot", "x.png")
    assert (said.code, said.out) == (2, "")
    assert "pip install 'mindref[plot]'" in said.err


@pytest.mark.parametrize("ending", bench.FORMATS)
@pytest.mark.slow(every=3)
def test_a_picture_is_drawn(ending: str, tmp_path: Path) -> None:
    if importlib.util.find_spec("matplotlib") is None:
        pytest.skip("matplotlib is not installed")
    path = tmp_path / f"times{ending}"
    report.plot(example(), path)
    starts = {".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}
    assert path.read_bytes().startswith(starts[ending])


def test_what_is_shown_is_what_was_found() -> None:
    shown = io.StringIO()
    report.show(example(), Console(width=200, file=shown))
    text = " ".join(shown.getvalue().split())
    assert "1 to 50" in text
    assert "the machine was busy before the start (load 1.7)" in text
    assert "│ numba │ 2 │ 1 to 3 │ 128,000 │ 1.00 │ 0.50 to 2.00 │ 90 │ 25% │ 1.50 │ 1.39 │" in text
    assert "torch-eager: not usable: ImportError" in text
    assert "numba at catalogue 10000: not usable: no memory" in text
    words = "bound by the equations 1.33 ms: 100 MFLOP (votes 100) at 200 GFLOP/s"
    assert f"{words}, and 10.0 MB at 20.0" in text
    assert "word by word 1.44 ms: a vote for every behaviour" in text
    assert "OPENBLAS_CORETYPE=Haswell is set: products, or loops, may not be those of" in text
    assert "│ numba │ 1,000 │ 2 │ 1 to 3 │ 1.00 │ 128,000 │ 2.00 │ 90 │ 10 │" in text
    assert "jax-jit has no limit of threads but cores: 1" in text


def test_ctrl_c_stops_it_with_all_its_processes() -> None:
    words = ["bench", "--backends", f"{HERE}:Sleeping", *SIZES.split(), *QUICK.split()]
    script = f"""
import signal
from mindref.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests
main({words!r})
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as started:
        assert started.stderr is not None
        for line in started.stderr:
            if "warming up" in line:
                break
        started.send_signal(signal.SIGINT)
        assert "\nStopped.\n" in started.stderr.read()
        assert started.wait(timeout=60) == 130


def test_the_bar_of_a_terminal_stands_on_stderr(monkeypatch: pytest.MonkeyPatch) -> None:
    streams = {True: io.StringIO(), False: io.StringIO()}
    make = lambda stderr=False: Console(file=streams[stderr], force_terminal=True)  # noqa: E731
    monkeypatch.setattr("rich.console.Console", make)
    with bench.listening() as listener:
        listener.say("step: warming up numba")
        listener.on_round("step", 0, 9)
    assert streams[False].getvalue() == ""
    assert "step: warming up numba" in streams[True].getvalue()
    assert "step: timing" in streams[True].getvalue()


def example() -> dict[str, Any]:
    """What a run might find."""
    row = {
        "seconds": [0.001, 0.003],
        "median": 0.002,
        "low": 0.001,
        "high": 0.003,
        "least": 0.001,
        "rate": 128_000.0,
        "ratio": {"median": 1.0, "low": 0.5, "high": 2.0, "least": 0.5},
        "memory": 90_000_000,
    }
    step = {**row, "share_of_peak": 0.25, "times_bound": 1.5, "times_word_by_word": 1.39}
    step["same_loss"] = True
    settings = {"batch": 256, "length": 50, "ragged": True, "interests": 4, "width": 64}
    settings |= {"iterations": 3, "hidden": [256], "negatives": 1280, "catalogue": 100_000}
    settings |= {"zipf": 1.0, "dtype": "float32", "threads": 2}
    scaled = {**row, "tables": 80_000_000, "behaviours": 1000.0}
    return {
        "machine": {
            "cpu": "a cpu",
            "cores": 2,
            "load_before": [1.7, 1.0, 1.0],
            "instructions": {"OPENBLAS_CORETYPE": "Haswell"},
        },
        "settings": settings,
        "candidates": {
            "numba": {"usable": True},
            "jax-jit": {"usable": True, "pinned_to_cores": 1},
            "torch-eager": {"usable": False, "reason": "ImportError"},
        },
        "relative_to": "numba",
        "tasks": {"step": {"numba": step}, "recall": {"numba": row}},
        "floor": {
            "seconds": 0.00133,
            "seconds_word_by_word": 0.00144,
            "flops": {"votes": 1e8},
            "bytes": {"table": 1e7},
            "gemm_flops_per_second": 2e11,
            "copy_bytes_per_second": 2e10,
            "counts": {"behaviours": 6500.0, "touched": 4000.0},
        },
        "scaling": [
            {"candidate": "numba", "number": "catalogue", "value": 1000, **scaled},
            {"candidate": "numba", "number": "catalogue", "value": 10_000, "error": "no memory"},
        ],
    }
