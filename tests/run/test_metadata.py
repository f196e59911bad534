"""Facts of config.json of wrong types are errors."""

import pytest

from mindref.run.metadata import check_din_facts, check_facts

FACTS = {"recall": {"run": "/run", "model": "0a"}, "log": "1b", "items": "2c"}


@pytest.mark.parametrize(
    "change",
    [
        {"recall": {"run": 1, "model": "0a"}},
        {"recall": {"run": "/run", "model": None}},
        {"log": 1},
        {"items": []},
    ],
)
def test_din_facts_must_be_texts(change):
    check_din_facts(FACTS)
    with pytest.raises(ValueError, match="recall run, log and items that are no texts"):
        check_din_facts({**FACTS, **change})


RUN_FACTS = {
    "source": {"place": "memory", "options": {}},
    "protocol": "none",
    "exclude_seen": True,
    "sizes": {"items": 3, "item_rows": 5, "profile_rows": 0, "profile_features": 0},
    "user_features": {},
    "item_features": {"kind": ["a", "b"]},
    "log": "1b",
    "items": "2c",
    "last_time": -3.5,
    "start_from": {"run": "/run", "model": "0a", "step": 4, "items": 2, "new_items": 1},
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("item_features", {"kind": ["a"]}, "1 values of item features, not as sizes has them"),
        (
            "item_features",
            {"kind": ["a", 2]},
            "values of the item feature 'kind' that are no texts",
        ),
        ("last_time", "now", "last_time is 'now'"),
        ("last_time", float("nan"), "last_time is nan"),
        ("start_from", {**RUN_FACTS["start_from"], "step": -1}, "start_from is "),
        ("start_from", {**RUN_FACTS["start_from"], "run": 1}, "start_from is "),
    ],
)
def test_facts_of_a_start_have_their_types(name, value, message):
    check_facts(RUN_FACTS)
    with pytest.raises(ValueError, match=message):
        check_facts({**RUN_FACTS, name: value})
