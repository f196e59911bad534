"""Several processes of one training: who joins, who speaks, and that nobody waits for the dead."""

import numpy as np
import pytest

from mindref.backend import Capabilities, NumpyBackend, load_backend
from mindref.config import Config
from mindref.conformance.runner.composed_backend import reference_model
from mindref.errors import BackendError, ConfigError, DataError, MindrefError
from mindref.models.parameters import flatten
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer, resume_run
from mindref.run.checkpoint import load_state
from mindref.training.distributed import ONE_PROCESS, FailedElsewhere, ProcessLost, join_ranks
from mindref.training.loop import Hooks
from tests.fake_ranks import meet
from tests.runs import SMALL, SOURCE, loaded, stop_after, trainer


class Sharing(NumpyBackend):
    """A backend that several processes may join, of the levels that it is told."""

    name = "sharing"

    def __init__(self, *levels):
        self.levels = levels

    def capabilities(self):
        return Capabilities((), self.levels)

    def join(self, rank, world):
        return lambda word: [word] * world


@pytest.fixture
def third(monkeypatch):
    """The environment of the third process of four."""
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("RANK", "2")


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("world", [None, "1"])
def test_a_process_alone_asks_nothing_of_a_backend(world, monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    if world is not None:
        monkeypatch.setenv("WORLD_SIZE", world)
    assert join_ranks(load_backend("numpy")) is ONE_PROCESS


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("backend", [NumpyBackend(), Sharing("ops"), reference_model()])
def test_a_backend_that_cannot_share_is_refused(backend, third):
    with pytest.raises(BackendError, match=r"several processes can share, got none \(WORLD_SIZE"):
        join_ranks(backend)


@pytest.mark.rules("backend-R17")
def test_a_backend_that_can_share_is_joined(third, monkeypatch):
    backend = Sharing("ops", "train")
    ranks = join_ranks(backend)
    assert (ranks.rank, ranks.world, ranks.first) == (2, 4, False)
    assert ranks.gather(7) == [7] * 4
    backend.join = lambda rank, world: 1 / 0
    with pytest.raises(BackendError, match="process 2 of 4 to join, got ZeroDivisionError"):
        join_ranks(backend)
    for name, word in (("RANK", "4"), ("RANK", ""), ("WORLD_SIZE", "many")):
        monkeypatch.setenv(name, word)
        with pytest.raises(ConfigError, match=f"{name} in the environment: expected an integer"):
            join_ranks(backend)
        monkeypatch.setenv("RANK", "2")


def test_the_first_process_works_and_the_others_are_told():
    done = []

    def work(ranks):
        return ranks.broadcast_from_first(lambda: done.append(ranks.rank) or 0.1 + 0.2)

    assert meet(3, work) == [0.1 + 0.2] * 3
    assert done == [0]


@pytest.mark.parametrize("failing", [0, 2])
def test_what_fails_for_one_fails_for_all_and_the_first_says_why(failing):
    def work(ranks):
        def read():
            if ranks.rank == failing:
                raise DataError("no such log")

        ranks.together(read)
        raise AssertionError("nobody goes on")

    first, *others = meet(3, work)
    assert isinstance(first, DataError if failing == 0 else MindrefError)
    assert "no such log" in str(first)
    assert failing == 0 or "process 2 of 3" in str(first)
    assert [type(x) for x in others] == [FailedElsewhere] * 2


def test_words_that_differ_are_named():
    first, second = meet(2, lambda ranks: ranks.check_same({"--seed": 3, "log": f"{ranks.rank:x}"}))
    assert str(first) == "process 1 of 2: log: expected that of the first process, 0, got 1"
    assert isinstance(second, FailedElsewhere)


def test_one_who_has_gone_is_missed_and_outlasted():
    def work(ranks):
        if ranks.first:
            return ranks.gather("once")
        ranks.gather("once")
        ranks.outlast_first()
        return ranks.gather("twice")

    first, *others = meet(3, work)
    assert first == ["once"] * 3
    assert [type(x) for x in others] == [ProcessLost] * 2


def test_all_stop_at_the_same_step():
    def steps(ranks):
        taken = 0
        stop = ranks.polled(lambda: ranks.rank == 1 and taken >= 5)
        while not stop():
            taken += 1
        return taken

    counts = meet(3, steps)
    assert len(set(counts)) == 1
    assert counts[0] >= 5


def shared(run, ranks, **changes):
    """Return a trainer of one of several processes."""
    config = Config.of("mind", {**SMALL, "backend": "numpy", **changes})
    plan = TrainingPlan(config, SOURCE, "leave_last_out", run=run)
    return Trainer(plan, loaded(), ranks=ranks)


@pytest.mark.rules("backend-R17")
def test_the_first_process_alone_writes_and_validates(tmp_path):
    validated = []

    def work(ranks):
        made = shared(tmp_path / f"run{ranks.rank}", ranks)
        validate = made.validate
        made.validate = lambda params: validated.append(ranks.rank) or validate(params)
        made.check_alike()
        ranks.broadcast_from_first(made.create)
        return made.train()

    first, second = meet(2, work)
    assert [path.name for path in tmp_path.iterdir()] == ["run0"]
    assert validated == [0] * 3
    alone = trainer(backend="numpy").train()
    assert first.validations == second.validations == alone.validations


@pytest.mark.rules("backend-R17")
def test_the_first_process_alone_saves_a_training_that_is_stopped(tmp_path):
    def work(ranks):
        made = shared(tmp_path / f"run{ranks.rank}", ranks, evaluate_every=100, steps=100_000)
        ranks.broadcast_from_first(made.create)
        return made.train(stop_after(6)).state.moments.step

    first, second = meet(2, work)
    assert [path.name for path in tmp_path.iterdir()] == ["run0"]
    assert first == second == load_state(tmp_path / "run0")[0].moments.step


@pytest.mark.rules("backend-R17")
def test_a_run_is_taken_up_by_processes_of_which_the_first_writes(tmp_path):
    run = tmp_path / "run"
    trainer(run, backend="numpy").train(stop_after(4))
    (run / "items.tsv").unlink()
    made = meet(2, lambda ranks: resume_run(run, ranks=ranks).train())
    whole = flatten(trainer(backend="numpy").train().state.params)
    assert (run / "items.tsv").exists()
    for x in made:
        np.testing.assert_equal(flatten(x.state.params), whole)


@pytest.mark.rules("backend-R17")
@pytest.mark.parametrize("at", ["before the first step", "in a validation"])
def test_processes_that_drift_apart_are_stopped(tmp_path, at):
    def work(ranks):
        made = shared(tmp_path / "run", ranks)
        ranks.broadcast_from_first(made.create)

        def drift(step=0, loss=0.0):
            if ranks.rank == 1 and step == 2 * (at == "in a validation"):
                made.state.params.bilinear[0, 0] += 1e-6

        drift()
        return made.train(Hooks(on_step=drift))

    first, second = meet(2, work)
    assert "process 1 of 2: parameters and moments after step" in str(first)
    assert isinstance(second, FailedElsewhere)
    assert (tmp_path / "run" / "model.safetensors").exists() is False


@pytest.mark.rules("backend-R17")
def test_a_validation_that_fails_ends_all(tmp_path):
    def work(ranks):
        made = shared(tmp_path / "run", ranks)
        made.validate = lambda params: [][1] if ranks.first else 0.0
        return made.train()

    first, second = meet(2, work)
    assert isinstance(first, IndexError)
    assert isinstance(second, FailedElsewhere)
