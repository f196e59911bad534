"""Compiled steps: the losses of the reference, one graph for all lengths, and errors."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.backends.families import (
    ITEM_VOTES,
    WITH_LAYERS,
    assert_matches_reference,
    large_plus_world,
    train_three_steps,
)

from mindref.backend import NumpyBackend, load_backend
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.errors import BackendError, ShapeError
from mindref.models.mind import Batch
from mindref.models.parameters import copy_params, flatten
from mindref.training import optimiser
from mindref.training.engine import Engine, make_engine
from mindref_torch import Compiled
from mindref_torch.compiled import check_compiler

LENGTH_AXES = ("items", "mask", "init_logits")
SETTINGS = WorkloadSettings(
    batch=24, length=10, width=8, interests=3, iterations=3, hidden=(12,), negatives=40,
    catalogue=300,
)  # fmt: skip
STEPS = 50

# warnings inside the compiler of PyTorch
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True, scope="module")
def compiler() -> None:
    try:
        check_compiler("cpu")
    except BackendError as error:
        pytest.skip(str(error))


def cut_histories(batch: Batch, start: int) -> Batch:
    """Return a batch whose histories begin at a position: long ones lose first behaviours."""
    shorter = {name: getattr(batch.histories, name)[:, start:] for name in LENGTH_AXES}
    return batch._replace(histories=batch.histories._replace(**shorter))


def new_engine(workload: Workload, backend: object) -> Engine:
    params = copy_params(workload.params())
    moments = optimiser.init(flatten(params))
    return make_engine(backend, params, moments, workload.catalogue, workload.config)


def train_steps(workload: Workload, backend: object, batches: list[Batch]) -> list[float]:
    engine = new_engine(workload, backend)
    return [engine.step(batches[i % len(batches)], 5e-3) for i in range(STEPS)]


@pytest.mark.rules("backend-R13")
@pytest.mark.parametrize(
    ("dtype", "power", "changes"),
    [
        ("float64", 2.0, {"routing_gradient": "all"}),
        ("float32", float("inf"), {"routing_gradient": "last", "normalise": True}),
    ],
)
def test_fifty_steps_of_one_graph_match_the_losses_of_the_reference(
    dtype: str, power: float, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    workload = Workload(dataclasses.replace(SETTINGS, power=power, dtype=dtype))
    workload.config = dataclasses.replace(workload.config, sigma=1.0, **changes)
    # of length 10, 9, 8 ... 3
    batches = [cut_histories(batch, start) for start, batch in enumerate(workload.batches)]
    expected = train_steps(workload, NumpyBackend(), batches)
    torch.compiler.reset()
    graphs = []

    def compile_graph(graph: object, examples: object) -> object:
        graphs.append(graph)
        return torch._dynamo.lookup_backend("inductor")(graph, examples)

    # fullgraph: raises if an operation cannot be compiled
    compile_whole = partial(torch.compile, fullgraph=True, backend=compile_graph)
    monkeypatch.setattr("torch.compile", compile_whole)
    losses = train_steps(workload, Compiled(), batches)
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(losses, expected, rtol=LOSS_CURVE[np.dtype(dtype)])
    assert len(graphs) == 1
    with torch.compiler.set_stance("fail_on_recompile"):  # a second training does not compile
        assert train_steps(workload, Compiled(), batches) == losses


@pytest.mark.rules("backend-R13", "backend-R19")
@pytest.mark.parametrize(
    "settings",
    [WITH_LAYERS, pytest.param({**ITEM_VOTES, "dropout": 0.5}, marks=pytest.mark.slow)],
    ids=str,
)
def test_compiled_steps_of_mind_plus_match_the_reference(settings: dict) -> None:
    w = large_plus_world(30, items=300, negatives=40, dtype="float64", **settings)
    torch.compiler.reset()
    assert_matches_reference(w, Compiled(), NumpyBackend())
    shorter = w.with_histories(**{name: getattr(w.histories, name)[:, 3:] for name in LENGTH_AXES})
    if w.batch.keep is not None:
        shorter = shorter._replace(batch=shorter.batch._replace(keep=w.batch.keep[:, 3:]))
    with torch.compiler.set_stance("fail_on_recompile"):
        assert_matches_reference(shorter, Compiled(), NumpyBackend())
    logs = np.full(40, -np.inf)
    wrong = w.with_shared(negative_log_expected=logs)
    with pytest.raises(ShapeError, match=r"^pooled_softmax: negative_log_expected: expected"):
        train_three_steps(wrong, Compiled())


def test_a_compiled_step_raises_for_an_infinite_log_expected_count() -> None:
    workload = Workload(SETTINGS)
    logs = np.full(SETTINGS.negatives, -np.inf, np.float32)
    batch = workload.batches[0]._replace(negative_log_expected=logs)
    backend = Compiled()
    state = backend.init(workload.params(), workload.config)
    with pytest.raises(ShapeError, match="negative_log_expected: expected finite logs"):
        backend.step(state, batch, workload.catalogue, workload.config, 0.1)


@pytest.mark.rules("backend-R16")
def test_without_a_compiler_training_fails_before_it_starts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mindref", "train", "--backend=mindref_torch:Compiled"]
    environment = {
        **os.environ,
        "CXX": "no-such-compiler",
        "TORCHINDUCTOR_CACHE_DIR": str(tmp_path),
    }
    process = subprocess.run(
        [*command, "--out=never"], capture_output=True, text=True, env=environment
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr.startswith("Error: backend mindref_torch:Compiled: expected what torch.")
    assert process.stderr.endswith("or choose --backend torch\n")
    assert process.stderr.count("\n") == 1


@pytest.mark.rules("backend-R17")
def test_distributed_training_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    from mindref.training import distributed

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BackendError, match="Compiled"):
        distributed.join_ranks(load_backend("mindref_torch:Compiled"))


TRAIN_SCRIPT = """
import dataclasses, hashlib, sys
import numpy as np
from mindref.bench.workload import Workload, WorkloadSettings
from mindref.models.parameters import flatten
from mindref_torch import Compiled
from test_compiled import cut_histories, new_engine

settings = WorkloadSettings(
    batch=64, length=50, width=32, interests=4, iterations=3, hidden=(64,), negatives=200,
    catalogue=3000, power=2.0,
)
workload = Workload(settings)
workload.config = dataclasses.replace(workload.config, sigma=1.0)
first_batch = cut_histories(workload.batches[0], int(sys.argv[1]))
new_engine(workload, Compiled()).step(first_batch, 5e-3)
engine = new_engine(workload, Compiled())
for i in range(10):
    engine.step(cut_histories(workload.batches[i % 8], 7 * i % 45), 5e-3)
arrays = flatten(engine.fetch_state()[0]).values()
print(hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in arrays)).hexdigest())
"""


@pytest.mark.slow
def test_the_parameters_do_not_depend_on_the_first_batch(tmp_path: Path) -> None:
    """A resumed training starts in a new process with another batch."""
    hashes = set()
    for first_position in ("0", "41"):
        command = [sys.executable, "-c", TRAIN_SCRIPT, first_position]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
            "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / first_position),
        }
        process = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        assert process.returncode == 0, process.stderr
        hashes.add(process.stdout)
    assert len(hashes) == 1
