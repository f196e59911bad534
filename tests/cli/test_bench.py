"""mindref bench: only JSON on stdout, tables, progress."""

import json

import pytest

from mindref.backend import list_backends
from mindref.bench import machine
from mindref.bench.run import installed_contenders
from mindref.cli import bench
from tests.bench.tiny_workload import HERE
from tests.runs import environment, interrupt, start_python

pytestmark = pytest.mark.slow

QUICK = "--batch 6 --catalogue 200 --users 5 --rounds 2 --threads 1 --tasks step"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])


def call(cli, *arguments, backends="numpy"):
    return cli("bench", "--backends", backends, *QUICK.split(), *arguments)


def test_json_is_alone_on_stdout_and_progress_on_stderr(cli):
    result = call(cli, "--json")
    assert result.code == 0
    report_json = json.loads(result.out)
    sections = "format machine versions settings contenders relative_to tasks lower_bound"
    assert set(report_json) == set(sections.split())
    assert {"cpu", "cores", "load_before"} <= set(report_json["machine"])
    assert {"python", "numpy", "numba", "blas"} <= set(report_json["versions"])
    assert report_json["settings"]["threads"] == 1
    assert report_json["settings"]["power"] == "inf"
    assert len(report_json["tasks"]["step"]["numpy"]["seconds"]) == 2
    assert "starting and compiling kernels: numpy" in result.err
    assert "step: timing 2 rounds" in result.err


def test_tables_have_a_row_per_contender_and_failures_a_reason(cli):
    result = call(cli, backends=f"numpy,{HERE}:Failing,no_such_module:X")
    assert result.code == 0
    assert "x numpy" in result.out
    text = " ".join(result.out.split())
    assert f"{HERE}:Failing: not usable: BackendError: backend failing, step 1:" in text
    assert "got KeyError: 'something of its own'" in text
    assert "no_such_module:X: not usable: BackendError: backend no_such_module:X:" in text
    result = call(cli, backends="no_such_module:X")
    assert result.code == 1, "no contender was timed"
    assert "not usable" in result.out


def test_instruction_variables_are_reported(monkeypatch):
    for name in machine.INSTRUCTION_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert machine.machine_facts()["instructions"] == {}
    monkeypatch.setenv("NUMBA_OPT", "3")
    assert machine.machine_facts()["instructions"] == {"NUMBA_OPT": "3"}


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        ("recommended", "behaviours 1 to 20, K 4, d 64, r 3, layers 64-256-64, 512 negatives"),
        ("youtube_dnn", "behaviours 1 to 10, d 64, layers 64-256-64, 512 negatives"),
    ],
)
def test_sizes_of_a_recipe_are_those_of_its_settings(model, sizes, cli):
    result = call(cli, "--model", model)
    assert result.code == 0
    assert f"model {model}: B 6, {sizes}, 200 items" in result.out
    assert "votes" not in result.out or model == "recommended"


def test_a_backend_of_mind_only_is_left_out_or_has_a_reason(cli, monkeypatch):
    backends = f"numpy,{HERE}:Other"
    result = call(cli, "--model", "recommended", backends=backends)
    text = " ".join(result.out.split())
    assert f"{HERE}:Other: not usable: BackendError: backend other: expected the model mind" in text
    names = installed_contenders(model="youtube_dnn")
    assert {"numpy", "numba"} <= set(names)
    assert not {"jax", "torch"} & set(names)
    assert set(names) <= set(list_backends())


def test_the_tables_show_the_result(capsys, monkeypatch):
    print_table = bench.print_table
    monkeypatch.setattr(
        bench, "print_table", lambda *x, **y: print_table(*x, **{**y, "width": 200})
    )
    bench.print_result(example(), as_json=False)
    text = " ".join(capsys.readouterr().out.split())
    sizes = (
        "model mind: B 256, behaviours 1 to 50, K 4, d 64, r 3, layers 64-256-64, 1,280 negatives"
    )
    assert sizes in text
    assert "Warning: the machine was busy (load 1.7). Ratios are unreliable" in text
    assert "│ numba │ 2 │ 1 to 3 │ 128,000 │ 1.00 │ 0.50 to 2.00 │ 90 │ 2.20 │" in text
    bound = "lower bound of a step: 2 ms, the larger of 90.0 MFLOP of products at 60 GFLOP/s plus"
    assert f"{bound} 7.0 MFLOP of vectors at 14 GFLOP/s, and 6.0 MB at 8.0 GB/s" in text
    assert "torch: not usable: ImportError" in text
    assert "Warning: OPENBLAS_CORETYPE=Haswell is set." in text
    assert "jax has no thread limit; it is pinned to cores: 1" in text


def test_ctrl_c_stops_the_benchmark_and_its_processes():
    arguments = ["bench", "--backends", f"{HERE}:Sleeping", *QUICK.split()]
    script = f"""
import signal
from mindref.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests
main({arguments!r})
"""
    with start_python("-c", script) as started:
        assert "\nStopped.\n" in interrupt(started, "warming up")


def example():
    row = {
        "seconds": [0.001, 0.003], "median": 0.002, "low": 0.001, "high": 0.003,
        "rate": 128_000.0, "ratio": {"median": 1.0, "low": 0.5, "high": 2.0},
        "memory": 90_000_000,
    }  # fmt: skip
    step = {**row, "same_loss": True, "times_bound": {"median": 2.2}}
    bound = {"work": {"products": 9e7, "other": 7e6, "bytes": 6e6}, "median": 0.002}
    bound["rates"] = {"products": 6e10, "other": 1.4e10, "bytes": 8e9}
    settings = {"batch": 256, "length": 50, "interests": 4, "width": 64}
    settings |= {"iterations": 3, "hidden": [256], "negatives": 1280, "catalogue": 100_000}
    settings |= {"dtype": "float32", "threads": 2, "model": "mind"}
    instructions = {"OPENBLAS_CORETYPE": "Haswell"}
    return {
        "machine": {"cpu": "a cpu", "cores": 2, "load_before": [1.7], "instructions": instructions},
        "settings": settings,
        "contenders": {
            "numba": {"usable": True},
            "jax": {"usable": True, "pinned_to_cores": 1},
            "torch": {"usable": False, "reason": "ImportError"},
        },
        "relative_to": "numba",
        "tasks": {"step": {"numba": step}, "recall": {"numba": row}},
        "lower_bound": bound,
    }
