"""Runs do not depend on the backend: another backend reads and resumes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.conformance.tolerances import same_math
from mindref.models.parameters import flatten
from mindref.models.serving import Interests, compute_interests
from mindref.presets import PRESETS
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import recommend_one
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.trainer import Trainer, resume_run
from mindref.recommender.training.warm_start import WarmStart
from tests.backends.exported_towers import GIVEN_NUMBERS
from tests.runs import call, content, loaded, stop_after, trainer


def make_trainer(run: Path, **changes: Any) -> Trainer:
    """Return a trainer of the small log with a user feature, with a new run directory."""
    return trainer(run, **{"user_features": ["age"], **changes})


class Runs:
    """Tests of runs of the backend `name` and of the built-in backends."""

    name: str

    @pytest.mark.rules("model-R16")
    @pytest.mark.parametrize(
        ("built_in", "trains", "dtype"),
        [  # of two options, each pair of values occurs in a case that is not slow
            ("numpy", True, "float32"),
            ("numpy", False, "float64"),
            ("numba", True, "float64"),
            ("numba", False, "float32"),
            pytest.param("numpy", True, "float64", marks=pytest.mark.slow),
            pytest.param("numpy", False, "float32", marks=pytest.mark.slow),
            pytest.param("numba", True, "float32", marks=pytest.mark.slow),
            pytest.param("numba", False, "float64", marks=pytest.mark.slow),
        ],
    )
    def test_a_run_of_one_backend_is_read_by_another(
        self, tmp_path: Path, built_in: str, trains: bool, dtype: str
    ) -> None:
        names, run = [self.name, built_in] if trains else [built_in, self.name], tmp_path / "run"
        make_trainer(run, backend=names[0], dtype=dtype).train()
        model, reader_model = (ServedModel.load(run, backend=name) for name in names)
        assert_same_interests(model, reader_model, dtype)
        reports = [evaluate_run(run, backend=name) for name in names]
        assert reports[0]["metrics"] == reports[1]["metrics"]
        assert reports[0]["cases"] > 0
        user = loaded().log.user_ids[0]
        request = ListRequest(users=[user], n=5)
        lists = [recommend_one(x, request)[0] for x in (model, reader_model)]
        assert [x.item for x in lists[0]] == [x.item for x in lists[1]]

    @pytest.mark.rules("backend-R15")
    def test_a_resumed_run_has_the_same_bytes_as_an_uninterrupted_run(self, tmp_path: Path) -> None:
        make_trainer(tmp_path / "straight", backend=self.name).train()
        outcome = make_trainer(tmp_path / "stopped", backend=self.name).train(stop_after(4))
        assert not outcome.finished
        assert resume_run(tmp_path / "stopped").train().finished
        resumed, uninterrupted = (content(tmp_path / x) for x in ("stopped", "straight"))
        for name, data in uninterrupted.items():
            assert resumed[name] == data, name

    @pytest.mark.rules("backend-R15")
    def test_a_training_from_an_earlier_run_matches_the_reference(self, tmp_path: Path) -> None:
        changes: dict[str, Any] = {"protocol": "none", "dtype": "float64"}
        make_trainer(tmp_path / "first", backend=self.name, **changes).train()
        start = WarmStart.open(tmp_path / "first")
        results = []
        for name in (self.name, "numpy"):
            made = make_trainer(tmp_path / name, backend=name, start=start, **changes)
            assert made.state.moments.step == 0
            made.train()
            results.append(flatten(made.state.params))
        for name, x in results[1].items():
            np.testing.assert_allclose(results[0][name], x, rtol=1e-7, atol=1e-9, err_msg=name)

    def test_the_commands_train_resume_evaluate_and_recall(self, tmp_path: Path) -> None:
        rows = [f"u{u},i{(u * u + 3 * n) % 30},{n}" for u in range(20) for n in range(8)]
        (tmp_path / "log.csv").write_text("\n".join(["user,item,time", *rows]))

        def run(*words: str) -> Any:
            done = call(*words, "--json", cwd=tmp_path)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        options = ["--steps=6", "--batch=16", "--negatives=16", "--width=8", "--quiet", "--out=run"]
        train_report = run("train", "--data=log.csv", f"--backend={self.name}", *options)
        assert train_report == run("train", "--resume=run", "--quiet")
        report = run("evaluate", "run", "--backend=numba")
        assert report["metrics"] == {"test": train_report["metrics"]["test"]}
        recall = ["recall", "run", "--history=i1,i2,i3", "--top=5"]
        items, reference_items = (
            run(*recall, *backend)[0]["items"] for backend in ([], ["--backend=numpy"])
        )
        for a, b in zip(items, reference_items, strict=True):
            assert a == {**b, "score": pytest.approx(b["score"], rel=same_math("float32"))}


def check_run_of_preset(preset: str, backend: str, folder: Path) -> None:
    """Train a preset; check the bytes of a resumed run, and its interests in the backend numba."""
    changes = {**PRESETS[preset], **GIVEN_NUMBERS, "window": 10, "steps": 20, "backend": backend}
    straight, stopped = folder / "straight", folder / "stopped"
    make_trainer(straight, **changes).train()
    assert not make_trainer(stopped, **changes).train(stop_after(4)).finished
    assert resume_run(stopped).train().finished
    assert content(stopped) == content(straight)
    models = [ServedModel.load(straight, backend=name) for name in (backend, "numba")]
    assert_same_interests(*models, "float32")  # also the coupling weights
    reports = [evaluate_run(straight, backend=name) for name in (backend, "numba")]
    assert reports[0]["metrics"] == reports[1]["metrics"]


def assert_same_interests(model: ServedModel, other: ServedModel, dtype: str) -> None:
    """Compare the interests of all users and the coupling weights."""
    users = loaded().log.user_ids
    encoded = [x.encode_users(users)[:2] for x in (model, other)]
    for couplings in (False, True):  # computed by the model, and by the operators
        a, b = (
            compute_interests(
                x.model, x.servable.select(rows), profiles, x.backend, couplings=couplings
            )
            for x, (rows, profiles) in zip((model, other), encoded, strict=True)
        )
        assert_close_interests(a, b, same_math(dtype))


def assert_close_interests(a: Interests, b: Interests, tolerance: float) -> None:
    """Compare interests: floats up to a tolerance relative to the largest, other arrays exactly."""
    for name, x in a._asdict().items():
        y = getattr(b, name)
        if x is None or x.dtype.kind != "f":
            np.testing.assert_array_equal(x, y, err_msg=name)
        else:
            np.testing.assert_allclose(x, y, rtol=0, atol=tolerance * np.abs(x).max(), err_msg=name)
