"""A training that starts from an earlier run: mapped rows, new rows, moments, files."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import mindref
from mindref.config import Config
from mindref.data.frames import from_arrays
from mindref.errors import ConfigError, MindrefError, RunError
from mindref.models import registry
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.models.serving import compute_interests, item_matrix
from mindref.recommender.training.trainer import resume_run
from mindref.recommender.training.warm_start import WarmStart, left_out_warnings, trained_rows
from mindref.run import array_files, checkpoint
from tests.assertions import nonempty
from tests.recommender.earlier_logs import log_until, trainer_of
from tests.runs import SMALL, change_json, content, loaded, stop_after, trained, trainer

OLD, NEW = log_until(0.4), log_until(1.0, 0.1)  # users, items and values in another order
BOTH = {"item_features": ("shelf",), "user_features": ("age",)}
STARTED = [x for x in registry.RECALL_FAMILIES if family_of(x).by_steps and x != "maxmf"]


def start_of(log, **changes):
    """Return the start from a model trained on all interactions of a log."""
    made = trainer_of(log, **changes)
    made.train()
    return WarmStart(made.served_model())


@pytest.fixture(scope="module")
def start():
    return start_of(OLD, **BOTH)


@pytest.fixture(scope="module")
def started(start):
    return trainer_of(NEW, start, steps=3)


def known_items(start):
    """Return external id -> row of the trained items of a start."""
    is_trained = start.served.model.catalogue.weights[:, 0] > 0
    return {x: i for i, x in enumerate(start.served.items.ids) if is_trained[i]}


@pytest.mark.rules("model-R56")
@pytest.mark.parametrize("model", STARTED)
def test_without_a_step_the_vectors_of_the_same_log_have_the_same_bytes(model):
    changes = {**BOTH, "model": model, "dtype": "float32"}
    before = start_of(OLD, **changes)
    made = trainer_of(OLD, before)
    assert made.state.moments.step == 0
    profiles, rows = made.task.profiles, OLD.interactions
    old, new = before.served.model, made.model()
    for x, y in zip(item_matrix(old), item_matrix(new), strict=True):
        assert x.tobytes() == y.tobytes()
    first, second = (compute_interests(x, rows, profiles).vectors for x in (old, new))
    assert first.tobytes() == second.tobytes()
    assert np.any(first)


@pytest.mark.rules("model-R56")
def test_rows_are_mapped_by_item_id_and_by_value(start, started):
    table, old = started.state.params.items, start.served.model.params.items
    known = known_items(start)
    assert 10 < len(known) < len(NEW.item_ids)
    for row, name in enumerate(NEW.item_ids):
        if name in known:
            np.testing.assert_array_equal(table[row], old[known[name]])
    shelves, earlier = NEW.item_features[0].values, OLD.item_features[0].values
    assert list(shelves) != list(earlier)
    common = [x for x in shelves if x in earlier]
    assert common
    for value in common:
        row, was = (
            len(log.item_ids) + list(log.item_features[0].values).index(value) for log in (NEW, OLD)
        )
        np.testing.assert_array_equal(table[row], old[was])


@pytest.mark.rules("model-R56")
def test_profile_rows_are_mapped_by_value_and_new_values_start_as_unknown():
    few = log_until(0.05)
    before = start_of(few, **BOTH)
    made = trainer_of(NEW, before)
    table, old = made.state.params.profile, before.served.model.params.profile
    values, earlier = (list(log.user_features[0].values) for log in (NEW, few))
    assert set(values) - set(earlier)
    assert values[: len(earlier)] != sorted(values)
    np.testing.assert_array_equal(table[0], old[0])
    for i, value in enumerate(values):
        row = 1 + earlier.index(value) if value in earlier else 0
        np.testing.assert_array_equal(table[1 + i], old[row])


@pytest.mark.rules("model-R56")
def test_the_other_parameters_are_copies(start, started):
    old, new = flatten(start.served.model.params), flatten(started.state.params)
    for name in nonempty(old.keys() - {"items", "profile"}):
        np.testing.assert_array_equal(new[name], old[name])
        assert not np.shares_memory(new[name], old[name])


@pytest.mark.rules("model-R57")
def test_a_new_item_starts_at_the_vector_of_its_features(start, started):
    known, catalogue = known_items(start), started.task.catalogue
    new = [i for i, x in enumerate(NEW.item_ids) if x not in known]
    table, unmasked = started.state.params.items, started.model()._replace(catalogue=catalogue)
    vectors = item_matrix(unmasked)
    for i in nonempty(new):
        (code,) = NEW.item_features[0].codes.row(i)
        np.testing.assert_allclose(vectors[i], table[len(NEW.item_ids) + code], rtol=1e-5)


@pytest.mark.rules("model-R57")
def test_without_features_a_new_item_starts_at_the_mean_and_an_untrained_item_is_new():
    before = start_of(OLD, protocol="leave_last_out", metric="hit_rate@3")
    made = trainer_of(NEW, before)
    known = set(known_items(before)) & set(NEW.item_ids)
    assert set(OLD.item_ids) & set(NEW.item_ids) - known, "items without a training example"
    table, is_known = made.state.params.items, np.array([x in known for x in NEW.item_ids])
    expected = np.tile(table[is_known].mean(axis=0), (len(table) - len(known), 1))
    np.testing.assert_allclose(table[~is_known], expected, rtol=1e-5)


@pytest.mark.rules("model-R57")
def test_a_new_value_of_a_feature_starts_at_the_mean_of_its_feature():
    few = log_until(0.02)
    before = start_of(few, item_features=("shelf",))
    made = trainer_of(NEW, before)
    served = before.served.model
    trained_row = trained_rows(served.catalogue, len(served.params.items))
    earlier = [
        x for i, x in enumerate(few.item_features[0].values) if trained_row[len(few.item_ids) + i]
    ]
    table = made.state.params.items[len(NEW.item_ids) :]
    is_known = np.array([x in earlier for x in NEW.item_features[0].values])
    assert 0 < is_known.sum() < len(is_known)
    expected = np.tile(table[is_known].mean(axis=0), (int((~is_known).sum()), 1))
    np.testing.assert_allclose(table[~is_known], expected, rtol=1e-5)


@pytest.mark.rules("model-R58")
def test_moments_are_zero_unless_they_are_kept(mind_run):
    fresh = trainer(start=WarmStart.open(mind_run), backend="numpy").state.moments
    assert not any(x.any() for x in (*fresh.first.values(), *fresh.second.values()))
    kept = trainer(start=WarmStart.open(mind_run, keep_moments=True), backend="numpy").state.moments
    moments = checkpoint.load_state(mind_run)[0].moments
    assert (kept.step, moments.step) == (0, 7)
    counts = np.array(mindref.load(mind_run).served.items.counts)
    is_trained = WarmStart.open(mind_run).served.servable.is_servable
    assert counts[is_trained].all()
    for part in ("first", "second"):
        was, now = getattr(moments, part), getattr(kept, part)
        np.testing.assert_array_equal(now["items"][is_trained], was["items"][is_trained])
        assert not now["items"][~is_trained].any()
        np.testing.assert_array_equal(now["bilinear"], was["bilinear"])


@pytest.mark.rules("model-R58")
def test_moments_that_were_not_saved_are_an_error(tmp_path):
    model = mindref.MIND(**SMALL, backend="numpy").fit(OLD)
    model.save(tmp_path / "run")
    with pytest.raises(RunError, match=r"moments: expected optimiser.safetensors, got none; start"):
        WarmStart.open(tmp_path / "run", keep_moments=True)
    with pytest.raises(ConfigError, match="keep_moments: expected a run with moments, got a mode"):
        mindref.MIND().fit(NEW, start_from=model, keep_moments=True)


@pytest.mark.rules("model-R55")
@pytest.mark.parametrize(
    ("changes", "expected", "got"),
    [
        ({"width": 16, "steps": 9}, "width 8", "width 16"),
        ({"hidden": (4,)}, "hidden 8", "hidden 4"),
        ({"user_features": ()}, "user_features age", "user_features none"),
        ({"item_features": ()}, "item_features shelf", "item_features none"),
        ({"model": "youtube_dnn"}, "model mind", "model youtube_dnn"),
    ],
)
def test_a_setting_that_changes_a_shape_is_an_error(start, changes, expected, got):
    config = Config.of("mind", {**start.config.family_settings(), **changes})
    message = f"start from memory: expected the settings of that run, {expected}, got {got}; leave"
    with pytest.raises(RunError, match=message):
        start.check(config)


@pytest.mark.rules("model-R55")
def test_other_settings_may_change(start):
    changes = {"steps": 9, "learning_rate": 0.1, "dtype": "float64", "temperature": 0.5}
    start.check(Config.of("mind", {**start.config.family_settings(), **changes}))


@pytest.mark.rules("model-R55")
@pytest.mark.parametrize("model", ["maxmf", "popularity"])
def test_a_model_that_fits_only_its_log_is_no_start(model):
    before = start_of(OLD, model=model)
    with pytest.raises(ConfigError, match=f"whose parameters fit another log, got one of {model}"):
        before.check(before.config)


@pytest.mark.rules("model-R55")
def test_a_run_without_a_model_is_no_start(tmp_path):
    trainer(tmp_path / "run", backend="numpy").train(stop_after(2))
    with pytest.raises(RunError, match="expected a trained model, got none, as the run was stop"):
        WarmStart.open(tmp_path / "run")


def test_a_run_without_the_values_of_its_features_is_no_start(tmp_path):
    run = trained(tmp_path / "run", backend="numpy", item_features=("shelf",))
    with change_json(run / "config.json") as words:
        del words["item_features"]
    before = WarmStart.open(run)
    with pytest.raises(RunError, match=r"values of its item features in config\.json, got a run"):
        before.check(before.config)


@pytest.mark.rules("model-R59")
def test_a_started_run_names_its_origin_and_resumes_without_it(tmp_path):
    origin = trained(tmp_path / "origin", backend="numpy")
    before = WarmStart.open(origin)
    changes = {"backend": "numpy", "steps": 8, "evaluate_every": 4}
    whole = tmp_path / "whole"
    trainer(whole, start=before, **changes).train()
    facts = json.loads((whole / "config.json").read_text())["start_from"]
    digest = array_files.arrays_digest(flatten(before.served.model.params), {})
    trained_on = facts.pop("trained_on")
    assert [x["run"] for x in trained_on] == [str(origin)]
    assert facts == {
        "run": str(origin), "model": digest, "step": before.served.step,
        "items": int(before.served.servable.is_servable.sum()),
        "new_items": int((~before.served.servable.is_servable).sum()),
        "trained_items": int(before.served.servable.is_servable.sum()), "left_out_items": 0,
    }  # fmt: skip
    for step in (0, 2, 6):
        stopped = tmp_path / f"stopped-{step}"
        trainer(stopped, start=before, **changes).train(stop_after(step))
        (origin / "model.safetensors").rename(tmp_path / "hidden")
        resumed = resume_run(stopped)
        resumed.train()
        (tmp_path / "hidden").rename(origin / "model.safetensors")
        assert content(stopped) == content(whole)
        assert resumed.facts()["start_from"] == {**facts, "trained_on": trained_on}


@pytest.mark.rules("model-R59")
def test_a_started_run_without_its_start_is_an_error(mind_run, tmp_path):
    trainer(tmp_path / "run", start=WarmStart.open(mind_run), backend="numpy")
    (tmp_path / "run" / "optimiser.safetensors").unlink()
    with pytest.raises(RunError, match="expected the start of the run, got none; train anew with"):
        resume_run(tmp_path / "run")


@pytest.mark.rules("model-R59")
def test_files_of_runs_with_different_starts_cannot_be_exchanged(mind_run, run_of, tmp_path):
    for name, origin in (("a", mind_run), ("b", run_of(backend="numpy", seed=1))):
        trainer(tmp_path / name, start=WarmStart.open(origin), backend="numpy")
    (tmp_path / "a" / "optimiser.safetensors").replace(tmp_path / "b" / "optimiser.safetensors")
    with pytest.raises(RunError, match="expected a file of the run of"):
        resume_run(tmp_path / "b")


@pytest.mark.rules("model-R55", "model-R56")
def test_fit_starts_from_a_model_or_a_run_with_its_settings(tmp_path):
    small = {**SMALL, "backend": "numpy", "window": 5}
    model = mindref.MIND(**small).fit(OLD, run=tmp_path / "run")
    results = []
    for start_from in (model, tmp_path / "run", str(tmp_path / "run")):
        made = mindref.MIND(steps=2).fit(NEW, start_from=start_from, split="none")
        assert (made.config.window, made.config.width, made.config.steps) == (5, 8, 2)
        assert made.report["metrics"] == {}
        results.append(made.served.model.params.items.tobytes())
    assert len(set(results)) == 1
    assert model.config.steps == 7, "the start is unchanged"
    follow = mindref.MIND().fit(NEW, start_from=made)
    assert (follow.served.facts["protocol"], follow.config.steps) == ("none", 2)
    with pytest.raises(RunError, match="width 8, got width 32"):
        mindref.MIND(width=32, steps=2).fit(NEW, start_from=model)
    with pytest.raises(ConfigError, match="start_from: expected the path of a run, or a trained M"):
        mindref.MIND(steps=2).fit(NEW, start_from=3)
    with pytest.raises(MindrefError, match="a trained model, got none"):
        mindref.MIND(steps=2).fit(NEW, start_from=mindref.MIND())


@pytest.mark.rules("model-R42", "data-R84")
def test_an_item_without_an_interaction_is_served_through_its_features(tmp_path):
    log = log_until(0.4)
    names = list(log.item_ids)
    shelf = {
        name: [log.item_features[0].values[code] for code in log.item_features[0].codes.row(i)]
        for i, name in enumerate(names)
    }
    users = np.repeat(np.array(log.user_ids, object), log.interactions.lengths)
    items = np.array(names, object)[log.interactions.values]
    shelf["cold"] = shelf[names[0]]
    model = mindref.MIND(**SMALL, backend="numpy", item_features=("shelf",)).fit(
        users, items, log.times, item_features={"shelf": shelf}, keep_unused_items=True
    )
    listed = [x.item for x in model.recommend([names[0]], n=500)]
    assert "cold" in listed
    assert model.report["untrained"]["with_features"] >= 1
    assert "cold" in [x.item for x in model.similar_items(names[1], n=500)]
    assert loaded().log.item_ids


@pytest.mark.rules("model-R63")
def test_a_start_without_a_common_item_is_an_error(start):
    log = replace(NEW, item_ids=[f"x-{name}" for name in NEW.item_ids])
    first = start.served.items.ids[int(np.flatnonzero(start.trained_items)[0])]
    expected = f"items of that run, such as '{first}', in the log, got none of its "
    with pytest.raises(RunError, match=re.escape(expected)) as raised:
        trainer_of(log, start)
    assert f"the log has ids such as 'x-{NEW.item_ids[0]}'" in str(raised.value)
    unused = [*log.item_ids, *start.served.items.ids]  # of an item file, without an interaction
    with pytest.raises(RunError, match=re.escape(expected)):
        start.check_items(replace(log, item_ids=unused))


def log_of_few_items(start, num_items):
    """Return two interactions with each of the first trained items of a start."""
    items = [start.served.items.ids[i] for i in np.flatnonzero(start.trained_items)[:num_items]]
    users = [f"user-{i // 4}" for i in range(2 * num_items)]
    return from_arrays(users, items * 2, range(2 * num_items))


@pytest.mark.rules("model-R63")
def test_items_that_an_update_leaves_out_are_a_warning(tmp_path):
    start = start_of(OLD, protocol="global_time")
    total = int(np.count_nonzero(start.trained_items))
    assert total < len(start.served.items.ids), "an item without a training example"
    half = (total + 1) // 2
    assert trainer_of(log_of_few_items(start, half), start).warnings == []
    few = log_of_few_items(start, half - 1)
    rest = [x for x in start.served.items.ids if x not in few.item_ids]
    few = replace(few, item_ids=[*few.item_ids, *rest])  # of an item file, without an interaction
    made = trainer_of(few, start, tmp_path / "run", steps=2)
    (line,) = made.warnings
    counts = f"{total - half + 1:,} of the {total:,} trained items of the model in memory"
    assert line.startswith(f"{counts} have no interaction in this log. ")
    assert made.start["left_out_items"] == total - half + 1
    made.train()
    assert made.evaluate()["warnings"] == [line]
    start_entry = checkpoint.load_config(tmp_path / "run")[1]["start_from"]
    assert left_out_warnings(start_entry) == [line]


@pytest.mark.rules("model-R63")
def test_a_resumed_training_has_the_warning_of_its_start(mind_run, tmp_path):
    run = tmp_path / "run"
    trainer(run, start=WarmStart.open(mind_run), backend="numpy").train(stop_after(0))
    with change_json(run / "config.json") as config:
        start_entry = config["start_from"]
        start_entry["left_out_items"] = start_entry["trained_items"] // 2 + 1
    resumed = resume_run(run)
    (line,) = [x for x in resumed.warnings if "have no interaction in this log" in x]
    resumed.train()
    assert line in resumed.evaluate()["warnings"]
