"""Families of models beside MIND: the same commands, the same files, and what is refused."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from mindref import load
from mindref.backend import NumpyBackend
from mindref.backend import load_backend as backend_of
from mindref.config import Config
from mindref.errors import BackendError, ConfigError
from mindref.models import registry
from mindref.models.family import check_trainable, family_of
from mindref.models.parameters import flatten
from mindref.models.tower import FAMILIES
from mindref.recommender.evaluate_run import evaluate_run
from mindref.recommender.export import export_run
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training import trainer as trainer_module
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files, checkpoint
from mindref.study.models.study_model import open_study_model
from tests.assertions import nonempty
from tests.list_requests import recalled
from tests.runs import stop_after, trained, trainer

ALL = list(registry.RECALL_FAMILIES)
STEPPED = [name for name in ALL if family_of(name).by_steps]
FITTED = [name for name in ALL if name not in STEPPED]


@pytest.mark.rules("model-R37", "model-R38", "recall-R40")
@pytest.mark.parametrize("model", ALL)
def test_a_run_of_any_family_is_evaluated_and_recalled(model, tmp_path):
    run, family = tmp_path / "run", family_of(model)
    made = trainer(run, model=model)
    outcome = made.train()
    report = made.evaluate()
    assert outcome.finished
    assert len(outcome.validations) == (1 if model in FITTED else 3)
    assert type(checkpoint.load_best(run)[0]) is family.params
    for file in (array_files.MODEL, array_files.STATE):
        assert array_files.load_arrays(run / file)[1]["model"] == model
    again = evaluate_run(run)
    assert again["metrics"]["test"]["model"] == report["metrics"]["test"]["model"]
    log = made.prepared.loaded.log
    (answer,) = recalled(run, users=[log.user_ids[0]], n=5)
    found = [x.item for x in load(run).recommend(user=log.user_ids[0], n=5)]
    assert [x.item for x in answer.items] == found
    assert (run / "index").exists() == family.has_vectors
    assert not {log.item_ids[i] for i in log.interactions.row(0)} & set(found)


@pytest.mark.rules("model-R37")
@pytest.mark.parametrize("model", STEPPED)
def test_a_stopped_training_goes_on_to_the_same_bytes(model, run_of, tmp_path):
    whole = run_of(model=model)
    parts = tmp_path / "parts"
    trainer(parts, model=model).train(stop_after(4))
    resume_run(parts).train()
    for file in (array_files.MODEL, array_files.STATE):
        assert (parts / file).read_bytes() == (whole / file).read_bytes()


@pytest.mark.rules("model-R38")
@pytest.mark.parametrize("model", FITTED)
def test_a_family_that_is_fitted_is_not_fitted_again(model, tmp_path, monkeypatch):
    run = trained(tmp_path / "run", model=model)
    before = (run / array_files.MODEL).read_bytes()
    monkeypatch.setattr(trainer_module, "fit_model", None)
    assert resume_run(run).train().finished
    assert (run / array_files.MODEL).read_bytes() == before


@pytest.mark.rules("model-R37")
@pytest.mark.parametrize("model", STEPPED)
@pytest.mark.slow  # compiles in float64
def test_the_compiled_operators_train_to_what_the_reference_does(model):
    found = []
    for backend in ("numpy", "numba"):
        made = trainer(model=model, dtype="float64", backend=backend)
        made.train()
        found.append(flatten(made.state.params))
    for name, x in found[0].items():
        np.testing.assert_allclose(found[1][name], x, rtol=1e-7, atol=1e-9, err_msg=name)


def others(setting):
    """Return values of a setting that are not its default."""
    default, options = setting.default, setting.metadata.get("options")
    if options:
        return [value for value in options if value != default]
    if isinstance(default, bool):
        return [not default]
    return [default + 1] if isinstance(default, int) else [default / 2 or 0.5]


OF_SOME = [x for x in dataclasses.fields(Config) if registry.families_using(x.name)]


@pytest.mark.rules("model-R36")
@pytest.mark.parametrize("setting", OF_SOME, ids=lambda setting: setting.name)
@pytest.mark.parametrize("model", ALL)
def test_a_family_accepts_only_the_default_of_a_setting_that_it_does_not_use(model, setting):
    Config.of("mind", {"model": model, setting.name: setting.default})
    for value in nonempty(others(setting)):
        settings = {"model": model, setting.name: value}
        if registry.uses_setting(model, setting.name):
            assert getattr(Config.of("mind", settings), setting.name) == value
            continue
        with pytest.raises(ConfigError, match=f"^{setting.name}: expected .*, or --model "):
            Config.of("mind", settings)


class MindPlusBackend(NumpyBackend):
    """A backend of another package that computes whole steps of mind_plus."""

    name = "other"

    def capabilities(self):
        levels, families = ("ops", "model", "train"), ("mind", "mind_plus")
        return super().capabilities()._replace(levels=levels, families=families)


@pytest.mark.rules("model-R39", "model-R73", "model-R74", "backend-R19")
def test_a_family_refuses_what_it_cannot_train_with():
    config = Config.of("mind", {"model": "youtube_dnn"})
    other = backend_of("mindref.conformance.mutants.trained:no_log_q")
    expected = "expected the model mind or mind_plus, got the model youtube_dnn; choose --"
    with pytest.raises(BackendError, match=expected):
        check_trainable(other, config)
    with pytest.raises(ConfigError, match="expected one process, got several"):
        check_trainable(backend_of("numpy"), config, several=True)
    check_trainable(other, Config.of("mind"), several=True)
    check_trainable(MindPlusBackend(), Config.of("recommended"), several=True)
    with pytest.raises(BackendError, match=expected):
        check_trainable(MindPlusBackend(), config)
    features = {"model": "popularity", "item_features": ["genre"]}
    for changes, message in (
        (features, "model popularity: item_features: expected none"),
        ({"model": "maxmf", "loss": "full"}, "maxmf: loss: expected sampled: its rank is counted"),
    ):
        with pytest.raises(ConfigError, match=message):
            check_trainable(backend_of("numpy"), Config.of("mind", changes))
    check_trainable(backend_of("numpy"), Config.of("mind", {"model": "popularity"}))


@pytest.mark.rules("model-R40")
def test_the_study_rejects_another_family(run_of):
    for model in ("youtube_dnn", "mind_plus"):
        run = run_of(model=model)
        with pytest.raises(ConfigError, match=r"study .*: expected a run of the model mind, got"):
            open_study_model(run)


@pytest.mark.rules("model-R40")
@pytest.mark.parametrize(
    ("model", "families", "message"),
    [
        ("youtube_dnn", FAMILIES[:2], "mind or mind_plus, got one of youtube_dnn; use --to onnx"),
        ("maxmf", FAMILIES, "got one of maxmf, whose user vectors are fitted to each history by"),
        ("wals", FAMILIES, "wals, whose user vectors are fitted to each history by least squares"),
        ("item_knn", FAMILIES, "item_knn, which has no user tower; use mindref recall"),
        ("popularity", FAMILIES, "mind, mind_plus or youtube_dnn, got one of popularity, which"),
    ],
)
def test_export_rejects_a_family_that_the_exporter_does_not_write(
    model, families, message, run_of, tmp_path, monkeypatch
):
    exporter = SimpleNamespace(FAMILIES=families)
    monkeypatch.setattr("mindref.recommender.export.load_exporter", lambda: (exporter, {}))
    run = run_of(model=model)
    monkeypatch.setattr(ServedModel, "load", lambda *words, **named: pytest.fail("was loaded"))
    with pytest.raises(ConfigError, match=rf"export .*: expected a run of the model .*{message}"):
        export_run(run, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.rules("recall-R40")
@pytest.mark.parametrize("model", ["item_knn", "random"])
def test_a_family_without_vectors_has_no_interests(model, run_of):
    served = load(run_of(model=model))
    message = f"^interests: expected a model with vectors of users, got a run of {model}, which"
    with pytest.raises(ConfigError, match=message):
        served.interests([[served.served.items.ids[0]]])
