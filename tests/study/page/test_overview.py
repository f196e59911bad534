"""The picture of the overview: routing, colours, labels, and the file of the default user."""

import copy
import itertools

import numpy as np
import pytest

from mindref.models.mind import item_vectors
from mindref.models.serving import serving_logits
from mindref.ops import routing
from mindref.study.models.study_model import choose_user, open_built_in_model
from mindref.study.models.user_rules import split_last
from mindref.study.page import write_page
from tests.study.page.page_pair import array, tensors

MODEL = open_built_in_model()
USERS = ("most-separated", "median")  # in the order of the menu
ITERATIONS = 8
pytestmark = pytest.mark.slow

SHOWN = """() => {
  const numbers = text => text.split(' ').map(Number);
  const rows = [...document.querySelectorAll('#tab .bars tr[data-film]')];
  rows.sort((a, b) => a.dataset.film - b.dataset.film);
  return {
    weights: rows.map(row => numbers(row.dataset.weights)),
    capsules: [...document.querySelectorAll('#tab .arrow[data-capsule]')]
      .map(one => numbers(one.dataset.capsule)),
    fills: [...document.querySelectorAll('#tab .film')]
      .map(one => numbers(one.lastChild.getAttribute('fill').replace(/[^0-9 ]/g, ''))),
    parts: [...rows[0].querySelectorAll('.part')].map(one => getComputedStyle(one).backgroundColor),
  } }"""


def reference(rule, iterations, interests=None, sigma=1.0, scale=1.0):
    """Return weights (n, K) and capsules (K, D) of the reference; sigma, scale are factors."""
    params, catalogue, config, _ = MODEL.model
    history, _ = split_last(MODEL, np.array([choose_user(MODEL, rule).user]))
    films = history.values[None, -config.window :]
    vectors, _ = item_vectors(params, films[0], catalogue)
    logits = sigma * serving_logits(config, len(MODEL.item_ids), films)
    limit = int(routing.count_active_interests(np.array([films.size]), config.interests)[0])
    active = np.arange(config.interests)[None] < min(limit, interests or limit)
    mask = np.ones(films.shape, bool)
    capsules, saved = routing.forward(
        vectors[None], mask, scale * params.bilinear, logits, active,
        iterations=iterations, gradient="all",
    )  # fmt: skip
    return saved.couplings[0][:, active[0]], capsules[0][active[0]]


def assert_equal_to(shown, weights, capsules):
    assert np.abs(np.array(shown["weights"]) - weights).max() <= 1e-12
    assert np.abs(np.array(shown["capsules"]) - capsules).max() <= 1e-12


@pytest.mark.parametrize("number", range(len(USERS)))
def test_weights_and_capsules_equal_the_reference(overview, number):
    for position in range(1, ITERATIONS + 1):
        overview.at(view="overview", picture=f"{number}/{position}")
        shown = overview.page.evaluate(SHOWN)
        assert_equal_to(shown, *reference(USERS[number], position))


def test_weights_and_capsules_equal_the_recorded_numbers(overview, default_users):
    recorded = tensors(default_users[0].trace)
    films, active = (array(recorded[name]).sum() for name in ("mask", "active"))
    for position in range(1, 4):
        overview.at(view="overview", picture=f"0/{position}")
        w, u = (recorded[f"{name}[{position}]"] for name in "wu")
        weights = array(w).reshape(w["shape"])[:films, :active]
        capsules = array(u).reshape(u["shape"])[:active]
        assert_equal_to(overview.page.evaluate(SHOWN), weights, capsules)


def test_before_the_first_iteration_there_is_no_arrow(overview):
    shown = overview.page.evaluate(SHOWN)
    assert shown["capsules"] == []
    weights, _ = reference(USERS[0], 1)
    assert np.abs(np.array(shown["weights"]) - weights).max() <= 1e-12
    chroma = np.ptp(np.array(shown["fills"]), axis=1)
    overview.at(view="overview", picture="0/8")
    decided = np.ptp(np.array(overview.page.evaluate(SHOWN)["fills"]), axis=1)
    assert chroma.mean() < 0.4 * decided.mean(), "undecided films are nearly grey"


CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                  [0.2119034982, 0.6806995451, 0.1073969566],
                  [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
LAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def linear(rgb):
    c = np.asarray(rgb) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def to_oklab(rgb):
    return np.cbrt(linear(rgb) @ CONES.T) @ LAB.T


def to_rgb(lab):
    c = np.clip((lab @ np.linalg.inv(LAB).T) ** 3 @ np.linalg.inv(CONES).T, 0, 1)
    return 255 * np.where(c <= 0.0031308, 12.92 * c, 1.055 * c ** (1 / 2.4) - 0.055)


def colours(shown):
    return np.array([[int(x) for x in text[4:-1].split(",")] for text in shown["parts"]])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_colour_of_a_film_is_the_mixture_of_its_weights(overview, scheme):
    overview.page.emulate_media(color_scheme=scheme)
    for position in (0, 2, 8):
        overview.at(view="overview", picture=f"0/{position}")
        shown = overview.page.evaluate(SHOWN)
        mixed = to_rgb(np.array(shown["weights"]) @ to_oklab(colours(shown)))
        assert np.abs(np.array(shown["fills"]) - mixed).max() <= 1.5


# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB
DEFICIENCIES = {
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colour_blind_readers_can_distinguish_the_interests(overview, scheme):
    overview.page.emulate_media(color_scheme=scheme)
    overview.at(view="overview", picture="0/3")
    seen = linear(colours(overview.page.evaluate(SHOWN)))
    assert len(seen) == 4
    for name, matrix in DEFICIENCIES.items():
        lab = np.cbrt(np.clip(seen @ np.array(matrix).T, 0, 1) @ CONES.T) @ LAB.T
        for a, b in itertools.combinations(range(4), 2):
            assert np.linalg.norm(lab[a] - lab[b]) > 0.08, (name, a + 1, b + 1)


LABELS = """() => [...document.querySelectorAll('#tab .picture .genre')].map(one => {
  const [box, all] = [one, one.ownerSVGElement].map(x => x.getBoundingClientRect());
  return {text: one.textContent, size: parseFloat(getComputedStyle(one).fontSize)
    * all.width / one.ownerSVGElement.viewBox.baseVal.width,
    box: [box.left, box.top, box.right, box.bottom], all: [all.left, all.top, all.right,
    all.bottom]} })"""


FILMS = """() => [...document.querySelectorAll('#tab .picture .film-shape')]
  .map(one => one.getBoundingClientRect()).map(x => [x.left, x.top, x.right, x.bottom])"""


def common(x, y):
    """Return the smaller side of the common part of two boxes, in pixels; negative: apart."""
    return min(min(x[2], y[2]) - max(x[0], y[0]), min(x[3], y[3]) - max(x[1], y[1]))


@pytest.mark.parametrize("width", [400, 1024, 1400])
@pytest.mark.parametrize("number", range(len(USERS)))
def test_each_genre_has_a_label_that_covers_no_label_and_no_film(overview, width, number):
    overview.page.set_viewport_size({"width": width, "height": 800})
    overview.at(view="overview", picture=f"{number}/3")
    labels = overview.page.evaluate(LABELS)
    history, _ = split_last(MODEL, np.array([choose_user(MODEL, USERS[number]).user]))
    films = history.values[-MODEL.model.config.window :]
    genres = {MODEL.groups.names[MODEL.groups.of_item[film]] for film in films}
    assert sorted(x["text"] for x in labels) == sorted(genres)
    for x in labels:
        inside, outside = np.array(x["box"]), np.array(x["all"])
        assert (inside[:2] >= outside[:2]).all()
        assert (inside[2:] <= outside[2:]).all()
        assert x["size"] >= 14
    boxes = [x["box"] for x in labels]
    assert max(common(x, y) for x, y in itertools.combinations(boxes, 2)) <= 0
    assert max(common(x, y) for x in boxes for y in overview.page.evaluate(FILMS)) <= 3


DISCS = """() => [...document.querySelectorAll('#tab .picture .knob')].map(disc => {
  const after = [...document.querySelectorAll('#tab .picture .genre')].some(
    label => disc.compareDocumentPosition(label) & Node.DOCUMENT_POSITION_FOLLOWING);
  const box = disc.getBoundingClientRect();
  return {x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, covered: after} })"""


@pytest.mark.parametrize("width", [400, 1024, 1400])
@pytest.mark.parametrize("number", range(len(USERS)))
def test_no_label_covers_the_number_of_an_arrow(overview, width, number):
    overview.page.set_viewport_size({"width": width, "height": 800})
    for position in range(ITERATIONS + 1):
        overview.at(view="overview", picture=f"{number}/{position}")
        boxes = [x["box"] for x in overview.page.evaluate(LABELS)]
        discs = overview.page.evaluate(DISCS)
        assert bool(discs) == (position > 0)
        for disc in discs:
            centre = [disc["x"], disc["y"]] * 2
            assert not disc["covered"], "the discs are drawn after the labels"
            assert max(common(centre, box) for box in boxes) < 0, (position, disc)


def shapes_of_genres(reader, number):
    """Return the paths of the shapes of each genre of a user."""
    reader.at(view="overview", picture=f"{number}/3")
    shapes = {}
    for film in reader.page.query_selector_all("#tab .film"):
        genre = film.get_attribute("aria-label").split(". ")[0].rsplit(", ", 1)[1]
        shapes.setdefault(genre, set()).add(film.query_selector("path").get_attribute("d"))
    return shapes


def test_a_genre_has_the_same_shape_for_all_users(overview):
    shapes = {}
    for number in range(len(USERS)):
        for genre, paths in shapes_of_genres(overview, number).items():
            shapes.setdefault(genre, set()).update(paths)
    assert len(shapes) == 5
    assert all(len(paths) == 1 for paths in shapes.values())
    assert len(set.union(*shapes.values())) == len(shapes)


def test_genres_of_a_user_differ_in_shape_if_the_page_has_more_genres_than_shapes(
    opened, default_users, tmp_path
):
    derived = copy.deepcopy(default_users[0].derived)
    for number, user in enumerate(derived["overview"]):
        user["groups"] = [f"genre {(number + 1) * (k % 8)}" for k in range(len(user["titles"]))]
    path = tmp_path / "genres.html"
    write_page([default_users[0].trace], path, derived=[derived])
    reader = opened(path)
    for number in range(len(USERS)):
        shapes = shapes_of_genres(reader, number)
        assert len(shapes) == len(set.union(*shapes.values())) == 8


def test_the_text_alternative_and_titles_have_the_lengths(overview):
    for position in (1, 3):
        overview.at(view="overview", picture=f"0/{position}")
        lengths = np.linalg.norm(reference(USERS[0], position)[1], axis=1)
        text = overview.page.inner_text("#tab figcaption")
        assert text.endswith(f" The arrows are {lengths.min():.3f} to {lengths.max():.3f} long.")
        titles = overview.page.eval_on_selector_all(
            "#tab .picture title", "all => all.map(x => x.textContent)"
        )
        assert titles == [
            f"Interest {k}: the capsule u is {length:.3f} long"
            for k, length in enumerate(lengths, start=1)
        ]


SCALES = """() => { const numbers = name => [...document.querySelectorAll(`#tab ${name}`)];
  const circle = numbers('.unit-circle')[0];
  const at = name => Number(circle.getAttribute(name));
  return {zero: [at('cx'), at('cy')], unit: at('r'), spots: numbers('.film').map(
    x => x.getAttribute('transform').match(/[0-9.]+/g).map(Number))} }"""


@pytest.mark.parametrize("number", range(len(USERS)))
def test_the_legend_has_the_scale_of_the_films(overview, number):
    overview.at(view="overview", picture=f"{number}/3")
    shown = overview.page.evaluate(SCALES)
    params, catalogue, config, _ = MODEL.model
    history, _ = split_last(MODEL, np.array([choose_user(MODEL, USERS[number]).user]))
    vectors, _ = item_vectors(params, history.values[-config.window :], catalogue)
    votes = vectors @ params.bilinear.T
    _, _, axes = np.linalg.svd(votes - votes.mean(axis=0), full_matrices=False)
    lengths = np.linalg.norm(votes @ axes[:2].T, axis=1)
    drawn = np.linalg.norm(np.array(shown["spots"]) - shown["zero"], axis=1) / shown["unit"]
    reduction = np.median(lengths / drawn)  # films at the same point are moved apart
    text = overview.page.inner_text("#tab .overview-side .note")
    stated = float(text.partition("films are drawn at 1/")[2].split(" ")[0])
    assert stated == pytest.approx(reduction, abs=0.15)


SMALL = """() => [...document.querySelectorAll('#tab *')].filter(x => x.checkVisibility()
  && [...x.childNodes].some(n => n.nodeType === 3 && n.data.trim())
  && !x.closest('.small, .unseen, option')
  && parseFloat(getComputedStyle(x).fontSize) < 14).map(x => x.outerHTML.slice(0, 90))"""


@pytest.mark.parametrize("width", [400, 1400])
def test_no_text_is_small(overview, width):
    overview.page.set_viewport_size({"width": width, "height": 800})
    assert overview.page.evaluate(SMALL) == []


def test_the_default_file_is_small(default_file):
    assert default_file.stat().st_size < 450_000
