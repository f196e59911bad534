from __future__ import annotations

import importlib.util
import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError
from mindref.models.serving import interests, item_matrix
from mindref.study.case import controls
from mindref.study.case import plot as case_plot
from mindref.study.case import study as module
from mindref.study.case.study import (
    CaseStudy,
    case_study,
    check_path,
    open_worlds,
    strip,
    write,
)
from mindref.study.worlds.rules import before_last
from mindref.study.worlds.world import World, choose, open_built_in

WORLD, SINGLE = open_worlds(None)
assert SINGLE is not None
STUDY = case_study(WORLD, SINGLE, top=10)

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


def changed(world: World, **changes: Any) -> World:
    config = replace(world.model.config, **changes)
    return world._replace(model=world.model._replace(config=config))


def user_of(study: CaseStudy, at: int) -> int:
    return list(WORLD.user_ids).index(study.users[at].user)


@pytest.mark.parametrize("at", [0, 1])
def test_couplings_are_those_of_serving(at: int) -> None:
    shown, user = STUDY.users[at], user_of(STUDY, at)
    known, target = before_last(WORLD, np.array([user]))
    found = interests(WORLD.model, known, WORLD.profiles[[user]], couplings=True)
    assert found.couplings is not None
    kept = found.couplings[0][found.mask[0]][:, found.active[0]]
    np.testing.assert_allclose(np.array(shown.couplings).T, kept, rtol=1e-12)
    np.testing.assert_allclose(np.sum(shown.couplings, axis=0), 1, rtol=1e-12)
    assert shown.owners == kept.argmax(axis=1).tolist()
    assert shown.behaviours == [WORLD.titles[i] for i in known.row(0)[-20:]]
    assert shown.target == WORLD.titles[target[0]]


def test_the_users_are_those_of_the_rules() -> None:
    most, least = (choose(WORLD, rule) for rule in module.RULES)
    assert [shown.user for shown in STUDY.users] == [
        WORLD.user_ids[most.user],
        WORLD.user_ids[least.user],
    ]
    assert [shown.rule for shown in STUDY.users] == [most.rule, least.rule]


def test_a_strip_holds_the_best_unseen_items_of_its_vector() -> None:
    user = user_of(STUDY, 0)
    known, _ = before_last(WORLD, np.array([user]))
    found, items = interests(WORLD.model, known, WORLD.profiles[[user]]), item_matrix(WORLD.model)
    for vector, each in zip(found.vectors[0], STUDY.users[0].strips, strict=True):
        unseen = sorted(set(range(len(items))) - set(known.values.tolist()))
        best = sorted(unseen, key=lambda i: -float(items[i] @ vector))[:10]
        assert [item.title for item in each.items] == [WORLD.titles[i] for i in best]
        first = each.items[0]
        assert first.score == pytest.approx(items[best[0]] @ vector)
        lengths = np.linalg.norm(items[best[0]]) * np.linalg.norm(vector)
        assert first.cosine == pytest.approx(items[best[0]] @ vector / lengths)
        groups = [item.group for item in each.items]
        assert each.of_commonest == max(groups.count(name) for name in groups)
        assert -1 <= each.alike <= 1


def test_items_run_out_before_the_list_does() -> None:
    found = strip(WORLD, "all", item_matrix(WORLD.model)[3], np.arange(50), 20)
    assert len(found.items) == 10
    assert strip(WORLD, "none", item_matrix(WORLD.model)[3], np.arange(60), 20).items == []


def test_places_are_those_of_the_lists() -> None:
    whole = case_study(WORLD, SINGLE, top=60)
    for shown in whole.users:
        best: dict[str, float] = {}
        for item in (item for each in shown.strips for item in each.items):
            best[item.title] = max(item.score, best.get(item.title, -np.inf))
        assert sorted(best, key=lambda title: -best[title]).index(shown.target) == shown.place - 1
        assert shown.single is not None
        alone = [item.title for item in shown.single.items]
        assert alone.index(shown.target) == (shown.single_place or 0) - 1


def test_interests_say_more_than_behaviours_of_nobody_do() -> None:
    """What the picture shows is the user's: with groups the couplings sort, beyond chance."""
    study = case_study(WORLD, SINGLE, ["median", "longest", "most-separated"], top=10)
    own = [shown.controls.user.purity for shown in study.users]
    mixed = [shown.controls.mixed.purity for shown in study.users]
    assert None not in own + mixed
    assert np.mean(own) > np.mean(mixed) + 0.1  # type: ignore[arg-type]


def test_order_is_not_used_and_logits_are() -> None:
    for shown in STUDY.users:
        assert shown.controls.reordered < 1e-12
        assert shown.controls.lowest_grouping <= shown.controls.grouping < 1
        assert 0 < shown.controls.match < 1


def test_with_the_same_logits_a_redraw_changes_nothing() -> None:
    user = user_of(STUDY, 0)
    history = before_last(WORLD, np.array([user]))[0].values
    own = controls.routed(WORLD, history[None], WORLD.profiles[user])
    assert controls.alike(own, own).tolist() == [1]
    assert controls.matched(own, own) == pytest.approx(1)
    swapped = own._replace(couplings=own.couplings[..., ::-1], vectors=own.vectors[:, ::-1])
    assert controls.alike(own, swapped).tolist() == [1]  # interests have no order
    assert controls.matched(own, swapped) == pytest.approx(1)


def test_measures_of_a_routing_by_hand() -> None:
    couplings = np.array([[[1.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.25, 0.75]]])
    vectors = np.array([[[1.0, 0.0], [1.0, 1.0]]])
    assert WORLD.groups is not None
    one, other = (np.flatnonzero(WORLD.groups.of_item == k) for k in (0, 1))
    history = np.array([[one[0], one[1], one[2], other[0]]])
    found = controls.measures(WORLD, controls.Routed(history, couplings, vectors))
    shares = np.array([2.5, 1.5]) / 4
    assert found.largest == (1 + 1 + 0.75 + 0.75) / 4
    assert found.used == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert found.similarity == pytest.approx(1 / np.sqrt(2))
    assert found.purity == 3 / 4


def test_behaviours_of_nobody_are_distinct_items_by_popularity() -> None:
    rng = np.random.default_rng(0)
    drawn = [controls.nobody(WORLD, rng, 20) for _ in range(300)]
    assert all(len(set(each.tolist())) == 20 for each in drawn)
    often = np.bincount(np.concatenate(drawn), minlength=60)
    times = np.bincount(WORLD.histories.values, minlength=60)
    assert np.corrcoef(often, times)[0, 1] > 0.8


def test_the_same_study_twice_is_the_same_and_is_json() -> None:
    again = case_study(WORLD, SINGLE, top=10)
    assert again == STUDY
    assert json.loads(json.dumps(STUDY.to_dict(), allow_nan=False)) == STUDY.to_dict()
    assert STUDY.to_dict()["users"][0]["strips"][0]["items"][0]["title"] in WORLD.titles


def test_a_single_interest_has_no_cosine_and_no_groups_no_purity() -> None:
    study = case_study(open_built_in("single")._replace(groups=None), None, ["median"], top=5)
    (shown,) = study.users
    assert (shown.controls.user.similarity, shown.controls.user.purity) == (None, None)
    assert (shown.groups, shown.single, shown.single_place) == ([], None, None)
    table = case_plot.controls_in_words(shown)
    assert "purity" not in table
    assert "purity" in case_plot.controls_in_words(STUDY.users[0])
    assert study.notes == [module.NO_BASELINE]
    assert shown.strips[0].commonest == ""


def test_a_baseline_must_be_comparable() -> None:
    with pytest.raises(ConfigError, match="baseline x: expected one interest, got 4"):
        module.check_comparable(WORLD, WORLD, "x")
    assert SINGLE is not None
    other = SINGLE._replace(user_ids=["nobody", *SINGLE.user_ids[1:]])
    with pytest.raises(ConfigError, match="baseline x: expected the run's own log, got another"):
        module.check_comparable(WORLD, other, "x")
    module.check_comparable(WORLD, SINGLE, "x")
    assert "has the same settings" in STUDY.notes[0]
    notes = module.differences(WORLD, changed(SINGLE, steps=7, sigma=0.25))
    assert "sigma 0.25 instead of 0.5" in notes[0]
    assert "steps 7 instead of 400" in notes[0]


def test_what_cannot_be_shown_is_refused() -> None:
    with pytest.raises(DataError, match="the closest are"):
        case_study(WORLD, SINGLE, ["member-7"])
    for rules, top in (([], 10), (["median"], 0)):
        with pytest.raises(ConfigError, match="case study"):
            case_study(WORLD, SINGLE, rules, top)


@pytest.mark.parametrize("name", ["x.pdf", "x", "x.svgz"])
def test_an_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"ending in .svg or .png or .json"):
        check_path(Path(name))


def test_without_matplotlib_it_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'mindref\[plot\]', or write .json"):
        write(tmp_path / "x.svg", STUDY)
    write(tmp_path / "x.json", STUDY)
    assert json.loads((tmp_path / "x.json").read_text()) == STUDY.to_dict()


@needs_matplotlib
@pytest.mark.parametrize("ending", [".svg", ".png"])
@pytest.mark.slow
def test_a_picture_is_the_same_to_the_byte(ending: str, tmp_path: Path) -> None:
    first, second = tmp_path / f"a{ending}", tmp_path / f"b{ending}"
    write(first, STUDY)
    write(second, STUDY)
    assert first.read_bytes() == second.read_bytes()
    starts = {".svg": b"<?xml", ".png": b"\x89PNG"}
    assert first.read_bytes().startswith(starts[ending])
    assert b"<dc:date>" not in first.read_bytes()


@needs_matplotlib
@pytest.mark.slow
def test_the_picture_says_who_why_and_what_the_controls_are(tmp_path: Path) -> None:
    write(tmp_path / "x.svg", STUDY)
    words = letters(tmp_path / "x.svg")
    for shown in STUDY.users:
        assert f"user {shown.user}: {shown.rule}"[:60] in words
        for title in shown.behaviours:
            assert case_plot.cut(title) in words
        assert f"by the single vector at {shown.single_place}" in words.replace("\n", " ")
        assert f"{shown.couplings[0][0]:.2f}" in words
    assert "as many behaviours of nobody, mean of 20" in words


HOSTILE = ["$x^2$", "</script><b>&", "a\nb\tc", "‮abc", "电影", "x" * 300, " "]


@needs_matplotlib
def test_hostile_titles_are_text(tmp_path: Path) -> None:
    shown = STUDY.users[0]
    behaviours = (HOSTILE * 9)[: len(shown.behaviours)]
    write(tmp_path / "x.svg", replace(STUDY, users=[replace(shown, behaviours=behaviours)]))
    words = letters(tmp_path / "x.svg")
    for title in ("$x^2$", "</script><b>&", "a b c", "电影"):
        assert title in words
    assert "‮" not in words


@needs_matplotlib
def test_long_histories_get_dots_for_digits(tmp_path: Path) -> None:
    shown = STUDY.users[0]
    long = replace(
        shown,
        behaviours=shown.behaviours * 3,
        groups=shown.groups * 3,
        owners=shown.owners * 3,
        couplings=[row * 3 for row in shown.couplings],
        single=None,
        single_place=None,
    )
    write(tmp_path / "x.svg", replace(STUDY, users=[long]))
    words = letters(tmp_path / "x.svg")
    assert "single vector" not in words
    digits: Callable[[str], bool] = lambda word: word == f"{shown.couplings[0][0]:.2f}"  # noqa: E731
    assert not any(map(digits, words.split("\n")))


def letters(path: Path) -> str:
    """Return the text of an SVG, a line each."""
    tags = ET.parse(path).getroot().iter("{http://www.w3.org/2000/svg}text")
    return "\n".join("".join(tag.itertext()) for tag in tags)
