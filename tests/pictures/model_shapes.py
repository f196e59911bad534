"""The data flow of the model with the shapes of its arrays, from the log to the top n.

The shapes are those of a call in which all sizes differ, so that each size has one letter.
"""

from __future__ import annotations

import numpy as np

from mindref.config import Config
from mindref.models import mind
from mindref.models.parameters import Catalogue, Sizes
from mindref.models.serving import Model, item_matrix
from mindref.study.top_items import TopItems, find_top_items
from tests.pictures.svg import Drawing, Point

USERS, LENGTH, INTERESTS, WIDTH, NEGATIVES, ITEMS, TOP = 3, 17, 4, 7, 8, 31, 10
FEATURES, FEATURE_WIDTH = 2, 11
SIZES = {
    "B": USERS, "L": LENGTH, "K": INTERESTS, "D": WIDTH, "S": NEGATIVES, "N": ITEMS, "n": TOP,
    "G": FEATURES, "G Q": FEATURES * FEATURE_WIDTH, "B K": USERS * INTERESTS,
    "D + G Q": WIDTH + FEATURES * FEATURE_WIDTH,
}  # fmt: skip
"""Axis letters of specs/model.md -> size; all sizes differ."""

BOXES: dict[str, tuple[Point, str]] = {
    "log": ((105, 74), "log of interactions"),
    "items": ((350, 74), "histories"),
    "profile": ((595, 74), "user features"),
    "logits": ((105, 244), "initial logits b"),
    "e": ((350, 174), "item vectors e"),
    "q": ((595, 174), "profile vectors"),
    "S": ((105, 304), "matrix S"),
    "u": ((350, 274), "capsules u"),
    "x": ((350, 374), "joined rows [u ; q]"),
    "v": ((350, 474), "interests v"),
    "t": ((105, 474), "target vector"),
    "user": ((225, 584), "user vector"),
    "neg": ((76, 694), "negatives"),
    "loss": ((225, 694), "loss"),
    "E": ((595, 474), "item matrix"),
    "scores": ((475, 584), "scores, max over K"),
    "top": ((475, 694), "top n items"),
}
"""Array -> centre and name of its box."""

EDGES: dict[tuple[str, str], str] = {
    ("log", "items"): "split",
    ("items", "e"): "embedding",
    ("profile", "q"): "embedding",
    ("e", "u"): "routing, r iterations",
    ("logits", "u"): "",
    ("S", "u"): "",
    ("u", "x"): "join",
    ("q", "x"): "",
    ("x", "v"): "ReLU layers",
    ("v", "user"): "label attention",
    ("t", "user"): "",
    ("t", "loss"): "",
    ("user", "loss"): "sampled softmax",
    ("neg", "loss"): "",
    ("v", "scores"): "inner products",
    ("E", "scores"): "",
    ("scores", "top"): "search",
}
HALF_HEIGHT = 23.0


def draw() -> Drawing:
    """Return the picture."""
    out = Drawing(
        744,
        "Data flow of the model with shapes",
        "From a log to histories, item vectors, capsules, rows joined with the profile, and"
        " interests. Training continues with label attention to the target and sampled softmax"
        " with the negatives. Serving continues with the scores of all items and the top n.",
    )
    out.heading("MIND from the log to the loss, and to the top n items")
    out.rect((8, 530), (346, 206), "soft", radius=8)
    out.rect((362, 530), (330, 206), "soft", radius=8)
    out.text((344, 724), "training", "ink bold flat", anchor="end")
    out.text((680, 724), "serving", "ink bold flat", anchor="end")
    shapes = model_shapes()
    for edge, label in EDGES.items():
        draw_edge(out, *edge, label)
    for name in BOXES:
        draw_box(out, name, shapes.get(name))
    return out


def model_shapes() -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays of one call of the loss, and of one of serving."""
    model, batch = sample_model()
    _, saved = mind.loss(model.params, batch, model.catalogue, model.config)
    vectors, active, s1 = mind.interests(
        model.params, batch.histories, model.catalogue, model.config
    )
    items = item_matrix(model)
    served = serve_users(vectors, active, items)
    arrays = {
        "items": batch.histories.items,
        "profile": batch.histories.profile,
        "logits": batch.histories.init_logits,
        "S": s1.routing.bilinear,
        "e": s1.routing.history,
        "q": mind.profile_vectors(model.params, batch.histories.profile)[0],
        "u": s1.routing.iterations[-1].capsules,
        "x": s1.layers[0].x,
        "v": vectors,
        "t": saved.attention.target,
        "user": saved.softmax.user,
        "neg": saved.softmax.negatives,
        "loss": np.zeros(()),
        "E": items,
        "scores": np.stack([user.best for user in served]),
        "top": np.stack([user.order for user in served]),
    }
    return {name: x.shape for name, x in arrays.items()}


def sample_model() -> tuple[Model, mind.Batch]:
    """Return a new model and a batch of random ids."""
    rng = np.random.default_rng(0)
    config = Config(
        interests=INTERESTS, width=WIDTH, window=LENGTH, profile_width=FEATURE_WIDTH,
        hidden=(12,), dtype="float64",
    )  # fmt: skip
    params = mind.init(rng, config, Sizes(ITEMS, ITEMS, FEATURES, FEATURES))
    catalogue = Catalogue(np.arange(ITEMS)[:, None], np.ones((ITEMS, 1)))
    histories = mind.Histories(
        rng.integers(ITEMS, size=(USERS, LENGTH)),
        np.ones((USERS, LENGTH), bool),
        rng.normal(size=(USERS, LENGTH, INTERESTS)),
        np.tile(np.arange(FEATURES), (USERS, 1)),
    )
    target, negatives = np.arange(USERS), np.arange(NEGATIVES)
    logs = np.zeros(USERS), np.zeros(NEGATIVES)
    return Model(params, catalogue, config), mind.Batch(histories, target, negatives, *logs)


def serve_users(vectors: np.ndarray, active: np.ndarray, items: np.ndarray) -> list[TopItems]:
    """Return the top n of each user."""
    users = zip(vectors, active, strict=True)
    return [find_top_items(v, mask, items, n=TOP) for v, mask in users]


def shape_letters(shape: tuple[int, ...]) -> str:
    """Return a shape with axis letters. Raises ValueError for a size without exactly one letter."""
    letters = []
    for size in shape:
        (letter,) = (name for name, value in SIZES.items() if value == size)
        letters.append(letter)
    return f"({', '.join(letters)})"


def box_width(name: str) -> float:
    return 112 if name in ("neg", "loss") else 170


def draw_box(out: Drawing, name: str, shape: tuple[int, ...] | None) -> None:
    """Draw a box with a name and a shape."""
    (x, y), label = BOXES[name]
    width = box_width(name)
    out.rect((x - width / 2, y - HALF_HEIGHT), (width, 2 * HALF_HEIGHT), "box hollow", radius=6)
    out.text((x, y - 3), label, "ink bold flat", anchor="middle")
    words = "user, item, time" if shape is None else shape_letters(shape)
    out.text((x, y + 16), words, "dim flat", size=14, anchor="middle")


def edge_between(start: str, end: str) -> list[Point]:
    """Return an arrow between two boxes: vertical if the boxes overlap, else from the side."""
    ((x0, y0), _), ((x1, y1), _) = BOXES[start], BOXES[end]
    if (start, end) == ("t", "loss"):
        return [(50, y0 + HALF_HEIGHT), (50, 640), (190, 640), (190, y1 - HALF_HEIGHT)]
    half0, half1 = box_width(start) / 2, box_width(end) / 2
    left, right = max(x0 - half0, x1 - half1), min(x0 + half0, x1 + half1)
    if left < right:
        middle = (left + right) / 2
        return [(middle, y0 + HALF_HEIGHT), (middle, y1 - HALF_HEIGHT)]
    if x0 > x1:
        return [(x0, y0 + HALF_HEIGHT), (x0, y1), (x1 + half1, y1)]
    return [(x0 + half0, y0), (x1 - half1, y1 + (y0 - y1) / 4)]


def draw_edge(out: Drawing, start: str, end: str, label: str) -> None:
    """Draw an arrow between two boxes, with a label above, on the right or on the left."""
    path = edge_between(start, end)
    (x0, y0), (x1, y1) = path[0], path[-1]
    out.arrow(path, "line", "ink")
    if y0 == y1:
        out.text(((x0 + x1) / 2, y0 - 8), label, "dim", size=14, anchor="middle")
    elif end == "user":
        out.text((x0 - 10, y1 - 14), label, "dim", size=14, anchor="end")
    else:
        out.text((x0 + 10, y1 - 14), label, "dim", size=14)
