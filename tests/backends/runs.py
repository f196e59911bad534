"""Run directories are common property: trained by one backend, read and taken up by another."""

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
from mindref.recommender.again import evaluate_run
from mindref.recommender.run import Hooks, Trainer, resume
from mindref.recommender.served import Served
from mindref.run.source import Loaded, Source

SOURCE = Source.of(None, {"users": 60, "items": 120})
SMALL: dict[str, Any] = {
    "steps": 7, "evaluate_every": 3, "batch": 16, "negatives": 16, "width": 8, "hidden": [8],
    "metric": "hit_rate@10", "user_features": ["age"],
}  # fmt: skip
RESULT = ("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl")


class Runs:
    """What a backend called `name` and the built-in ones do with the runs of each other."""

    name: str

    @pytest.mark.rules("model-R16")
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("trains", [True, False])
    @pytest.mark.parametrize("built_in", ["numpy", "numba"])
    def test_a_run_of_one_backend_is_read_by_another(
        self, tmp_path: Path, built_in: str, trains: bool, dtype: str
    ) -> None:
        trainer, reader = (self.name, built_in) if trains else (built_in, self.name)
        run = trained(tmp_path / "run", backend=trainer, dtype=dtype)
        own, other = (Served.load(run, backend=name) for name in (trainer, reader))
        same(own, other, dtype)
        reports = [evaluate_run(run, backend=name) for name in (trainer, reader)]
        assert reports[0]["metrics"] == reports[1]["metrics"]
        assert reports[0]["cases"] > 0
        lists = [x.recommend(user=loaded().log.user_ids[0], n=5) for x in (own, other)]
        assert [x.item for x in lists[0]] == [x.item for x in lists[1]]

    @pytest.mark.rules("backend-R15")
    def test_a_run_that_was_stopped_goes_on_to_the_same_bytes(self, tmp_path: Path) -> None:
        straight = trained(tmp_path / "straight", backend=self.name)
        seen: list[int] = []
        hooks = Hooks(on_step=lambda n, loss: seen.append(n), stop=lambda: len(seen) >= 4)
        outcome = made(tmp_path / "stopped", backend=self.name).go(hooks)
        assert not outcome.finished
        assert resume(tmp_path / "stopped").go().finished
        for name in RESULT:
            found = (tmp_path / "stopped" / name).read_bytes()
            assert found == (straight / name).read_bytes(), name

    def test_the_commands_train_resume_evaluate_and_recall(self, tmp_path: Path) -> None:
        rows = [f"u{u},i{(u * u + 3 * n) % 30},{n}" for u in range(20) for n in range(8)]
        (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))
        small = ["--steps=6", "--batch=16", "--negatives=16", "--width=8", "--quiet", "--out=run"]
        trained = mindref(tmp_path, "train", "--data=log.csv", f"--backend={self.name}", *small)
        assert trained == mindref(tmp_path, "train", "--resume=run", "--quiet")
        found = mindref(tmp_path, "evaluate", "run", "--backend=numba")
        assert found["metrics"] == {"test": trained["metrics"]["test"]}
        own, other = (
            mindref(tmp_path, "recall", "run", "--history=i1,i2,i3", "--top=5", *who)[0]["items"]
            for who in ([], ["--backend=numpy"])
        )
        for a, b in zip(own, other, strict=True):
            assert a == {**b, "score": pytest.approx(b["score"], rel=same_math("float32"))}


def mindref(folder: Path, *words: str) -> Any:
    """Return what a command says as JSON."""
    command = [sys.executable, "-m", "mindref", *words, "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@cache
def loaded() -> Loaded:
    """The log, read once."""
    return SOURCE.read()


def made(run: Path, **changes: Any) -> Trainer:
    """Return a trainer of the small log, its run directory made."""
    trainer = Trainer(
        SOURCE, loaded(), "leave_last_out", Config.of("default", {**SMALL, **changes}), run
    )
    trainer.create()
    return trainer


def trained(run: Path, **changes: Any) -> Path:
    """Train into a folder and return it."""
    made(run, **changes).go()
    return run


def same(own: Served, other: Served, dtype: str) -> None:
    """Compare the interests of all users, and the weights that made them."""
    log = loaded().log
    some = [own.of_users(log.user_ids)[:2], other.of_users(log.user_ids)[:2]]
    for couplings in (False, True):  # by the model, and by the operators
        a, b = (
            x.served(*rows, couplings=couplings) for x, rows in zip((own, other), some, strict=True)
        )
        close(a, b, same_math(dtype))


def close(a: Interests, b: Interests, share: float) -> None:
    """Compare interests: floats within a share of the largest, all else exactly."""
    for name, x in a._asdict().items():
        y = getattr(b, name)
        if x is None or x.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            np.testing.assert_allclose(x, y, rtol=0, atol=share * np.abs(x).max(), err_msg=name)
