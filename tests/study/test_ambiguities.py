"""The paper's doubtful points: the readings, ours among them, and what each comes to."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.study import ambiguities
from mindref.study.tracing import TrainingPair
from tests.study import pairs


def user() -> TrainingPair:
    return pairs.make_small_pair(0, interests=4, width=8, iterations=3)


def card(name: str) -> ambiguities.Card:
    (found,) = ambiguities.compute_cards(user(), [name])
    return found


def result(found: ambiguities.Card, reading: int, number: int = 0) -> float:
    value = found.readings[reading].results[number][1]
    assert isinstance(value, float)
    return value


def test_required_cards_exist() -> None:
    wanted = {
        "softmax-index",
        "logits-at-serving",
        "count-rounding",
        "negative-score",
        "padding",
        "gradient-through-iterations",
    }
    assert wanted <= set(ambiguities.card_names())


def test_every_card_has_two_readings_and_one_is_that_of_mindref() -> None:
    for found in ambiguities.compute_cards(user()):
        assert len(found.readings) >= 2
        (ours,) = [reading for reading in found.readings if reading.ours]
        assert ours.rule is not None
        assert len({reading.name for reading in found.readings}) == len(found.readings)
        for reading in found.readings:
            assert [n for n, _ in reading.results] == [n for n, _ in ours.results]
            assert reading.name in found.summary
        assert re.match(r"For this user, .* (is|by|of) [\d.e+-]+ if read .*\.$", found.summary)
        json.dumps(found.to_json(), allow_nan=False)


def test_the_reading_of_mindref_equals_the_default_settings() -> None:
    default = Config()
    for row in ambiguities.read_cards():
        (ours,) = [reading for reading in row["reading"] if reading.get("ours")]
        assert "mutant" not in ours
        for name, value in ours.get("config", {}).items():
            assert getattr(default, name) == value, row["name"]


def test_readings_have_different_results() -> None:
    for found in ambiguities.compute_cards(user()):
        if found.name in ("score", "hard-attention"):  # this user need not show them
            continue
        values = {str(reading.results) for reading in found.readings}
        assert len(values) > 1, found.name


def test_padding_zeroed_after_softmax_has_no_effect_only_over_interests() -> None:
    found = card("padding")
    assert result(found, 0) == 0
    assert result(found, 1) < 1e-12
    assert result(found, 2) > 0.05


def test_keyed_logits_do_not_depend_on_the_order() -> None:
    found = card("logits-at-serving")
    assert result(found, 0) < 1e-12
    assert min(result(found, 1), result(found, 2)) > 0.01
    cosines = found.readings[0].results[1][1]
    np.testing.assert_allclose(cosines, 1)


def test_interest_counts_of_nine_behaviours() -> None:
    found = card("count-rounding")
    assert [result(found, i) for i in range(5)] == [3, 4, 3, 2, 4]


def test_the_gradient_is_compared_with_the_exact_gradient() -> None:
    found = card("gradient-through-iterations")
    assert result(found, 0, 2) == 0
    assert result(found, 1, 2) > 0.01
    assert result(found, 1, 1) < 1


def test_an_unknown_card_name_gives_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="softmax-index"):
        ambiguities.compute_cards(user(), ["softmax-axis"])
