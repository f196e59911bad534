from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.data.synthetic import synthetic, write_log
from mindref.errors import DataError, RunError
from mindref.models import mind
from mindref.models.parameters import Catalogue, flatten
from mindref.models.serving import interests, item_matrix
from mindref.recommender.run import Trainer
from mindref.recommender.served import Served
from mindref.run import checkpoint
from mindref.run.source import Source
from mindref.study.worlds import making, rules
from mindref.study.worlds.film_club import GROUPS, PER_GROUP
from mindref.study.worlds.world import (
    BUILT_IN,
    World,
    choose,
    exact,
    open_built_in,
    open_world,
    pair,
)

WORLD = open_world()


def with_config(world: World, **changes: object) -> World:
    config = dataclasses.replace(world.model.config, **changes)
    return world._replace(model=world.model._replace(config=config))


def with_rows(rows: list[list[int]]) -> World:
    some = slice(len(rows))
    names = WORLD.user_ids[some]
    return WORLD._replace(histories=Ragged.of(rows), profiles=WORLD.profiles[some], user_ids=names)


def test_the_built_in_world_is_whole() -> None:
    users, items = len(WORLD.user_ids), GROUPS * PER_GROUP
    assert (users, len(WORLD.histories), len(WORLD.profiles)) == (300, 300, 300)
    assert len(WORLD.item_ids) == len(set(WORLD.titles)) == len(WORLD.counts) == items
    assert WORLD.groups is not None
    assert np.bincount(WORLD.groups.of_item).tolist() == [PER_GROUP] * GROUPS
    assert "The Silent Witness" in WORLD.titles
    arrays = [*flatten(WORLD.model.params).values(), WORLD.model.catalogue.weights]
    assert {x.dtype.name for x in arrays} == {"float64"}
    single = open_built_in("single")
    assert (single.model.config.interests, single.titles) == (1, WORLD.titles)
    assert single.histories.values.tobytes() == WORLD.histories.values.tobytes()


@pytest.mark.slow
def test_it_is_what_training_makes(tmp_path: Path) -> None:
    """The log is the same to the byte; another BLAS sums products in another order.

    Three kernels of OpenBLAS (Haswell, SkylakeX, Nehalem) differ by 3e-15 of the largest number of
    an array; 1e-9 leaves room for another exp, and is far below what one step more changes.
    """
    making.write(tmp_path)
    names = {path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {path.relative_to(BUILT_IN) for path in BUILT_IN.rglob("*") if path.is_file()}
    for name in names:
        if name.name == checkpoint.MODEL:
            here, words = checkpoint.load_arrays(BUILT_IN / name)
            there, again = checkpoint.load_arrays(tmp_path / name)
            assert words == again
            for key, x in here.items():
                np.testing.assert_allclose(there[key], x, rtol=0, atol=1e-9 * abs(x).max())
        else:
            assert (tmp_path / name).read_bytes() == (BUILT_IN / name).read_bytes(), name


def test_it_is_small_and_names_no_machine() -> None:
    files = [path for path in BUILT_IN.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 60_000
    for path in files:
        assert b"/" + b"home" not in path.read_bytes()
        assert str(Path.cwd()).encode() not in path.read_bytes()


def test_it_opens_without_compiling_anything() -> None:
    script = """
import sys
from mindref.study.worlds.world import choose, open_world, pair
world = open_world()
pair(world, choose(world, "wrong").user)
print([name for name in ("numba", "scipy", "rich", "matplotlib") if name in sys.modules])
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_model_finds_the_shelves() -> None:
    """What is looked at has something to show: most interests are of one shelf."""
    assert WORLD.groups is not None
    users = np.arange(len(WORLD.user_ids))
    known, _ = rules.before_last(WORLD, users)
    found = interests(WORLD.model, known, WORLD.profiles, couplings=True)
    assert found.couplings is not None
    owner = found.couplings.argmax(axis=2)
    shelf = WORLD.groups.of_item[found.history]
    shares = [
        np.bincount(shelf[u][mine]).max() / mine.sum()
        for u in users
        for k in range(4)
        if (mine := found.mask[u] & (owner[u] == k)).sum() > 1
    ]
    assert np.mean(shares) > 0.8


@pytest.mark.parametrize("rule", rules.RULES)
def test_a_rule_chooses_the_same_user_and_says_why(rule: str) -> None:
    first, second = choose(WORLD, rule), choose(WORLD, rule)
    assert first == second
    assert any(letter.isdigit() for letter in first.rule)


def test_the_rules_of_length_choose_by_length() -> None:
    world = with_rows([[1, 2], [1, 2, 3, 4, 5], [1, 2, 3, 4], [4, 3, 2, 1], [1, 2, 3]])
    assert choose(world, "longest") == (1, "the longest history of all, 5 behaviours")
    assert choose(world, "median").user == 2
    assert choose(world, "median").rule.endswith("of the median length, 4 behaviours")


def test_separation_is_that_of_the_vectors() -> None:
    most, least = choose(WORLD, "most-separated").user, choose(WORLD, "least-separated").user
    found = rules.served(WORLD, np.array([most, least]))
    for vectors, active, rule in zip(found.vectors, found.active, ("most", "least"), strict=True):
        assert active.all()
        cosines = np.corrcoef(vectors) * 0  # by hand, pair by pair
        for j in range(4):
            for k in range(4):
                lengths = np.linalg.norm(vectors[j]) * np.linalg.norm(vectors[k])
                cosines[j, k] = vectors[j] @ vectors[k] / lengths
        mean = cosines[np.triu_indices(4, 1)].mean()
        assert choose(WORLD, f"{rule}-separated").rule.endswith(f"mean cosine {mean:.3f}")
    others = rules.measured(WORLD, np.flatnonzero(WORLD.histories.lengths >= 3))
    assert others[1].min() < 0.1 < 0.6 < others[1].max()


def test_the_wrong_one_is_wrong() -> None:
    user = choose(WORLD, "wrong").user
    known, target = rules.before_last(WORLD, np.array([user]))
    found = interests(WORLD.model, known, WORLD.profiles[[user]])
    scores = (found.vectors[0][found.active[0]] @ item_matrix(WORLD.model).T).max(axis=0)
    scores[known.values] = -np.inf
    place = np.argsort(-scores, kind="stable").tolist().index(target[0])
    assert place >= rules.TOP
    assert f"at place {place + 1} of 60" in choose(WORLD, "wrong").rule


def test_of_very_many_users_some_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST", 50)
    assert "of 50 users, drawn from 300" in choose(WORLD, "most-separated").rule
    assert choose(WORLD, "wrong") == choose(WORLD, "wrong")


def test_a_user_is_chosen_by_id() -> None:
    user = choose(WORLD, "member-007").user
    assert WORLD.user_ids[user] == "member-007"
    named = WORLD._replace(user_ids=["longest", *WORLD.user_ids[1:]])
    assert choose(named, "user:longest").user == 0
    assert choose(named, "longest").user != 0


def test_an_unknown_user_is_met_with_the_three_closest() -> None:
    with pytest.raises(DataError, match=r"one of the 300 users, got 'membr-042'") as error:
        choose(WORLD, "membr-042")
    assert str(error.value).count("member-") == 3
    assert "member-042" in str(error.value)
    with pytest.raises(DataError, match=r"user member-001: expected at least two behaviours"):
        choose(with_rows([[3]]), "member-001")
    with pytest.raises(DataError, match=r"one with 3 behaviours, got none"):
        choose(with_rows([[3]]), "median")


def test_a_pair_is_the_same_each_time_and_can_be_learned_from() -> None:
    user = choose(WORLD).user
    first, second = pair(WORLD, user), pair(WORLD, user)
    row = WORLD.histories.row(user)
    histories = first.batch.histories
    assert histories.items[histories.mask].tolist() == row[:-1].tolist()
    assert first.batch.target.tolist() == [row[-1]]
    assert len(first.batch.negatives) == 8
    arrays = [x for x in (*first.batch[1:], *histories)]
    same = [x for x in (*second.batch[1:], *second.batch.histories)]
    assert [x.tobytes() for x in arrays] == [x.tobytes() for x in same]
    assert {x.dtype.name for x in arrays} == {"float64", "int64", "bool"}
    value, saved = mind.loss(WORLD.model.params, first.batch, *WORLD.model[1:])
    assert np.isfinite(value)
    assert mind.backward(saved).items.values.dtype == np.float64
    assert pair(WORLD, user + 1).batch.negatives.tolist() != first.batch.negatives.tolist()


def test_expected_counts_are_those_of_the_draws() -> None:
    batch = pair(WORLD, 0).batch
    weight = np.maximum(WORLD.counts, 1) ** 0.75
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
def test_other_samplers_are_said_to_be_others(changes: dict[str, object], words: str) -> None:
    made = pair(with_config(WORLD, **changes), 0)
    assert words in made.negatives
    assert len(made.batch.negatives) <= 8


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    write_log(synthetic(users=60, items=120), folder)
    settings = {"steps": 5, "width": 8, "window": 6, "backend": "numpy", "logits": "per_call"}
    source = Source.of(folder / "shop.inter")
    config = Config.of("default", {**settings, "user_features": ("age",)})
    trainer = Trainer(source, source.read(), "leave_last_out", config, folder / "run")
    trainer.create()
    trainer.go()
    return folder / "run"


def test_a_run_directory_opens_with_its_own_titles(run: Path) -> None:
    world = open_world(run)
    log = synthetic(users=60, items=120).log
    assert log.titles is not None
    assert world.name == "run"
    assert world.titles == list(log.titles)
    assert world.histories.values.tolist() == log.events.values.tolist()
    assert world.groups is not None
    assert (
        world.groups.names[world.groups.of_item[0]]
        == log.item_features[0].values[log.item_features[0].codes.values[0]]
    )
    config = world.model.config
    assert (config.dtype, config.logits) == ("float64", "keyed")
    made = pair(world, choose(world, "longest").user)
    assert made.batch.histories.mask.all()  # more behaviours than the window: the last ones
    assert len(made.batch.negatives) == 16
    assert np.isfinite(mind.loss(world.model.params, made.batch, *world.model[1:])[0])


def test_the_shares_of_an_item_add_up_in_float64_whatever_the_run_was_trained_in(run: Path) -> None:
    served = Served.load(run)
    assert served.model.catalogue.weights.dtype == np.float32
    rows = served.model.catalogue.rows[:, :1].repeat(4, axis=1)
    thirds = np.full(rows.shape, 1 / 3, np.float32)
    thirds[:, 3] = 0
    model = served.model._replace(catalogue=Catalogue(rows, thirds))
    assert np.abs(exact(model).catalogue.weights.sum(axis=1) - 1).max() < 1e-15


def test_a_log_that_has_moved_is_named(run: Path, tmp_path: Path) -> None:
    write_log(synthetic(users=60, items=120), tmp_path)
    here, there = open_world(run), open_world(run, tmp_path / "shop.inter")
    assert there.histories.values.tolist() == here.histories.values.tolist()
    with pytest.raises(DataError, match="--data"):
        open_world(run, tmp_path / "nothing.inter")


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="a run directory"):
        open_world(tmp_path)
