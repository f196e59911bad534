"""Runs made, found, taken up, refused; hits kept beside the model; the clock."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError, MindrefError, RunError
from mindref.evaluation import metrics
from mindref.experiments import hits
from mindref.experiments.arms import Asked
from mindref.experiments.clock import Clock, per_thousand
from mindref.experiments.runs import NOTE, Listener, Runs, Stopped, read_note
from mindref.recommender.judging import rank
from mindref.recommender.run import Hooks, Trainer
from mindref.run import lock
from mindref.run.files import sealed
from mindref.training import loop
from mindref.training.loop import Epoch
from tests.experiments.small import base, runs
from tests.runs import content, stop_after


def asked(place: Path, **changes: Any) -> Asked:
    return Asked(place, base(**changes), "a run")


@contextmanager
def stopping(step: int) -> Any:
    yield stop_after(step)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody disturbed, judged."""
    place = tmp_path_factory.mktemp("done") / "run"
    runs().judged(asked(place))
    return place


def never(*_: Any, **__: Any) -> Any:
    pytest.fail("this was done before")


@pytest.mark.rules("experiments-R13")
def test_what_is_trained_and_judged_is_not_done_again(
    done: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "__init__", never)
    monkeypatch.setattr("mindref.experiments.hits.rank", never)
    said: list[str] = []
    run, found = runs(Listener(said.append)).judged(asked(done))
    assert said == ["run 1 of 0: a run: trained before"]
    assert found is not None
    assert run.value == json.loads((done / "state.json").read_text())["best_value"]


@pytest.mark.rules("experiments-R2")
def test_the_hits_are_those_of_the_metric(done: Path) -> None:
    trainer = runs().trainer(asked(done))
    cases = trainer.prepared.split.test
    ranked, _ = rank(trainer.model(), trainer.bench(cases), 100)
    kept = hits.load(done)
    assert kept is not None
    hit = metrics.hits(ranked.items, cases.targets)
    relevant = metrics.distinct(cases.targets)
    assert hit.any(axis=1).sum() > 20
    for n in range(1, 101):
        own = (kept.first > 0) & (kept.first <= n)
        np.testing.assert_array_equal(own, metrics.hit_rate(hit, relevant, n))
    np.testing.assert_array_equal(kept.users, cases.users)


@pytest.mark.rules("experiments-R14")
def test_a_stopped_run_ends_in_the_bytes_of_one_that_nobody_stopped(
    done: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    with pytest.raises(Stopped):
        runs(Listener(watch=lambda config, step: stopping(4))).trained(asked(place))
    assert json.loads((place / NOTE).read_text())["finished"] is False
    said: list[str] = []
    runs(Listener(said.append)).judged(asked(place))
    assert said == ["run 1 of 0: a run: going on from step 4"]
    names = ("model.safetensors", "optimiser.safetensors", "hits.safetensors", "report.json")
    assert content(place, names) == content(done, names)


@pytest.mark.rules("experiments-R14")
def test_a_run_that_lacks_the_last_word_is_asked_for_it_alone(done: Path, tmp_path: Path) -> None:
    place = tmp_path / "run"
    shutil.copytree(done, place)
    for name in (NOTE, "report.json", "hits.safetensors"):
        (place / name).unlink()
    run, _ = runs().judged(asked(place))
    assert run.best_step == json.loads((done / NOTE).read_text())["best_step"]
    assert content(place, ("hits.safetensors", "report.json")) == content(
        done, ("hits.safetensors", "report.json")
    )


def test_a_run_whose_state_is_lost_is_not_judged_by_its_first_step(
    done: Path, tmp_path: Path
) -> None:
    place = tmp_path / "run"
    shutil.copytree(done, place)
    for name in ("optimiser.safetensors", "hits.safetensors"):
        (place / name).unlink()
    with pytest.raises(RunError, match=r"expected the state whose best step is \d, got 0; remove"):
        runs().judged(asked(place))


def test_who_is_asked_to_stop_begins_nothing(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        runs(Listener(stop=lambda: True)).trained(asked(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.rules("security-R1")
@pytest.mark.parametrize(
    ("name", "value"),
    [("value", "x"), ("best_step", -1), ("seconds", None), ("timed", 0.5), ("diverged", 3),
     ("finished", "no"), ("curve", [[1]]), ("curve", [["x", 0.5]]), ("curve", 7)],
)  # fmt: skip
def test_a_note_of_other_words_is_none(done: Path, tmp_path: Path, name: str, value: Any) -> None:
    note = json.loads((done / NOTE).read_text())
    whose = note["identity"]
    (tmp_path / NOTE).write_text(json.dumps(sealed(note)))
    assert read_note(tmp_path, whose) is not None
    (tmp_path / NOTE).write_text(json.dumps(sealed({**note, name: value})))
    assert read_note(tmp_path, whose) is None


@pytest.mark.rules("experiments-R15", "security-R1")
def test_hits_of_other_shapes_are_none(done: Path, tmp_path: Path) -> None:
    shutil.copytree(done, tmp_path / "run")
    kept = hits.load(done)
    assert kept is not None
    users, first = kept
    for other in (
        hits.Hits(users, first[:-1]),
        hits.Hits(users, first[:, None]),
        hits.Hits(users, first.astype(np.float64)),
        hits.Hits(users[::-1].copy(), first),
        hits.Hits(users, first + hits.DEPTH + 1),
        hits.Hits(users, first - 1 - first.min()),
        hits.Hits(users[0], first[0]),
    ):
        hits.save(tmp_path / "run", other)
        assert hits.load(tmp_path / "run") is None
    hits.save(tmp_path / "run", kept)
    assert hits.load(tmp_path / "run") is not None


@pytest.mark.rules("experiments-R15")
@pytest.mark.parametrize("what", ["flipped", "another model", "gone", "foreign"])
def test_hits_that_do_not_belong_to_the_model_are_made_again(
    done: Path, tmp_path: Path, what: str
) -> None:
    place = tmp_path / "run"
    shutil.copytree(done, place)
    file, before = place / hits.FILE, (done / hits.FILE).read_bytes()
    if what == "flipped":
        file.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    elif what == "another model":
        kept = hits.load(place)
        assert kept is not None
        (place / "model.safetensors").rename(place / "kept")
        (place / "model.safetensors").write_bytes(b"another")
        hits.save(place, kept._replace(first=0 * kept.first))
        (place / "kept").rename(place / "model.safetensors")
    elif what == "gone":
        file.unlink()
    else:
        file.write_bytes((place / "model.safetensors").read_bytes())
    assert hits.load(place) is None
    _, found = runs().judged(asked(place))
    expected = hits.load(done)
    assert found is not None
    assert expected is not None
    np.testing.assert_array_equal(found.first, expected.first)
    assert file.read_bytes() == before


@pytest.mark.rules("experiments-R16")
@pytest.mark.parametrize(
    ("changes", "makes", "named"),
    [
        ({"window": 7}, {}, r"window: expected 7, got 10; choose another --out"),
        ({"steps": 9}, {}, r"steps: expected 9, got 7"),
        ({}, {"protocol": "paper"}, r"protocol: expected paper, got leave_last_out"),
        ({}, {"exclude_seen": False}, r"exclude_seen: expected False, got True"),
        ({}, {"log": "0" * 64}, r"log: expected 0+, got [0-9a-f]{64}"),
    ],
)
def test_a_folder_of_another_run_is_refused_by_name(
    done: Path, changes: dict[str, Any], makes: dict[str, Any], named: str
) -> None:
    made = runs()
    for name, value in makes.items():
        setattr(made, name, value)
    for work in (made.check, made.trained):
        with pytest.raises(RunError, match=named):
            work(asked(done, **changes))


@pytest.mark.rules("experiments-R16")
def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match=r"expected a new or empty folder, got 1 others"):
        runs().check(asked(tmp_path))


@pytest.mark.rules("experiments-R16")
@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"item_features": ["brand"]}, "brand"),
        ({"metric": "luck@10"}, "luck@10"),
        ({"backend": "nobody"}, "nobody"),
    ],
)
def test_what_this_log_or_machine_cannot_serve_is_seen_before(
    tmp_path: Path, changes: dict[str, Any], error: str
) -> None:
    with pytest.raises(MindrefError, match=error):
        runs().check(asked(tmp_path / "run", **changes))
    assert not (tmp_path / "run").exists()


@pytest.mark.rules("experiments-R19")
def test_a_training_that_diverged_is_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wild, usual = asked(tmp_path / "run"), loop.rate
    monkeypatch.setattr(loop, "rate", lambda config, n: usual(config, n) if n < 3 else 1e30)
    run, found = runs().judged(wild)
    assert found is None
    assert run.value is None
    assert "loss" in run.diverged
    monkeypatch.setattr(Trainer, "__init__", never)
    again, found = runs().judged(wild)
    assert (again.diverged, found) == (run.diverged, None)


@pytest.mark.rules("experiments-R20")
def test_the_clock_hears_steps_and_neither_validation_nor_what_is_told() -> None:
    times = iter([10.0, 11.0, 12.0, 20.0, 23.0, 30.0])
    told: list[Any] = []
    clock = Clock(lambda: next(times))
    hooks = clock.around(Hooks(lambda *x: told.append(x), told.append))
    hooks.on_step(1, 0.5)  # begins at nobody knows when; ends at 10
    hooks.on_step(2, 0.4)  # 11 less 10; then at 12 the next begins
    epoch = Epoch(2, 0.4, 0.1, True)
    hooks.on_epoch(epoch)  # validated until 20
    hooks.on_step(3, 0.3)  # 23 less 20
    assert (clock.seconds, clock.steps) == (1 + 3, 2)
    assert told == [(1, 0.5), (2, 0.4), epoch, (3, 0.3)]
    assert per_thousand(4, 2) == 2000
    assert per_thousand(0, 0) is None


@pytest.mark.rules("experiments-R20")
def test_the_steps_of_all_sessions_are_timed(tmp_path: Path) -> None:
    place = tmp_path / "run"
    with pytest.raises(Stopped):
        runs(Listener(watch=lambda config, step: stopping(4))).trained(asked(place))
    run = runs().trained(asked(place))
    assert run.timed == 3 + 2, "the first step of each session is not"
    assert run.seconds > 0


def test_an_unknown_setting_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        base(colour=1)
    assert isinstance(runs(), Runs)


@pytest.mark.rules("faults-R4")
def test_a_run_that_somebody_trains_is_left_to_them(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with lock.inside(tmp_path / "run"), pytest.raises(RunError, match="no other process at work"):
        runs().trained(asked(tmp_path / "run"))
    assert runs().trained(asked(tmp_path / "run")).best_step > 0
    assert not (tmp_path / "run" / lock.NAME).exists()
