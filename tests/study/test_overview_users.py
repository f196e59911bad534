"""The users of the overview: which, in which order, with which inputs of routing."""

from dataclasses import replace

import numpy as np
import pytest

from mindref.study.models.study_model import open_built_in_model, sample_pair
from mindref.study.models.user_rules import RULES, SHORT_NAMES
from mindref.study.overview_users import SelectedUser, make_overview, menu_text, select_users
from tests.study.page.page_pair import array

MODEL = open_built_in_model()
SINGLE = open_built_in_model("single")


def menus(rules, model=MODEL):
    return [user["menu"] for user in make_overview(model, select_users(model, rules))]


def test_every_rule_has_a_short_name():
    assert list(SHORT_NAMES) == list(RULES)


def test_rules_that_choose_the_same_user_list_the_user_once():
    selected = select_users(MODEL, ["median", "wrong", "user:member-005", "longest"])
    assert [x.rules for x in selected] == [["median", "wrong", "user:member-005"], ["longest"]]
    assert menu_text(MODEL, selected[0]) == "member-005: history of median length, missed target"
    assert menu_text(MODEL, SelectedUser(3, ["member-004"])) == "member-004"


@pytest.mark.parametrize(
    ("rules", "first"),
    [
        (
            ["median"],
            ["member-109: most separated interests", "member-005: history of median length"],
        ),
        (
            ["most-separated"],
            ["member-109: most separated interests", "member-005: history of median length"],
        ),
        (["longest"], ["member-054: longest history", "member-109: most separated interests"]),
        (["member-004"], ["member-004", "member-109: most separated interests"]),
    ],
)
def test_the_clear_case_is_first_unless_another_user_is_requested(rules, first):
    assert menus(rules)[:2] == first


def test_a_model_with_one_interest_has_no_separated_user():
    assert menus(["median"], SINGLE) == ["member-005: history of median length"]


def test_a_user_of_the_overview_has_the_inputs_of_the_trace():
    selected = select_users(MODEL, ["longest", "median"])
    users = {x["menu"]: x for x in make_overview(MODEL, selected)}
    assert [x["trace"] for x in users.values()] == [0, 1, None]
    for index, one in enumerate(selected):
        user = users[menu_text(MODEL, one)]
        batch = sample_pair(MODEL, one.user).batch
        films = batch.histories.items[0][batch.histories.mask[0]]
        logits = array(user["b"]).reshape(user["b"]["shape"])
        interests = MODEL.model.config.interests
        recorded = batch.histories.init_logits[0][batch.histories.mask[0]]
        assert np.array_equal(logits[:, :interests], recorded)
        assert logits.shape[1] == 8
        assert abs(logits[:, interests:].std() / MODEL.model.config.sigma - 1) < 0.35
        assert user["trace"] == index
        assert user["titles"] == [MODEL.titles[film] for film in films]
        assert user["e"]["shape"] == [len(films), MODEL.model.config.width]


def test_a_model_without_groups_has_no_genres():
    model = MODEL._replace(groups=None)
    assert all(
        user["groups"] == [] for user in make_overview(model, select_users(model, ["median"]))
    )


def test_the_window_limits_the_films():
    config = replace(MODEL.model.config, window=5)
    model = MODEL._replace(model=MODEL.model._replace(config=config))
    user = make_overview(model, select_users(model, ["longest"]))[0]
    assert len(user["titles"]) == user["e"]["shape"][0] == user["b"]["shape"][0] == 5
