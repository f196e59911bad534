"""Facts of config.json of wrong types are errors."""

import pytest

from mindref.run.metadata import check_facts

TRAINING = {
    "run": "/run", "model": "0a", "split": "none", "log": "1b", "interactions": 3,
    "last_time": None, "seed": 2**63 - 1,  # the largest seed of a run
}  # fmt: skip
START = {
    "run": "/run", "model": "0a", "step": 4, "items": 2, "new_items": 1,
    "trained_items": 2, "left_out_items": 0, "trained_on": [TRAINING],
}  # fmt: skip
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
    "start_from": START,
}


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("item_features", {"kind": ["a"]}, "expected item features as in sizes, got 1 values"),
        ("item_features", {"kind": ["a", 2]}, r"kind\[1\]: expected a text, got 2"),
        ("last_time", float("nan"), "expected a finite number, got nan"),
        ("start_from", {**START, "step": -1}, "step: expected an int"),
        ("start_from", {**START, "trained_on": [{**TRAINING, "seed": 2**63}]},
         r"trained_on\[0\]: seed: expected an integer from 0 to 2\^63 - 1"),
    ],
)  # fmt: skip
def test_facts_of_a_start_have_their_types(name, value, message):
    check_facts(RUN_FACTS)
    with pytest.raises(ValueError, match=f"^{name}: {message}"):
        check_facts({**RUN_FACTS, name: value})
