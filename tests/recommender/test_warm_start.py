"""A training that starts from an earlier run: mapped rows, new rows, moments, files."""

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
from tests.runs import SMALL, content, stop_after, trained, trainer

OLD, NEW = log_until(0.4), log_until(1.0, 0.1)  # users, items and values in another order
BOTH = {"item_features": ("shelf",), "user_features": ("age",)}
STARTED = [x for x in registry.RECALL_FAMILIES if family_of(x).by_steps and x != "maxmf"]


def start_of(log, **changes):
    """Return the start from a model trained on all interactions of a log."""
    return WarmStart(trainer_of(log, **changes).train().served_model())


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


@pytest.mark.rules("model-R56", "model-R75")
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


@pytest.mark.rules("model-R56", "model-R75")
def test_rows_are_mapped_by_item_id_and_by_value(start, started):
    table, old = started.state.params.items, start.served.model.params.items
    known = known_items(start)
    assert 10 < len(known) < len(NEW.item_ids)
    for row, name in enumerate(NEW.item_ids):
        if name in known:
            np.testing.assert_array_equal(table[row], old[known[name]])
    shelves, earlier = (list(log.item_features[0].values) for log in (NEW, OLD))
    assert shelves != earlier
    for value in nonempty(set(shelves) & set(earlier)):
        row, old_row = len(NEW.item_ids) + shelves.index(value), earlier.index(value)
        np.testing.assert_array_equal(table[row], old[len(OLD.item_ids) + old_row])
    before, after = flatten(start.served.model.params), flatten(started.state.params)
    for name in nonempty(before.keys() - {"items", "profile"}):
        np.testing.assert_array_equal(after[name], before[name])
        assert not np.shares_memory(after[name], before[name])


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
    table = trainer_of(NEW, before).state.params.items[len(NEW.item_ids) :]
    served, shelves = before.served.model, few.item_features[0].values
    is_trained = trained_rows(served.catalogue, len(served.params.items))[len(few.item_ids) :]
    earlier = [value for value, known in zip(shelves, is_trained, strict=True) if known]
    is_known = np.isin(NEW.item_features[0].values, earlier)
    assert 0 < is_known.sum() < len(is_known)
    expected = np.tile(table[is_known].mean(axis=0), (int((~is_known).sum()), 1))
    np.testing.assert_allclose(table[~is_known], expected, rtol=1e-5)


@pytest.mark.rules("model-R58")
def test_moments_and_steps_start_at_zero(mind_run):
    moments = trainer(start=WarmStart.open(mind_run), backend="numpy").state.moments
    assert checkpoint.load_state(mind_run)[0].moments.step == 7
    assert moments.step == 0
    assert not any(x.any() for x in (*moments.first.values(), *moments.second.values()))


@pytest.mark.rules("model-R70")
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
def test_only_a_setting_that_changes_a_shape_is_an_error(start, changes, expected, got):
    settings = start.config.family_settings()
    message = f"start from memory: expected the settings of that run, {expected}, got {got}; leave"
    with pytest.raises(RunError, match=message):
        start.check(Config.of("mind", {**settings, **changes}))
    other = {"steps": 9, "learning_rate": 0.1, "dtype": "float64", "temperature": 0.5}
    start.check(Config.of("mind", {**settings, **other}))


@pytest.mark.rules("model-R70")
@pytest.mark.parametrize("model", ["maxmf", "popularity"])
def test_a_model_that_fits_only_its_log_is_no_start(model):
    before = start_of(OLD, model=model)
    with pytest.raises(ConfigError, match=f"whose parameters fit another log, got one of {model}"):
        before.check(before.config)


@pytest.mark.rules("model-R59")
def test_a_started_run_names_its_origin_and_resumes_without_it(tmp_path):
    origin = trained(tmp_path / "origin", backend="numpy")
    before = WarmStart.open(origin)
    changes = {"backend": "numpy", "steps": 8, "evaluate_every": 4}
    whole = trainer(tmp_path / "whole", start=before, **changes).train()
    facts = whole.facts()["start_from"]
    num_servable = len(before.served.servable.ids)
    assert [x["run"] for x in facts["trained_on"]] == [str(origin)]
    assert {name: x for name, x in facts.items() if name != "trained_on"} == {
        "run": str(origin), "step": before.served.step,
        "model": array_files.arrays_digest(flatten(before.served.model.params), {}),
        "items": num_servable, "new_items": len(before.served.items.ids) - num_servable,
        "trained_items": num_servable, "left_out_items": 0,
    }  # fmt: skip
    stopped = [tmp_path / f"stopped-{step}" for step in (0, 2, 6)]
    for run in stopped:
        trainer(run, start=before, **changes).train(stop_after(int(run.name[-1])))
    (origin / "model.safetensors").unlink()
    for run in stopped:
        assert resume_run(run).train().facts()["start_from"] == facts
        assert content(run) == content(whole.run)


@pytest.mark.rules("model-R59")
def test_a_started_run_without_its_start_is_an_error(mind_run, tmp_path):
    trainer(tmp_path / "run", start=WarmStart.open(mind_run), backend="numpy")
    (tmp_path / "run" / "optimiser.safetensors").unlink()
    with pytest.raises(RunError, match="expected the start of the run, got none; train anew with"):
        resume_run(tmp_path / "run")


@pytest.mark.rules("model-R55", "model-R56", "model-R81")
def test_fit_starts_from_a_model_or_a_run_with_its_settings(tmp_path):
    small = {**SMALL, "backend": "numpy", "window": 5}
    model = mindref.MIND(**small).fit(OLD, run=tmp_path / "run")
    tables = set()
    for start_from in (model, tmp_path / "run", str(tmp_path / "run")):
        made = mindref.MIND(steps=2).fit(NEW, start_from=start_from, split="none")
        assert (made.config.window, made.config.width, made.config.steps) == (5, 8, 2)
        tables.add(made.served.model.params.items.tobytes())
    assert len(tables) == 1
    assert model.config.steps == 7, "the start is unchanged"
    follow = mindref.MIND().fit(NEW, start_from=made)
    assert (follow.served.facts["protocol"], follow.config.steps) == ("none", 2)
    for settings, start_from, message in (
        ({"width": 32}, model, "width 8, got width 32"),
        ({}, 3, "start_from: expected the path of a run, or a trained model, got 3"),
        ({}, mindref.MIND(), "a trained model, got none"),
    ):
        with pytest.raises(MindrefError, match=message):
            mindref.MIND(steps=2, **settings).fit(NEW, start_from=start_from)


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


@pytest.mark.rules("model-R78", "model-R79")
def test_items_that_an_update_leaves_out_are_a_warning(tmp_path):
    start = start_of(OLD, protocol="global_time")
    total = int(np.count_nonzero(start.trained_items))
    assert total < len(start.served.items.ids), "an item without a training example"
    half = (total + 1) // 2
    assert trainer_of(log_of_few_items(start, half), start).warnings == []
    few = log_of_few_items(start, half - 1)
    unused = [x for x in start.served.items.ids if x not in few.item_ids]  # of an item file
    few = replace(few, item_ids=[*few.item_ids, *unused])
    made = trainer_of(few, start, tmp_path / "run", steps=2)
    counts = f"{total - half + 1:,} of the {total:,} trained items of the model in memory"
    (line,) = made.warnings
    assert line.startswith(f"{counts} have no interaction in this log. ")
    assert made.train().evaluate()["warnings"] == [line]
    start_entry = checkpoint.load_config(tmp_path / "run")[1]["start_from"]
    assert left_out_warnings(start_entry) == [line], "of a resumed training"
