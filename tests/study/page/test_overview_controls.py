"""The controls of the overview: sliders, play, pointer, touch, screen reader, print."""

import numpy as np
import pytest

from mindref.models.mind import item_vectors
from mindref.study.models.study_model import choose_user
from mindref.study.models.user_rules import split_last
from tests.study.page.test_overview import MODEL, SHOWN, USERS, assert_equal_to, reference

pytestmark = pytest.mark.slow

MOVE = """([id, value]) => { const x = document.getElementById(id); x.value = value;
  x.dispatchEvent(new Event('input')) }"""
PICTURE = "#tab svg.picture"


def position(reader):
    return reader.page.input_value("#picture-position")


@pytest.mark.parametrize("number", range(len(USERS)))
def test_the_sliders_route_again_while_they_move(overview, number):
    at = 5
    overview.at(view="overview", picture=f"{number}/{at}")
    now = {}
    for name, value in (("scale", 1.7), ("sigma", 1.25), ("interests", 2), ("sigma", 0.25)):
        overview.page.evaluate(MOVE, [f"picture-{name}", value])
        now[name] = value
        expected = reference(
            USERS[number], at, now.get("interests"), now.get("sigma", 0.5) / 0.5, now["scale"]
        )
        assert_equal_to(overview.page.evaluate(SHOWN), *expected)
    overview.page.click("#picture-restore")
    assert_equal_to(overview.page.evaluate(SHOWN), *reference(USERS[number], at))


def test_the_slider_goes_past_the_iterations_of_the_model(overview):
    labels = []
    for at in range(9):
        overview.page.evaluate(MOVE, ["picture-position", at])
        labels.append(overview.page.inner_text("#tab .controls output"))
        assert overview.page.get_attribute("#picture-position", "aria-valuetext") == labels[-1]
    assert labels[0] == "before iteration 1 of 8"
    assert [text for text in labels if "the model stops here" in text] == [labels[3]]
    assert [text for text in labels if "past the model" in text] == labels[4:]
    further = overview.page.inner_text("#picture-further")
    assert overview.page.query_selector("#picture-start") is None
    assert further.startswith("The model stops at 3. Iterations 4 to 8 show where routing would go")


def in_other_genre(rule, iterations):
    """Return how many films give their largest weight to an interest of another genre."""
    history, _ = split_last(MODEL, np.array([choose_user(MODEL, rule).user]))
    genres = MODEL.groups.of_item[history.values[-MODEL.model.config.window :]]
    owner = reference(rule, iterations)[0].argmax(axis=1)
    return sum((owner == k).sum() - np.bincount(genres[owner == k]).max() for k in np.unique(owner))


@pytest.mark.parametrize(("number", "films"), [(0, 20), (1, 14)])
def test_the_text_states_what_the_further_iterations_do(overview, number, films):
    overview.at(view="overview", picture=f"{number}/3")
    first, last = (reference(USERS[number], at)[0].argmax(axis=1) for at in (3, 8))
    moved = int((first != last).sum())
    text = overview.page.inner_text("#picture-further")
    assert f"{moved} film" in text
    before, after = (in_other_genre(USERS[number], at) for at in (3, 8))
    assert (
        f"fter iteration 3, {before} of {films} films give their largest weight to an interest of"
        f" another genre; after iteration 8, {after} of {films}. The genre of an interest is"
    ) in text


def test_the_text_names_the_hard_case(overview):
    overview.at(view="overview", picture="1/3")
    text = overview.page.inner_text("#picture-further")
    assert "3 iterations are not enough for this user: after iteration 3, 4 of 14 films" in text
    overview.at(view="overview", picture="1/2")
    assert "This user is a hard case" in overview.page.inner_text("#picture-start")
    for at in (2, 3):
        overview.at(view="overview", picture=f"0/{at}")
        assert "not enough" not in overview.page.inner_text("#tab .notes")


def test_before_the_last_iteration_of_the_model_the_text_states_what_to_do(overview):
    for at in (0, 1, 2):
        overview.page.evaluate(MOVE, ["picture-position", at])
        text = overview.page.inner_text("#tab .notes")
        assert text.startswith("Press Play, or move the slider of the iteration.")
        assert "Iterations 4 to 8" not in text


def test_the_page_states_why_the_weights_change(overview):
    text = overview.page.inner_text("#tab .why")
    assert "The agreement of vote and capsule is then added to the logit" in text
    assert "each film divides a weight of 1 among the interests" in text
    overview.page.evaluate(MOVE, ["picture-position", 1])
    caption = overview.page.inner_text("#tab figcaption")
    assert "these weights, still those of the random logits, made these arrows" in caption
    for at in (2, 3, 8):
        overview.page.evaluate(MOVE, ["picture-position", at])
        caption = overview.page.inner_text("#tab figcaption")
        assert caption.startswith(f"Iteration {at}: these weights made these arrows. Interest 1")


def test_no_text_calls_a_weight_a_vote(overview):
    for place in ({"picture": "0/2"}, {"picture": "0/2/1"}, {"view": "pictures"}):
        overview.at(**{"view": "overview"} | place)
        text = overview.page.inner_text("#tab").lower()
        for wrong in ("one vote", "its vote among", "of its vote", "whole vote", "next vote"):
            assert wrong not in text, place


def mean_best_cosine(rule, iterations, interests=None):
    """Return the mean over films of the largest cosine between the vote and a capsule."""
    history, _ = split_last(MODEL, np.array([choose_user(MODEL, rule).user]))
    params, catalogue, config, _ = MODEL.model
    vectors, _ = item_vectors(params, history.values[-config.window :], catalogue)
    capsules = reference(rule, iterations, interests)[1]
    unit = [x / np.linalg.norm(x, axis=1)[:, None] for x in (vectors @ params.bilinear.T, capsules)]
    return (unit[0] @ unit[1].T).max(axis=1).mean()


def test_one_interest_is_one_arrow_that_no_iteration_changes(overview):
    overview.page.evaluate(MOVE, ["picture-position", 8])
    overview.page.evaluate(MOVE, ["picture-interests", 1])
    shown = overview.page.evaluate(SHOWN)
    assert len(shown["capsules"]) == 1
    text = overview.page.inner_text("#picture-single")
    assert text.startswith("K = 1: all weights are 1, so no iteration changes anything.")
    assert "the direction of the sum of all votes. After iteration 3," in text
    assert "One vector is not enough for several tastes" in text
    low, high = (float(text.partition(start)[2][:4]) for start in ("vector is ", "interest is "))
    assert low < 0.5 < 0.9 < high
    wanted = [mean_best_cosine(USERS[0], 3, interests) for interests in (1, None)]
    assert [low, high] == pytest.approx(wanted, abs=0.0051)
    assert "all weights are 1" in overview.page.inner_text("#tab figcaption")
    arrow = shown["capsules"]
    overview.page.evaluate(MOVE, ["picture-position", 1])
    assert np.allclose(overview.page.evaluate(SHOWN)["capsules"], arrow, rtol=0, atol=1e-12)


def test_sliders_name_what_they_change(overview):
    names = overview.page.eval_on_selector_all(
        "#tab .setting label", "all => all.map(x => x.textContent.trim())"
    )
    assert names == [
        "K: number of interests", "sigma: spread of the random initial logits",
        "scale of S: multiplies all votes",
    ]  # fmt: skip
    assert overview.page.inner_text("#picture-restore") == "Reset to the model's settings"


def test_equal_initial_logits_separate_no_interest(overview):
    overview.page.evaluate(MOVE, ["picture-sigma", 0])
    assert "All interests are equal" in overview.page.inner_text("#tab .notes")
    overview.page.evaluate(MOVE, ["picture-sigma", 0.5])
    assert "All interests are equal" not in overview.page.inner_text("#tab .notes")


WATCH = """() => { const row = document.querySelector('#tab .bars tr[data-film="0"]');
  window.seen = [];
  new MutationObserver(() => window.seen.push(row.dataset.weights))
    .observe(row, {attributes: true, attributeFilter: ['data-weights']}) }"""


@pytest.mark.parametrize("motion", ["reduce", "no-preference"])
def test_play_moves_to_the_last_iteration(opened, default_file, motion):
    page = opened(default_file, "#view=overview&picture=0/5", reduced_motion=motion).page
    page.evaluate(WATCH)
    page.click("#picture-play")
    page.wait_for_selector("#tab .controls output:has-text('iteration 8')")
    page.wait_for_selector("#picture-play:has-text('Play')")
    whole = [reference(USERS[0], at)[0][0] for at in (5, 6, 7, 8)]
    between = [
        text for text in page.evaluate("window.seen")
        if min(np.abs(np.array(text.split(" "), float) - w).max() for w in whole) > 1e-12
    ]  # fmt: skip
    assert bool(between) == (motion == "no-preference")
    assert page.inner_text("#live").startswith("Iteration 8: ")
    assert "picture=0%2F8" in page.url


def test_play_starts_again_at_the_end_and_can_be_stopped(opened, default_file):
    reader = opened(default_file, "#view=overview&picture=0/8", reduced_motion="reduce")
    reader.page.click("#picture-play")
    reader.page.wait_for_selector("#tab .controls output:has-text('iteration 2')")
    reader.page.click("#picture-play")
    assert "Play" in reader.page.inner_text("#picture-play")
    assert 2 <= int(position(reader)) < 8


@pytest.mark.parametrize("way", ["hover", "tap"])
def test_a_film_shows_its_title_and_weights(opened, default_file, way):
    touch = {"has_touch": True, "is_mobile": True, "viewport": {"width": 400, "height": 800}}
    reader = opened(default_file, "#view=overview&picture=0/3", **(touch if way == "tap" else {}))
    film = reader.page.locator("#tab .film[data-film='7']")
    film.scroll_into_view_if_needed()
    assert not reader.page.is_visible("#tab .tip")
    getattr(film, way)(force=True)
    text = reader.page.inner_text("#tab .tip")
    weights = reference(USERS[0], 3)[0][7]
    assert film.get_attribute("aria-label").startswith(text.splitlines()[0])
    assert all(f"interest {k + 1}: {w:.2f}" in text for k, w in enumerate(weights))


def test_the_text_alternative_changes_with_the_position(overview):
    texts = []
    for at in (0, 1, 3, 8):
        overview.page.evaluate(MOVE, ["picture-position", at])
        texts.append(overview.page.get_attribute(PICTURE, "aria-label"))
        assert texts[-1] == overview.page.inner_text("#tab figcaption")
    assert len(set(texts)) == 4
    assert "Interest 1 has the largest weight of 4 space films and 1 western. Interest" in texts[2]
    assert "6 thrillers and 1 detective story." in texts[2]
    overview.page.dispatch_event("#picture-position", "change")
    assert overview.page.inner_text("#live") == texts[-1]


def test_the_menu_states_why_a_user_is_shown(overview):
    options = overview.page.eval_on_selector_all("#picture-user option", "x => x.map(y => y.text)")
    assert options == [
        "member-109: most separated interests", "member-005: history of median length"
    ]  # fmt: skip
    heading = "One user, several tastes: how MIND finds them"
    assert overview.page.inner_text("#tab h2") == heading
    assert overview.page.query_selector("#traced") is None
    overview.page.select_option("#picture-user", "1")
    assert overview.page.inner_text("#tab h2") == heading
    assert "All other tabs show the numbers of member-109" in overview.page.inner_text("#traced")
    assert overview.page.evaluate("document.activeElement.id") == "picture-user"


def test_a_link_restores_the_picture(overview):
    overview.at(view="overview", picture="1/4/2/1/1.5")
    before = overview.page.evaluate(SHOWN)
    assert_equal_to(before, *reference("median", 4, 2, 2.0, 1.5))
    overview.reload()
    assert overview.page.evaluate(SHOWN) == before
    overview.at(view="overview", picture="9/99/-3/x")
    assert overview.page.inner_text("#picture-user option:checked").startswith("member-109")


def test_the_overview_leads_to_the_numbers(overview):
    overview.page.click("text=See the numbers of iteration 1")
    assert overview.step() == "routing[1].weights"


def test_a_print_has_the_picture_in_its_colours(overview):
    overview.at(view="overview", picture="1/5")
    before = overview.page.evaluate(SHOWN)
    overview.page.emulate_media(media="print")
    for gone in ("#picture-play", "#picture-sigma", "#picture-user", "#views"):
        assert not overview.page.is_visible(gone), gone
    for kept in (PICTURE, "#tab .bars", "#tab figcaption"):
        assert overview.page.is_visible(kept), kept
    adjust = "x => getComputedStyle(x).printColorAdjust"
    for part in (f"{PICTURE} .film-shape", "#tab .bars .part"):
        assert overview.page.eval_on_selector(part, adjust) == "exact"
    assert overview.page.pdf().startswith(b"%PDF")
    assert overview.page.evaluate(SHOWN) == before
