"""The pictures of specs/pictures.

The module of a plot draws the picture of its name: `draw()` returns a Drawing, and
`python -m tests.pictures --write` writes the files. A test compares the files with a new drawing.
Diagrams are SVG files without a module: test_diagrams.py compares their shapes and numbers with
the functions of mindref.
"""

from __future__ import annotations

import importlib
import xml.etree.ElementTree as ET
from pathlib import Path

from tests.pictures.svg import Drawing

FOLDER = Path(__file__).parent.parent.parent / "specs" / "pictures"
PAGES = {
    "active_interests": "routing",
    "label_attention": "label_attention",
    "model_shapes": "model",
    "routing_gradients": "routing",
    "routing_iterations": "routing",
    "shared_negatives": "sampled_softmax",
    "squash": "squash",
}
"""Picture -> the page that displays the picture."""
PLOTS = ("active_interests", "label_attention", "routing_iterations", "squash")
"""Pictures that a module draws."""
TAG = "{http://www.w3.org/2000/svg}"
TEXT = f"{TAG}text"


def draw_picture(name: str) -> Drawing:
    """Return the picture of a module of this folder."""
    drawing: Drawing = importlib.import_module(f"tests.pictures.{name}").draw()
    return drawing


def picture_path(name: str) -> Path:
    return FOLDER / f"{name}.svg"


def parse_picture(name: str) -> ET.Element:
    """Return the elements of a picture."""
    return ET.parse(picture_path(name)).getroot()
