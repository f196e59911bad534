"""Compiled steps: the losses of the reference, one graph for all lengths, and what is refused."""

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

from mindref.backend import NumpyBackend, load
from mindref.bench.world import Settings, World
from mindref.conformance.tolerances import LOSS_CURVE
from mindref.errors import BackendError, ShapeError
from mindref.models.mind import Batch
from mindref.models.parameters import flatten, unflatten
from mindref.training import optimiser
from mindref.training.engine import engine_of
from mindref_torch import Compiled
from mindref_torch.compiled import check_compiler

SETTINGS = Settings(
    batch=24, length=10, width=8, interests=3, iterations=3, hidden=(12,), negatives=40,
    catalogue=300,
)  # fmt: skip
STEPS = 50

# what PyTorch's own compiler is warned of, and keeps to itself
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True, scope="module")
def compiler() -> None:
    try:
        check_compiler("cpu")
    except BackendError as error:
        pytest.skip(str(error))


def ragged(world: World) -> list[Batch]:
    """Return batches of 10, 9, 8 ... 3 places: long histories lose their first behaviours."""
    found = []
    for cut, batch in enumerate(world.batches):
        items, mask, logits, profile = batch.histories
        shorter = items[:, cut:], mask[:, cut:], logits[:, cut:], profile
        found.append(batch._replace(histories=type(batch.histories)(*shorter)))
    return found


def losses(world: World, backend: object, batches: list[Batch]) -> list[float]:
    params = unflatten({name: x.copy() for name, x in flatten(world.params()).items()})
    given = params, optimiser.init(flatten(params)), world.catalogue, world.config
    engine = engine_of(backend, *given)
    return [engine.step(batches[i % len(batches)], 5e-3) for i in range(STEPS)]


@pytest.mark.rules("backend-R13")
@pytest.mark.parametrize(
    ("dtype", "power", "changes"),
    [
        ("float64", 2.0, {"routing_gradient": "all"}),
        ("float32", float("inf"), {"routing_gradient": "last", "normalise": True}),
    ],
)
def test_fifty_steps_of_one_graph_have_the_losses_of_the_reference(
    dtype: str, power: float, changes: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(dataclasses.replace(SETTINGS, power=power, dtype=dtype))
    world.config = dataclasses.replace(world.config, sigma=1.0, **changes)
    batches = ragged(world)
    expected = losses(world, NumpyBackend(), batches)
    torch.compiler.reset()
    made = []

    def counted(graph: object, examples: object) -> object:
        made.append(graph)
        return torch._dynamo.lookup_backend("inductor")(graph, examples)

    # what cannot be in the graph raises
    whole = partial(torch.compile, fullgraph=True, backend=counted)
    monkeypatch.setattr("torch.compile", whole)
    found = losses(world, Compiled(), batches)
    assert expected[-1] < expected[0]
    np.testing.assert_allclose(found, expected, rtol=LOSS_CURVE[np.dtype(dtype)])
    assert len(made) == 1
    with torch.compiler.set_stance("fail_on_recompile"):  # nor does another training compile
        assert losses(world, Compiled(), batches) == found


def test_an_infinite_log_is_refused_by_a_compiled_step_too() -> None:
    world = World(SETTINGS)
    logs = np.full(SETTINGS.negatives, -np.inf, np.float32)
    batch = world.batches[0]._replace(negative_log_expected=logs)
    backend = Compiled()
    state = backend.init(world.params(), world.config)
    with pytest.raises(ShapeError, match="negative_log_expected: expected finite logs"):
        backend.step(state, batch, world.catalogue, world.config, 0.1)


@pytest.mark.rules("backend-R16")
def test_without_a_compiler_a_training_ends_before_it_begins(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mindref", "train", "--backend=mindref_torch:Compiled"]
    hidden = {**os.environ, "CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    said = subprocess.run([*command, "--out=never"], capture_output=True, text=True, env=hidden)
    assert (said.returncode, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: backend mindref_torch:Compiled: expected what torch.")
    assert said.stderr.endswith("or choose --backend torch\n")
    assert said.stderr.count("\n") == 1


@pytest.mark.rules("backend-R17")
def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from mindref.training import distributed

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BackendError, match="Compiled"):
        distributed.join(load("mindref_torch:Compiled"))


LIKE_ANOTHER_PROCESS = """
import dataclasses, hashlib, sys, warnings
import numpy as np
warnings.simplefilter("ignore")
from mindref.training import optimiser
from mindref.bench.world import Settings, World
from mindref.training.engine import engine_of
from mindref.models.parameters import flatten, unflatten
from mindref_torch import Compiled

settings = Settings(
    batch=64, length=50, width=32, interests=4, iterations=3, hidden=(64,), negatives=200,
    catalogue=3000, power=2.0,
)
world = World(settings)
world.config = dataclasses.replace(world.config, sigma=1.0)

def cut(batch, places):
    items, mask, logits, profile = batch.histories
    some = items[:, places:], mask[:, places:], logits[:, places:], profile
    return batch._replace(histories=type(batch.histories)(*some))

def engine():
    params = unflatten({name: x.copy() for name, x in flatten(world.params()).items()})
    return engine_of(
        Compiled(), params, optimiser.init(flatten(params)), world.catalogue, world.config
    )

engine().step(cut(world.batches[0], int(sys.argv[1])), 5e-3)  # what comes first
steps = engine()
for i in range(10):
    steps.step(cut(world.batches[i % 8], 7 * i % 45), 5e-3)
kept = flatten(steps.now()[0]).values()
print(hashlib.sha256(b"".join(np.ascontiguousarray(x).tobytes() for x in kept)).hexdigest())
"""


def test_whatever_batch_comes_first_the_bytes_are_the_same(tmp_path: Path) -> None:
    """A training that was stopped goes on in another process, with another batch first."""
    found = set()
    for places in ("0", "41"):
        command = [sys.executable, "-c", LIKE_ANOTHER_PROCESS, places]
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / places)}
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=500
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1
