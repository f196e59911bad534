"""Functions that a second process compiles while a training compiles others."""

import os
from typing import ClassVar

import pytest

import mindref
from mindref.process import background
from tests.kernels.cases import run_python

SMALL = {"steps": 2, "evaluate_every": 2, "batch": 16, "negatives": 16, "metric": "hit_rate@10"}
MODULE = """
from mindref.kernels._jit import jit
@jit
def one(x):
    return x + 1
@jit
def two(x):
    return x + 2
"""
PROGRAM = """
import numpy as np
from mindref.process import background
background.cores_per_process = lambda: 2
x = np.float64(1)
arguments = lambda: (x,)
from functions import one, two
with background.compile_in_background(then=lambda: background.request(two, arguments)):
    (compiler,) = background.current or [background.BackgroundCompiler(print)]
    for _ in range(2):
        background.request(one, arguments)
    results = two(x), one(x)
process = compiler.process
print(*results, *(sum(f.stats.cache_hits.values()) for f in (two, one)), process is not None)
assert background.current == []
assert process is None or process.poll() is not None
"""


@pytest.fixture
def run_program(tmp_path):
    """A function that runs PROGRAM with the line `change` before the block; returns its words."""
    (tmp_path / "functions.py").write_text(MODULE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}

    def run(change="", after="", **env):
        code = PROGRAM.replace("with ", f"{change}\nwith ", 1) + after
        return run_python("-c", code, folder=tmp_path, **cache, **env).stdout.split()

    return run


def test_a_second_process_writes_to_the_cache_and_starts_only_if_code_is_missing(run_program):
    assert run_program() == ["3.0", "2.0", "1", "1", "True"], "loaded, but the cache was empty"
    assert run_program() == ["3.0", "2.0", "1", "1", "False"], "in the cache already"


@pytest.mark.parametrize(
    "change",
    [
        "background.child_command = lambda module: ['false']",
        "background.child_command = lambda module: ['no such program']",
        "background.LIMIT = 0.1; background.child_command = lambda module: ['sleep', '600']",
        "background.cores_per_process = lambda: 1",
    ],
)
def test_functions_are_compiled_here_if_there_is_no_second_process_or_it_fails(change, run_program):
    assert run_program(change)[:4] == ["3.0", "2.0", "0", "0"]


def test_the_process_compiles_functions_in_the_order_of_their_requests(run_program):
    """`one` is requested first, but called last: when `two` is loaded, `one` is compiled too."""
    change = (
        "wait = background.BackgroundCompiler.wait; pending = [];"
        "background.BackgroundCompiler.wait = lambda self, name: (wait(self, name),"
        " pending.append(list(self.pending)))"
    )
    code = "print(*(len(x) for x in pending))"
    assert run_program(change, after=code)[5:] == ["0", "0"]


def test_without_a_cache_no_process_starts(run_program):
    assert run_program(MINDREF_NUMBA_CACHE="0") == ["3.0", "2.0", "0", "0", "False"]


class Recorder(background.BackgroundCompiler):
    """Records the types of the requested functions."""

    types: ClassVar[dict] = {}

    def request(self, function, arguments):
        sent = background.example(background.describe(arguments()))
        self.types[function] = tuple(map(function.typeof_pyval, sent))
        super().request(function, arguments)


@pytest.mark.parametrize("preset", ["recommended", "mind"])
def test_a_training_requests_functions_for_the_types_that_it_uses(preset, monkeypatch):
    """A request with other types would be compiled in vain."""
    monkeypatch.setattr(Recorder, "types", {})
    monkeypatch.setattr(background, "BackgroundCompiler", Recorder)
    monkeypatch.setattr(background, "cores_per_process", lambda: 2)
    mindref.Recommender(preset, **SMALL).fit(users=30)
    names = {function.__name__ for function in Recorder.types}
    assert names > {"pool_block", "finish_pools", "sort_candidates"}
    assert len(names) == 4, "the function of the losses too"
    for function, types in Recorder.types.items():
        assert types in function.signatures, function.__name__
    assert background.current == []
