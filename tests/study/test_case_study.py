import importlib.util
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import ConfigError, DataError
from mindref.models.serving import compute_interests, item_matrix
from mindref.study.case_study import controls
from mindref.study.case_study import numbers as module
from mindref.study.case_study import plot as case_plot
from mindref.study.case_study.numbers import (
    check_figure_path,
    make_case_study,
    make_item_list,
    open_case_models,
    write_case_study,
)
from mindref.study.models.study_model import choose_user, open_built_in_model
from mindref.study.models.user_rules import split_last
from tests.assertions import nonempty

MODEL, SINGLE = open_case_models(None)
STUDY = make_case_study(MODEL, SINGLE, top=10)

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="matplotlib is not installed"
)


CHOSEN = [choose_user(MODEL, rule) for rule in module.RULES]
USER = CHOSEN[0].user


@pytest.mark.parametrize("index", [0, 1])
def test_coupling_weights_equal_those_of_serving(index):
    shown, (user, rule) = STUDY.users[index], CHOSEN[index]
    assert (shown.user, shown.rule) == (MODEL.user_ids[user], rule)
    known, target = split_last(MODEL, np.array([user]))
    interests = compute_interests(MODEL.model, known, MODEL.profiles[[user]], couplings=True)
    couplings = interests.couplings[0][interests.mask[0]][:, interests.active[0]]
    np.testing.assert_allclose(np.array(shown.couplings).T, couplings, rtol=1e-12)
    np.testing.assert_allclose(np.sum(shown.couplings, axis=0), 1, rtol=1e-12)
    assert shown.strongest_interests == couplings.argmax(axis=1).tolist()
    assert shown.behaviours == [MODEL.titles[i] for i in known.row(0)[-20:]]
    assert shown.target == MODEL.titles[target[0]]


def test_a_list_has_the_best_unseen_items_of_its_vector():
    known, _ = split_last(MODEL, np.array([USER]))
    interests = compute_interests(MODEL.model, known, MODEL.profiles[[USER]])
    items = item_matrix(MODEL.model)
    for vector, each in zip(interests.vectors[0], STUDY.users[0].lists, strict=True):
        unseen = sorted(set(range(len(items))) - set(known.values.tolist()))
        best = sorted(unseen, key=lambda i: -float(items[i] @ vector))[:10]
        assert [item.title for item in each.items] == [MODEL.titles[i] for i in best]
        first = each.items[0]
        assert first.score == pytest.approx(items[best[0]] @ vector)
        lengths = np.linalg.norm(items[best[0]]) * np.linalg.norm(vector)
        assert first.cosine == pytest.approx(items[best[0]] @ vector / lengths)
        groups = [item.group for item in each.items]
        assert each.commonest_count == max(groups.count(name) for name in groups)
        assert -1 <= each.mean_cosine <= 1


def test_a_list_may_be_shorter_than_requested():
    short = make_item_list(MODEL, "all", item_matrix(MODEL.model)[3], np.arange(50), 20)
    assert len(short.items) == 10
    assert make_item_list(MODEL, "none", item_matrix(MODEL.model)[3], np.arange(60), 20).items == []


def test_ranks_agree_with_the_lists():
    whole = make_case_study(MODEL, SINGLE, top=60)
    for shown in nonempty(whole.users):
        best = {}
        for item in (item for each in shown.lists for item in each.items):
            best[item.title] = max(item.score, best.get(item.title, -np.inf))
        assert sorted(best, key=lambda title: -best[title]).index(shown.target) == shown.rank - 1
        alone = [item.title for item in shown.single.items]
        assert alone.index(shown.target) == (shown.single_rank or 0) - 1


def test_purity_is_larger_than_for_random_histories():
    study = make_case_study(MODEL, SINGLE, ["median", "longest", "most-separated"], top=10)
    real = [shown.controls.user.purity for shown in study.users]
    random = [shown.controls.random_history.purity for shown in study.users]
    assert None not in real + random
    assert np.mean(real) > np.mean(random) + 0.1  # type: ignore[arg-type]


def test_results_depend_on_logits_and_not_on_the_order():
    for shown in STUDY.users:
        assert shown.controls.reordered < 1e-12
        assert shown.controls.lowest_grouping <= shown.controls.grouping < 1
        assert 0 < shown.controls.match < 1


def test_equal_logits_give_equal_groupings():
    history = split_last(MODEL, np.array([USER]))[0].values
    first = controls.route_histories(MODEL, history[None], MODEL.profiles[USER])
    swapped = first._replace(couplings=first.couplings[..., ::-1], vectors=first.vectors[:, ::-1])
    for routed in (first, swapped):  # interests have no order
        assert controls.grouping_similarity(first, routed).tolist() == [1]
        assert controls.matched_cosine(first, routed) == pytest.approx(1)


def test_routing_measures_agree_with_a_hand_computation():
    couplings = np.array([[[1.0, 0.0], [1.0, 0.0], [0.25, 0.75], [0.25, 0.75]]])
    vectors = np.array([[[1.0, 0.0], [1.0, 1.0]]])
    one, other = (np.flatnonzero(MODEL.groups.of_item == k) for k in (0, 1))
    history = np.array([[one[0], one[1], one[2], other[0]]])
    measured = controls.measure_routing(
        MODEL, controls.RoutedHistories(history, couplings, vectors)
    )
    shares = np.array([2.5, 1.5]) / 4
    assert measured.largest == (1 + 1 + 0.75 + 0.75) / 4
    assert measured.effective_number == pytest.approx(np.exp(-(shares * np.log(shares)).sum()))
    assert measured.similarity == pytest.approx(1 / np.sqrt(2))
    assert measured.purity == 3 / 4


def test_random_behaviours_are_distinct_items_by_popularity():
    rng = np.random.default_rng(0)
    drawn = [controls.random_behaviours(MODEL, rng, 20) for _ in range(300)]
    assert all(len(set(each.tolist())) == 20 for each in drawn)
    often = np.bincount(np.concatenate(drawn), minlength=60)
    times = np.bincount(MODEL.histories.values, minlength=60)
    assert np.corrcoef(often, times)[0, 1] > 0.8


def test_the_case_study_is_reproducible_and_is_json():
    again = make_case_study(MODEL, SINGLE, top=10)
    assert again == STUDY
    assert json.loads(json.dumps(STUDY.to_dict(), allow_nan=False)) == STUDY.to_dict()
    assert STUDY.to_dict()["users"][0]["lists"][0]["items"][0]["title"] in MODEL.titles


def test_cosine_needs_two_interests_and_purity_needs_groups():
    ungrouped = open_built_in_model("single")._replace(groups=None)
    study = make_case_study(ungrouped, None, ["median"], top=5)
    (shown,) = study.users
    assert (shown.controls.user.similarity, shown.controls.user.purity) == (None, None)
    assert (shown.groups, shown.single, shown.single_rank) == ([], None, None)
    table = case_plot.controls_table(shown)
    assert "purity" not in table
    assert "purity" in case_plot.controls_table(STUDY.users[0])
    assert study.notes == [module.NO_SINGLE]
    assert shown.lists[0].commonest == ""


def test_the_single_vector_model_of_the_built_in_model_differs_in_one_setting():
    config, other = (x.model.config.to_dict() for x in (MODEL, SINGLE))
    assert {name for name in config if config[name] != other[name]} == {"interests"}
    assert SINGLE.item_ids == MODEL.item_ids
    assert SINGLE.user_ids == MODEL.user_ids
    assert STUDY.notes == [module.SAME_SETTINGS]


def test_invalid_users_and_list_lengths_raise():
    with pytest.raises(DataError, match="the closest are"):
        make_case_study(MODEL, SINGLE, ["member-7"])
    for rules, top in (([], 10), (["median"], 0)):
        with pytest.raises(ConfigError, match="case study"):
            make_case_study(MODEL, SINGLE, rules, top)


@pytest.mark.parametrize("name", ["x.pdf", "x", "x.svgz"])
def test_an_unknown_file_ending_raises(name):
    with pytest.raises(ConfigError, match=r"ending in .svg or .png or .json"):
        check_figure_path(Path(name))


def test_without_matplotlib_the_error_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'matplotlib>=[\d.]+', or write .json"):
        write_case_study(tmp_path / "x.svg", STUDY)
    write_case_study(tmp_path / "x.json", STUDY)
    assert json.loads((tmp_path / "x.json").read_text()) == STUDY.to_dict()


@needs_matplotlib
@pytest.mark.parametrize("ending", [".svg", ".png"])
@pytest.mark.slow
def test_figures_are_reproducible_to_the_byte(ending, tmp_path):
    for name in "ab":
        write_case_study(tmp_path / f"{name}{ending}", STUDY)
    first, second = (path.read_bytes() for path in tmp_path.iterdir())
    assert first == second
    assert first.startswith({".svg": b"<?xml", ".png": b"\x89PNG"}[ending])
    assert b"<dc:date>" not in first


def draw_text(folder, study):
    """Return the text of the SVG of a case study, a line each."""
    write_case_study(folder / "x.svg", study)
    tags = ET.parse(folder / "x.svg").getroot().iter("{http://www.w3.org/2000/svg}text")
    return "\n".join("".join(tag.itertext()) for tag in tags)


@needs_matplotlib
@pytest.mark.slow
def test_the_figure_has_users_rules_titles_and_controls(tmp_path):
    words = draw_text(tmp_path, STUDY)
    for shown in STUDY.users:
        assert f"user {shown.user}: {shown.rule}"[:60] in words
        for title in shown.behaviours:
            assert case_plot.shorten_title(title) in words
        assert f"and {shown.single_rank} for the single vector" in words.replace("\n", " ")
        assert f"{shown.couplings[0][0]:.2f}" in words
    assert "random films, mean of 20" in words


HOSTILE = ["$x^2$", "</script><b>&", "a\nb\tc", "‮abc", "电影", "x" * 300, " "]


@needs_matplotlib
def test_hostile_titles_are_drawn_as_text(tmp_path):
    shown = STUDY.users[0]
    behaviours = (HOSTILE * 9)[: len(shown.behaviours)]
    words = draw_text(tmp_path, replace(STUDY, users=[replace(shown, behaviours=behaviours)]))
    for title in ("$x^2$", "</script><b>&", "a b c", "电影"):
        assert title in words
    assert "‮" not in words


@needs_matplotlib
def test_long_histories_have_dots_instead_of_digits(tmp_path):
    shown = STUDY.users[0]
    long = replace(
        shown,
        behaviours=shown.behaviours * 3,
        groups=shown.groups * 3,
        strongest_interests=shown.strongest_interests * 3,
        couplings=[row * 3 for row in shown.couplings],
        single=None,
        single_rank=None,
    )
    words = draw_text(tmp_path, replace(STUDY, users=[long]))
    assert "single vector" not in words
    assert f"{shown.couplings[0][0]:.2f}" not in words.split("\n")
