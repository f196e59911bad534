"""The pictures of specs/pictures, drawn from the functions of mindref.

Each module except `svg` and `plot` draws the picture of its name: `draw()` returns a Drawing.
`python -m tests.pictures --write` writes the files. A test compares the files with a new drawing.
"""

from __future__ import annotations

import importlib
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


def draw_picture(name: str) -> Drawing:
    """Return the picture of a module of this folder."""
    drawing: Drawing = importlib.import_module(f"tests.pictures.{name}").draw()
    return drawing


def picture_path(name: str) -> Path:
    return FOLDER / f"{name}.svg"
