"""Views beside the trace: summary of a user, cards of ambiguities, variants."""

import json
import re

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models import mind
from mindref.study import ambiguities, derived_views, reading_inputs, user_summary
from mindref.study.variants import find_variant, setups
from mindref.study.variants.measures import MEASURES
from tests.assertions import nonempty
from tests.study import pairs


@pytest.mark.parametrize("score", ["max", "sum"])
def test_the_list_has_the_best_items_in_order(score):
    pair = pairs.make_small_pair(0, score=score)
    summary = user_summary.summarise_user(pair)
    items, _ = mind.item_vectors(pair.params, np.arange(30), pair.catalogue)
    each = summary.v[summary.active] @ items.T
    whole = each.max(axis=0) if score == "max" else each.sum(axis=0)
    order = sorted(range(30), key=lambda item: -whole[item])[:10]
    assert [f.item for f in summary.top] == order
    np.testing.assert_allclose([f.score for f in summary.top], whole[order])
    assert [f.interest for f in summary.top] == each.argmax(axis=0)[order].tolist()


def test_entropy_and_cosine_agree_with_a_hand_computation():
    summary = user_summary.summarise_user(pairs.make_small_pair(0))._replace(
        w=np.array([[0.5, 0.5, 0], [1, 0, 0], [9, 9, 9]]),
        mask=np.array([True, True, False]),
        v=np.array([[2.0, 0], [3, 3], [7, 8]]),
        active=np.array([True, True, False]),
    )
    assert summary.entropy == pytest.approx(np.log(2) / 2)
    assert summary.cosine == pytest.approx(np.sqrt(0.5))
    assert summary.interests == 2


def test_measures_agree_with_a_hand_computation():
    ours = user_summary.summarise_user(pairs.make_small_pair(0))
    theirs = ours._replace(v=1.5 * ours.v, d_bilinear=-2 * ours.d_bilinear, top=ours.top[:4])
    numbers = {name: measure.of(ours, theirs) for name, measure in MEASURES.items()}
    assert numbers["interest_shift"] == pytest.approx((0, 0.5))
    assert numbers["gradient_cosine"] == pytest.approx((1, -1))
    assert numbers["gradient_error"] == pytest.approx((0, 3))
    assert numbers["shared"] == (10, 4)
    assert numbers["min_behaviour_sum"] == pytest.approx((1, 1))


def test_a_setup_has_its_padding_settings_and_target():
    pair = pairs.make_small_pair(0, routing_gradient="last")
    padded = setups.apply_setup(pair, find_variant("mask-after-softmax").setup).batch.histories
    assert padded.mask.shape == (1, 39)
    assert padded.mask.sum() == 9
    assert np.ptp(padded.init_logits[0, 9:]) > 0
    exact = setups.apply_setup(pair, find_variant("stop-gradient").setup)
    assert exact.config.routing_gradient == "all"
    turned = setups.apply_setup(pair, find_variant("power-before-sign").setup)
    summary = user_summary.summarise_user(turned)
    scores = summary.s[summary.active]
    assert -scores.min() > abs(scores.max())
    assert pair.batch.histories.mask.shape == (1, 9)


def test_the_other_user_has_other_items():
    pair = pairs.make_small_pair(0)
    other = setups.other_user(pair)
    assert not np.any(other.batch.histories.items == pair.batch.histories.items)
    assert other.batch.histories.items.max() < 30


CARD_PAIR = pairs.make_small_pair(0, interests=4, width=8, iterations=3)


def card(name):
    (ambiguity,) = ambiguities.compute_cards(CARD_PAIR, [name])
    return ambiguity


def result(ambiguity, reading, number=0):
    value = ambiguity.readings[reading].results[number][1]
    assert isinstance(value, float)
    return value


def test_required_cards_exist():
    wanted = {
        "softmax-index",
        "logits-at-serving",
        "count-rounding",
        "negative-score",
        "padding",
        "gradient-through-iterations",
        "counted-interactions",
        "divided-data",
        "training-targets",
    }
    assert wanted <= set(ambiguities.card_names())


def test_every_card_has_two_readings_and_one_is_that_of_mindref():
    for ambiguity in nonempty(ambiguities.compute_cards(CARD_PAIR)):
        assert len(ambiguity.readings) >= 2
        (ours,) = [reading for reading in ambiguity.readings if reading.ours]
        assert ours.rule is not None
        assert len({reading.name for reading in ambiguity.readings}) == len(ambiguity.readings)
        for reading in ambiguity.readings:
            assert [n for n, _ in reading.results] == [n for n, _ in ours.results]
            assert reading.name in ambiguity.summary
        assert re.match(r"For this user, .* (is|by|of) [\d.e+−]+ if read .*\.$", ambiguity.summary)
        json.dumps(ambiguity.to_json(), allow_nan=False)


def test_the_reading_of_mindref_equals_the_default_settings():
    default = Config()
    for row in nonempty(ambiguities.read_cards()):
        (ours,) = [reading for reading in row["reading"] if reading.get("ours")]
        assert "mutant" not in ours
        for name, value in ours.get("config", {}).items():
            assert getattr(default, name) == value, row["name"]


def test_readings_have_different_results():
    for ambiguity in nonempty(ambiguities.compute_cards(CARD_PAIR)):
        if ambiguity.name in ("score", "hard-attention"):  # this user need not show them
            continue
        values = {str(reading.results) for reading in ambiguity.readings}
        assert len(values) > 1, ambiguity.name


def test_padding_zeroed_after_softmax_has_no_effect_only_over_interests():
    ambiguity = card("padding")
    assert result(ambiguity, 0) == 0
    assert result(ambiguity, 1) < 1e-12
    assert result(ambiguity, 2) > 0.05


def test_interactions_outside_the_window_and_repeats_change_the_number_of_interests():
    items = np.array([[3, 3, 4, 5, 6, 7, 3, 4, 3]])  # in the window of 7: 5 distinct items
    histories = CARD_PAIR.batch.histories._replace(items=items)
    pair = CARD_PAIR._replace(batch=CARD_PAIR.batch._replace(histories=histories))
    (ambiguity,) = ambiguities.compute_cards(pair, ["counted-interactions"])
    assert [result(ambiguity, i) for i in range(3)] == [2, 3, 2]
    few = histories._replace(items=np.full((1, 9), 3))
    pair = pair._replace(batch=pair.batch._replace(histories=few))
    (ambiguity,) = ambiguities.compute_cards(pair, ["counted-interactions"])
    assert [result(ambiguity, i) for i in range(3)] == [2, 3, 1]
    assert ambiguity.setup == "routing receives the last 7 films"


def test_a_test_interaction_is_missing_in_the_history():
    ambiguity = card("divided-data")
    assert [result(ambiguity, i) for i in range(2)] == [9, 8]
    assert result(ambiguity, 0, 1) == 0
    assert result(ambiguity, 1, 1) > 0.01


def test_the_example_of_a_random_cut_has_a_behaviour_as_target():
    histories = CARD_PAIR.batch.histories
    pair = reading_inputs.random_cut(CARD_PAIR)
    cut = pair.batch.histories.mask.shape[1]
    assert 1 <= cut < 9
    assert pair.batch.target[0] == histories.items[0, cut]
    np.testing.assert_array_equal(pair.batch.histories.items, histories.items[:, :cut])


@pytest.mark.parametrize("name", ["divided-data", "training-targets", "counted-interactions"])
def test_a_user_with_one_behaviour_has_these_cards(name):
    pair = setups.select_behaviours(CARD_PAIR, np.array([0]))
    (ambiguity,) = ambiguities.compute_cards(pair, [name])
    assert len({str(reading.results) for reading in ambiguity.readings}) == 1


def test_keyed_logits_do_not_depend_on_the_order():
    ambiguity = card("logits-at-serving")
    assert result(ambiguity, 0) < 1e-12
    assert min(result(ambiguity, 1), result(ambiguity, 2)) > 0.01
    cosines = ambiguity.readings[0].results[1][1]
    np.testing.assert_allclose(cosines, 1)


def test_interest_counts_of_nine_behaviours():
    ambiguity = card("count-rounding")
    assert [result(ambiguity, i) for i in range(5)] == [3, 4, 3, 2, 4]


def test_the_gradient_is_compared_with_the_exact_gradient():
    ambiguity = card("gradient-through-iterations")
    assert result(ambiguity, 0, 2) == 0
    assert result(ambiguity, 1, 2) > 0.01
    assert result(ambiguity, 1, 1) < 1


def test_an_unknown_card_name_gives_a_suggestion():
    with pytest.raises(ConfigError, match="softmax-index"):
        ambiguities.compute_cards(CARD_PAIR, ["softmax-axis"])


def user(**changes):
    return pairs.make_small_pair(0, 2, **{"iterations": 3, "power": 2.0, **changes})


@pytest.mark.slow
def test_derived_views_are_json_and_reproducible():
    pair = user()
    once = json.dumps(derived_views.derive_views(pair), allow_nan=False)
    assert once == json.dumps(derived_views.derive_views(pair), allow_nan=False)
    read = json.loads(once)
    assert read["format"] == "mindref.derived-views/1"
    plain = [case["name"] for case in read["variants"] if case["reference"] is None]
    assert "softmax-over-behaviours" in plain
    assert "mask-after-softmax" not in plain


def test_lists_have_titles():
    titles = [f"Film {i}" for i in range(30)]
    read = derived_views.derive_views(user(), titles, ["no-log-q"])
    (case,) = read["variants"]
    assert all(found["title"] == f"Film {found['item']}" for found in case["variant"]["top"])
    assert read["reference"]["top"][0]["title"].startswith("Film")


@pytest.mark.parametrize(
    ("behaviours", "changes"),
    [(0, {}), (1, {}), (9, {"interests": 1}), (9, {"iterations": 1}), (9, {"hidden": ()})],
)
@pytest.mark.slow(every=5)
def test_users_with_edge_cases_have_derived_views(behaviours, changes):
    pair = user(**changes)
    histories = pair.batch.histories
    mask = np.arange(histories.mask.shape[1])[None] < behaviours
    pair = pair._replace(batch=pair.batch._replace(histories=histories._replace(mask=mask)))
    json.dumps(derived_views.derive_views(pair), allow_nan=False)
