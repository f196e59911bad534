"""Functions that a second process compiles while a training compiles others."""

import os
from typing import ClassVar

import pytest

import mindref
from mindref.process import background
from tests.kernels.cases import run_python

SMALL = {"steps": 2, "evaluate_every": 2, "batch": 16, "negatives": 16, "metric": "hit_rate@10"}
ONE = "from mindref.kernels._jit import jit\n@jit\ndef one(x):\n    return x + 1\n"
PROGRAM = """
import numpy as np
from mindref.process import background
from one import one
compiler = background.BackgroundCompiler(then=lambda: None)
background.current.append(compiler)
background.request(one, lambda: (np.float64(1),))
print(one(np.float64(1)), sum(one.stats.cache_hits.values()), compiler.process is not None)
compiler.close()
"""


@pytest.fixture
def run_program(tmp_path):
    """A function that runs PROGRAM with the lines `change` after the imports; returns its words."""
    (tmp_path / "one.py").write_text(ONE)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path}

    def run(change="", **env):
        code = PROGRAM.replace("compiler =", f"{change}\ncompiler =", 1)
        return run_python("-c", code, folder=tmp_path, **cache, **env).stdout.split()

    return run


def test_a_second_process_writes_to_the_cache_and_starts_only_if_code_is_missing(run_program):
    assert run_program() == ["2.0", "1", "True"], "loaded, although the cache was empty"
    assert run_program() == ["2.0", "1", "False"], "in the cache already"


@pytest.mark.parametrize(
    "change",
    [
        "background.child_command = lambda module: ['false']",
        "background.child_command = lambda module: ['no such program']",
    ],
)
def test_a_function_is_compiled_here_if_the_second_process_fails(change, run_program):
    assert run_program(change)[:2] == ["2.0", "0"]


def test_without_a_cache_no_process_starts(run_program):
    assert run_program(MINDREF_NUMBA_CACHE="0") == ["2.0", "0", "False"]


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
