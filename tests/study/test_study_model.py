import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.synthetic import make_synthetic_log
from mindref.errors import DataError, RunError
from mindref.models import mind
from mindref.models.parameters import Catalogue, flatten
from mindref.models.servable_items import ServableItems
from mindref.models.serving import compute_interests, item_matrix
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.run import array_files
from mindref.run.source import Source
from mindref.study.models import built_in_training, user_rules
from mindref.study.models.film_club import GROUPS, PER_GROUP
from mindref.study.models.study_model import (
    BUILT_IN,
    choose_user,
    model_to_float64,
    open_built_in_model,
    open_study_model,
    sample_pair,
)
from tests.runs import write_shop
from tests.study.pairs import change_settings

MODEL = open_study_model()


def with_rows(rows):
    profiles, names = MODEL.profiles[: len(rows)], MODEL.user_ids[: len(rows)]
    return MODEL._replace(histories=Ragged.of(rows), profiles=profiles, user_ids=names)


def test_the_built_in_model_is_complete():
    users, items = len(MODEL.user_ids), GROUPS * PER_GROUP
    assert (users, len(MODEL.histories), len(MODEL.profiles)) == (300, 300, 300)
    assert len(MODEL.item_ids) == len(set(MODEL.titles)) == len(MODEL.counts) == items
    assert np.bincount(MODEL.groups.of_item).tolist() == [PER_GROUP] * GROUPS
    assert "The Silent Witness" in MODEL.titles
    arrays = [*flatten(MODEL.model.params).values(), MODEL.model.catalogue.weights]
    assert {x.dtype.name for x in arrays} == {"float64"}
    single = open_built_in_model("single")
    assert (single.model.config.interests, single.titles) == (1, MODEL.titles)
    assert single.histories.values.tobytes() == MODEL.histories.values.tobytes()


@pytest.mark.slow
def test_training_reproduces_the_built_in_model(tmp_path):
    """The log is the same to the byte; another BLAS sums products in another order.

    Three kernels of OpenBLAS (Haswell, SkylakeX, Nehalem) differ by 3e-15 of the largest number of
    an array; 1e-9 leaves room for another exp, and is far below what one step more changes.
    """
    built_in_training.write_built_in_models(tmp_path)
    names = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {path.relative_to(BUILT_IN) for path in BUILT_IN.rglob("*") if path.is_file()}
    for name in names:
        if name.name == array_files.MODEL:
            here, words = array_files.load_arrays(BUILT_IN / name)
            there, again = array_files.load_arrays(tmp_path / name)
            assert words == again
            for key, x in here.items():
                np.testing.assert_allclose(there[key], x, rtol=0, atol=1e-9 * abs(x).max())
        else:
            assert (tmp_path / name).read_bytes() == (BUILT_IN / name).read_bytes(), name


def test_the_built_in_files_are_small_and_contain_no_path():
    files = [path for path in BUILT_IN.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 61_000  # a new setting adds 46 bytes
    for path in files:
        assert b"/" + b"home" not in path.read_bytes()
        assert str(Path.cwd()).encode() not in path.read_bytes()


def test_the_built_in_model_opens_without_compilation():
    script = """
import sys
from mindref.study.models.study_model import choose_user, open_study_model, sample_pair
model = open_study_model()
sample_pair(model, choose_user(model, "wrong").user)
print([name for name in ("numba", "scipy", "rich", "matplotlib") if name in sys.modules])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_most_behaviours_of_an_interest_are_of_one_group():
    users = np.arange(len(MODEL.user_ids))
    known, _ = user_rules.split_last(MODEL, users)
    interests = compute_interests(MODEL.model, known, MODEL.profiles, couplings=True)
    strongest = interests.couplings.argmax(axis=2)
    groups = MODEL.groups.of_item[interests.history]
    purities = [
        np.bincount(groups[user][members]).max() / members.sum()
        for user in users
        for k in range(4)
        if (members := interests.mask[user] & (strongest[user] == k)).sum() > 1
    ]
    assert np.mean(purities) > 0.8


def test_longest_and_median_choose_by_length():
    study_model = with_rows([[1, 2], [1, 2, 3, 4, 5], [1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3]])
    longest, median = (choose_user(study_model, rule) for rule in ("longest", "median"))
    assert longest == (1, "the longest history of all: 4 films and the target")
    assert median.user == 2
    assert median.rule.endswith("of the median length: 3 films and the target")


def test_separation_is_the_mean_cosine_of_the_vectors():
    for rule in ("most-separated", "least-separated"):
        chosen = choose_user(MODEL, rule)
        interests = user_rules.user_interests(MODEL, np.array([chosen.user]))
        assert interests.active.all()
        (vectors,) = interests.vectors
        units = [v / np.linalg.norm(v) for v in vectors]
        mean = np.mean([units[j] @ units[k] for j in range(4) for k in range(j)])
        assert chosen.rule.endswith(f"mean cosine {mean:.3f}")
    users = np.flatnonzero(MODEL.histories.lengths >= 3)
    cosines = user_rules.measure_separation(MODEL, users)[1]
    assert cosines.min() < 0.1 < 0.6 < cosines.max()


def test_the_rule_wrong_chooses_a_missed_target():
    user = choose_user(MODEL, "wrong").user
    known, target = user_rules.split_last(MODEL, np.array([user]))
    interests = compute_interests(MODEL.model, known, MODEL.profiles[[user]])
    vectors = interests.vectors[0][interests.active[0]]
    scores = (vectors @ item_matrix(MODEL.model).T).max(axis=0)
    scores[known.values] = -np.inf
    rank = np.argsort(-scores, kind="stable").tolist().index(target[0]) + 1
    assert rank > user_rules.TOP
    assert f"rank is {rank} of 60" in choose_user(MODEL, "wrong").rule


def test_a_large_log_is_sampled(monkeypatch):
    monkeypatch.setattr(user_rules, "MAX_MEASURED_USERS", 50)
    for rule in ("most-separated", "wrong"):
        assert choose_user(MODEL, rule) == choose_user(MODEL, rule)
        assert "of 50 users, drawn from 300" in choose_user(MODEL, rule).rule


def test_a_user_is_chosen_by_id():
    user = choose_user(MODEL, "member-007").user
    assert MODEL.user_ids[user] == "member-007"
    named = MODEL._replace(user_ids=["longest", *MODEL.user_ids[1:]])
    assert choose_user(named, "user:longest").user == 0
    assert choose_user(named, "longest").user != 0


def test_the_text_of_a_user_counts_films_and_names_the_window():
    rows = [list(range(22)), [1, 2], list(range(11))]
    limited = change_settings(with_rows(rows), window=10)
    names = [str(x) for x in limited.user_ids[:3]]
    texts = [choose_user(limited, f"user:{name}").rule for name in names]
    assert texts == [
        "chosen by id: 21 films and the target; the model sees the last 10",
        "chosen by id: 1 film and the target",
        "chosen by id: 10 films and the target",
    ]
    assert choose_user(limited, "longest").rule.endswith(texts[0].partition(": ")[2])


def test_an_unknown_user_gives_three_suggestions():
    with pytest.raises(DataError, match=r"one of the 300 users, got 'membr-042'") as error:
        choose_user(MODEL, "membr-042")
    assert str(error.value).count("member-") == 3
    assert "member-042" in str(error.value)
    with pytest.raises(DataError, match=r"user member-001: expected at least two behaviours"):
        choose_user(with_rows([[3]]), "member-001")
    with pytest.raises(DataError, match=r"one with 3 behaviours, got none"):
        choose_user(with_rows([[3]]), "median")


def test_a_training_pair_is_reproducible_and_has_gradients():
    user = choose_user(MODEL).user
    first, second = sample_pair(MODEL, user), sample_pair(MODEL, user)
    row = MODEL.histories.row(user)
    histories = first.batch.histories
    assert histories.items[histories.mask].tolist() == row[:-1].tolist()
    assert first.batch.target.tolist() == [row[-1]]
    assert len(first.batch.negatives) == 8
    arrays = [*first.batch[1:], *histories]
    repeated = [*second.batch[1:], *second.batch.histories]
    assert [x.tobytes() for x in arrays] == [x.tobytes() for x in repeated]
    assert {x.dtype.name for x in arrays} == {"float64", "int64", "bool"}
    value, saved = mind.loss(MODEL.model.params, first.batch, *MODEL.model[1:3])
    assert np.isfinite(value)
    assert mind.backward(saved).items.values.dtype == np.float64
    assert sample_pair(MODEL, user + 1).batch.negatives.tolist() != first.batch.negatives.tolist()


def test_expected_counts_agree_with_the_sampler():
    batch = sample_pair(MODEL, 0).batch
    weight = np.maximum(MODEL.counts, 1) ** 0.75
    expected = np.log(8 * weight / weight.sum())
    np.testing.assert_allclose(batch.negative_log_expected, expected[batch.negatives], rtol=1e-12)
    np.testing.assert_allclose(batch.target_log_expected, expected[batch.target], rtol=1e-12)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": "in_batch"}, "the targets of its batch of 128"),
        ({"loss": "full"}, "the whole catalogue"),
        ({"negatives": 3}, "3 draws with replacement (unigram"),
        ({"sampler": "uniform"}, "8 draws with replacement (uniform)"),
    ],
)
def test_the_text_describes_the_sampler_of_the_training(changes, words):
    made = sample_pair(change_settings(MODEL, **changes), 0)
    assert words in made.negatives
    assert len(made.batch.negatives) <= 8


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shop")
    write_shop(folder)
    settings = {"steps": 5, "width": 8, "window": 6, "backend": "numpy", "logits": "per_call"}
    source = Source.of(folder / "shop.inter")
    config = Config.of("mind", {**settings, "user_features": ("age",)})
    plan = TrainingPlan(config, source, "leave_last_out", run=folder / "run")
    trainer = Trainer(plan, source.read())
    trainer.create()
    trainer.train()
    return folder / "run"


def test_a_run_directory_opens_with_its_titles(run):
    study_model = open_study_model(run)
    log = make_synthetic_log(users=60, items=120).log
    assert study_model.name.startswith("mind, run run of shop")
    assert study_model.titles == list(log.titles)
    servable = ServableItems.of(study_model.model.catalogue).select(log.interactions)
    assert study_model.histories.values.tolist() == servable.values.tolist()
    assert len(servable.values) < len(log.interactions.values), "some items are untrained"
    feature, groups = log.item_features[0], study_model.groups
    assert groups.names[groups.of_item[0]] == feature.values[feature.codes.values[0]]
    config = study_model.model.config
    assert (config.dtype, config.logits) == ("float64", "keyed")
    made = sample_pair(study_model, choose_user(study_model, "longest").user)
    assert made.batch.histories.mask.all()  # more behaviours than the window: the last ones
    assert len(made.batch.negatives) == 16
    assert np.isfinite(mind.loss(study_model.model.params, made.batch, *study_model.model[1:3])[0])


def test_row_weights_of_an_item_sum_to_one_in_float64(run):
    served = ServedModel.load(run)
    assert served.model.catalogue.weights.dtype == np.float32
    rows = served.model.catalogue.rows[:, :1].repeat(4, axis=1)
    thirds = np.full(rows.shape, 1 / 3, np.float32)
    thirds[:, 3] = 0
    model = served.model._replace(catalogue=Catalogue(rows, thirds))
    assert np.abs(model_to_float64(model).catalogue.weights.sum(axis=1) - 1).max() < 1e-15


def test_a_moved_log_is_read_from_its_new_path(run, tmp_path):
    write_shop(tmp_path)
    here, there = open_study_model(run), open_study_model(run, tmp_path / "shop.inter")
    assert there.histories.values.tolist() == here.histories.values.tolist()
    with pytest.raises(DataError, match=r"nothing\.inter: expected a file or a folder"):
        open_study_model(run, tmp_path / "nothing.inter")


def test_a_folder_without_a_run_raises(tmp_path):
    with pytest.raises(RunError, match="a run directory"):
        open_study_model(tmp_path)
