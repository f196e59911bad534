"""Runs do not depend on the backend: another backend reads and resumes them."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.config import Config
from mindref.conformance.tolerances import same_math
from mindref.models.serving import Interests
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.serving import ServedModel
from mindref.recommender.trainer import Hooks, Trainer, resume_run
from mindref.run.source import Loaded, Source

SOURCE = Source.of(None, {"users": 60, "items": 120})
SMALL: dict[str, Any] = {
    "steps": 7, "evaluate_every": 3, "batch": 16, "negatives": 16, "width": 8, "hidden": [8],
    "metric": "hit_rate@10", "user_features": ["age"],
}  # fmt: skip
RESULT_FILES = ("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl")


class Runs:
    """Tests of runs of the backend `name` and of the built-in backends."""

    name: str

    @pytest.mark.rules("model-R16")
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("trains", [True, False])
    @pytest.mark.parametrize("built_in", ["numpy", "numba"])
    def test_a_run_of_one_backend_is_read_by_another(
        self, tmp_path: Path, built_in: str, trains: bool, dtype: str
    ) -> None:
        trainer, reader = (self.name, built_in) if trains else (built_in, self.name)
        run = train_run(tmp_path / "run", backend=trainer, dtype=dtype)
        model, reader_model = (ServedModel.load(run, backend=name) for name in (trainer, reader))
        assert_same_interests(model, reader_model, dtype)
        reports = [evaluate_run(run, backend=name) for name in (trainer, reader)]
        assert reports[0]["metrics"] == reports[1]["metrics"]
        assert reports[0]["cases"] > 0
        lists = [x.recommend(user=load_log().log.user_ids[0], n=5) for x in (model, reader_model)]
        assert [x.item for x in lists[0]] == [x.item for x in lists[1]]

    @pytest.mark.rules("backend-R15")
    def test_a_resumed_run_has_the_same_bytes_as_an_uninterrupted_run(self, tmp_path: Path) -> None:
        uninterrupted = train_run(tmp_path / "straight", backend=self.name)
        seen: list[int] = []
        hooks = Hooks(on_step=lambda n, loss: seen.append(n), stop=lambda: len(seen) >= 4)
        outcome = make_trainer(tmp_path / "stopped", backend=self.name).train(hooks)
        assert not outcome.finished
        assert resume_run(tmp_path / "stopped").train().finished
        for name in RESULT_FILES:
            resumed_bytes = (tmp_path / "stopped" / name).read_bytes()
            assert resumed_bytes == (uninterrupted / name).read_bytes(), name

    def test_the_commands_train_resume_evaluate_and_recall(self, tmp_path: Path) -> None:
        rows = [f"u{u},i{(u * u + 3 * n) % 30},{n}" for u in range(20) for n in range(8)]
        (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
        options = ["--steps=6", "--batch=16", "--negatives=16", "--width=8", "--quiet", "--out=run"]
        train_report = run_command(
            tmp_path, "train", "--data=log.csv", f"--backend={self.name}", *options
        )
        assert train_report == run_command(tmp_path, "train", "--resume=run", "--quiet")
        report = run_command(tmp_path, "evaluate", "run", "--backend=numba")
        assert report["metrics"] == {"test": train_report["metrics"]["test"]}
        items, reference_items = (
            run_command(
                tmp_path, "recall", "run", "--history=i1,i2,i3", "--top=5", *backend_option
            )[0]["items"]
            for backend_option in ([], ["--backend=numpy"])
        )
        for a, b in zip(items, reference_items, strict=True):
            assert a == {**b, "score": pytest.approx(b["score"], rel=same_math("float32"))}


def run_command(folder: Path, *words: str) -> Any:
    """Run a command and return its JSON output."""
    command = [sys.executable, "-m", "mindref", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def load_log() -> Loaded:
    """Return the log; it is read once."""
    return SOURCE.read()


def make_trainer(run: Path, **changes: Any) -> Trainer:
    """Return a trainer of the small log, with a new run directory."""
    trainer = Trainer(
        SOURCE, load_log(), "leave_last_out", Config.of("default", {**SMALL, **changes}), run
    )
    trainer.create()
    return trainer


def train_run(run: Path, **changes: Any) -> Path:
    """Train into a folder; return the folder."""
    make_trainer(run, **changes).train()
    return run


def assert_same_interests(model: ServedModel, other: ServedModel, dtype: str) -> None:
    """Compare the interests of all users and the coupling weights."""
    log = load_log().log
    encoded = [model.encode_users(log.user_ids)[:2], other.encode_users(log.user_ids)[:2]]
    for couplings in (False, True):  # computed by the model, and by the operators
        a, b = (
            x.compute_interests(*rows, couplings=couplings)
            for x, rows in zip((model, other), encoded, strict=True)
        )
        assert_close(a, b, same_math(dtype))


def assert_close(a: Interests, b: Interests, tolerance: float) -> None:
    """Compare interests: floats up to a tolerance relative to the largest, other arrays exactly."""
    for name, x in a._asdict().items():
        y = getattr(b, name)
        if x is None or x.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * np.abs(x).max(), err_msg=name)
