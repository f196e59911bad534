"""The pictures of specs/pictures are what their modules draw, and a reader can read them."""

import math
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from itertools import combinations, product

import numpy as np
import pytest

from tests import spec_pages
from tests.pictures import (
    FOLDER,
    PAGES,
    PLOTS,
    TAG,
    draw_picture,
    parse_picture,
    picture_path,
    svg,
)
from tests.pictures.svg import COLOURS, SIZE, WIDTH, Drawing, mix_colours

BACKGROUNDS = ("#ffffff", "#0d1117")  # light, dark
PER_LETTER = 0.5  # width of a letter in font sizes, more than the mean of Arial


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_is_what_its_module_draws(name):
    text = picture_path(name).read_text(encoding="utf-8")
    assert text == draw_picture(name).render(), "run: python -m tests.pictures --write"


def test_the_folder_has_the_pictures_and_nothing_else():
    assert {path.name for path in FOLDER.iterdir()} == {f"{name}.svg" for name in PAGES}
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < 40_000


@pytest.mark.parametrize(("name", "page"), PAGES.items())
def test_a_page_displays_its_picture_with_a_description(name, page):
    alt = re.findall(rf"^!\[(.+)\]\(pictures/{name}\.svg\)\n\n\S", spec_pages.text(page), re.M)
    assert len(alt) == 1
    root = parse_picture(name)
    assert root.get("aria-labelledby").split() == [root[0].get("id"), root[1].get("id")]
    assert root[0].tag == f"{TAG}title"
    assert len(root[1].text) > 60
    assert "prefers-color-scheme:dark" in root[2].text


def text_boxes(root):
    """Return the boxes (left, top, right, bottom) of the texts that are not turned."""
    boxes = []
    for text in root.iter(f"{TAG}text"):
        if text.get("transform"):
            continue
        x, y, size = (float(text.get(key)) for key in ("x", "y", "font-size"))
        width = PER_LETTER * size * len("".join(text.itertext()))
        left = x - width * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
        boxes.append((left, y - 0.7 * size, left + width, y + 0.1 * size))
    return boxes


def overlap(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def overlapping_boxes(boxes):
    return [pair for pair in combinations(boxes, 2) if overlap(*pair)]


def marker_boxes(root):
    """Return the boxes of the markers of points; the corners of a box have no ink."""
    boxes = []
    for shape in root.iter():
        if "mark" not in shape.get("class", "").split():
            continue
        if shape.tag == f"{TAG}circle":
            x, y, r = (float(shape.get(key)) for key in ("cx", "cy", "r"))
            boxes.append((x - r, y - r, x + r, y + r))
        elif shape.tag == f"{TAG}polygon":
            points = [tuple(map(float, p.split(","))) for p in shape.get("points").split()]
            (left, right), (top, bottom) = [(min(z), max(z)) for z in zip(*points, strict=True)]
            boxes.append((left, top, right, bottom))
    return boxes


def boxes_outside(boxes, height):
    return [x for x in boxes if x[0] < 0 or x[1] < 0 or x[2] > WIDTH or x[3] > height]


@pytest.mark.parametrize("name", PAGES)
def test_texts_are_inside_and_do_not_overlap(name):
    root = parse_picture(name)
    boxes = text_boxes(root)
    assert len(boxes) > 5
    assert boxes_outside(boxes, float(root.get("height"))) == []
    assert overlapping_boxes(boxes) == []
    assert [pair for pair in product(boxes, marker_boxes(root)) if overlap(*pair)] == []
    assert all(float(x.get("font-size")) >= 12 for x in root.iter(f"{TAG}text"))


def test_a_clipped_text_and_an_overlap_are_noticed():
    drawing = Drawing(100, "title", "description")
    drawing.text((650, 40), "a long label")
    drawing.text((660, 45), "b")
    boxes = text_boxes(ET.fromstring(drawing.render()))
    assert boxes_outside(boxes, 100) == boxes[:1]
    assert overlapping_boxes(boxes) == [tuple(boxes)]


def test_a_text_on_a_marker_is_noticed():
    drawing = Drawing(100, "title", "description")
    for kind in (1, 2):
        drawing.marker(kind, (100, 50 * kind - 5), "mark f1")
        drawing.text((100, 50 * kind), "1", anchor="middle")
    root = ET.fromstring(drawing.render())
    pairs = [pair for pair in product(text_boxes(root), marker_boxes(root)) if overlap(*pair)]
    assert len(pairs) == 2


def relative_luminance(colour):
    """Return the relative luminance of a colour (WCAG 2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return math.fsum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("background", BACKGROUNDS)
def test_colours_contrast_with_both_backgrounds(colour, background):
    low, high = sorted([relative_luminance(colour), relative_luminance(background)])
    assert (high + 0.05) / (low + 0.05) >= 3
    assert background in parse_picture("squash")[2].text


def test_scripts_are_escaped_and_coordinates_are_rounded():
    drawing = Drawing(50, "a < b", "c & d")
    drawing.text((1.04999, -0.04), "b^{(1)} & <z>_{k}")
    root = ET.fromstring(drawing.render())
    text = root.find(f"{TAG}text")
    assert (text.get("x"), text.get("y"), text.get("font-size")) == ("1", "0", str(SIZE))
    assert svg.format_number(179.25 + 3e-14) == svg.format_number(179.25 - 3e-14) == "179.2"
    assert "".join(text.itertext()).replace("\u200b", "") == "b(1) & <z>k"
    assert root[0].text == "a < b"


def test_a_mixture_of_one_weight_is_its_colour():
    assert [mix_colours(row) for row in np.eye(len(COLOURS))] == list(COLOURS)
    assert mix_colours([0.5, 0.5]) == "#7c8064"


def test_pictures_are_written_only_on_request():
    command = [sys.executable, "-m", "tests.pictures"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "usage: python -m tests.pictures --write\n"
