"""A batch of targets against negatives that the batch shares, with one accidental hit."""

from __future__ import annotations

from itertools import count
from typing import NamedTuple

import numpy as np

from mindref.data.batches import pad_histories
from mindref.data.negatives import Negatives, make_sampler
from mindref.models import mind
from mindref.models.serving import serving_logits
from mindref.study.models.user_rules import split_last
from tests.pictures.builtin_user import study_model
from tests.pictures.svg import Drawing

USERS, DRAWS = 5, 6
CELL, ROW = 58, 36  # px
LEFT, TOP = 312, 232  # corner of the matrix, px


class ScoredBatch(NamedTuple):
    """The probabilities of a batch, and what its items are."""

    batch: mind.Batch
    p_target: np.ndarray  # (B,)
    p_negatives: np.ndarray  # (B, S)


def draw() -> Drawing:
    """Return the picture."""
    scored = score_batch()
    out = Drawing(
        TOP + ROW * USERS + 96,
        "Targets of a batch against shared negatives",
        f"A matrix of {USERS} targets and {DRAWS} negatives with the softmax probability of each"
        " pair. One negative is the target of one user: this cell is masked. Each target and each"
        " negative has a log expected count. Each row sums to 100 percent.",
    )
    out.heading("All targets of a batch share one set of negatives")
    draw_heads(out, scored.batch)
    for row in range(USERS):
        draw_row(out, scored, row)
    bottom = TOP + ROW * USERS
    notes = (
        "Cells: softmax probability in %. Each row, with its target, sums to 100.",
        "log E: log expected count of an item in the drawn set, subtracted from its logit.",
        "hit: the negative is the target of this row. It is masked here, and counts in other rows.",
    )
    for index, note in enumerate(notes):
        out.text((14, bottom + 34 + 22 * index), note, "dim", size=14)
    return out


def score_batch() -> ScoredBatch:
    """Return a batch of the built-in model with exactly one accidental hit."""
    config = study_model().model.config
    users = np.arange(USERS)
    behaviours, target = split_last(study_model(), users)
    history, mask = pad_histories(behaviours, config.window)
    logits = serving_logits(config, len(study_model().item_ids), history)
    histories = mind.Histories(history, mask, logits, study_model().profiles[users])
    drawn = draw_one_hit(target)
    logs = drawn.target_log_expected, drawn.log_expected
    batch = mind.Batch(histories, target, drawn.ids, *logs)
    params, catalogue, _ = study_model().model
    _, saved = mind.loss(params, batch, catalogue, config)
    p = saved.softmax.p_negatives
    return ScoredBatch(batch, 1 - p.sum(axis=1), p)


def draw_one_hit(target: np.ndarray) -> Negatives:
    """Return the negatives of the first seed with one accidental hit and no repeated item."""
    config = study_model().model.config
    sampler = make_sampler(config.sampler, study_model().counts, size=DRAWS, alpha=config.alpha)
    draws = (sampler.draw(np.random.default_rng(seed), target) for seed in count())
    return next(
        drawn
        for drawn in draws
        if (drawn.ids == target[:, None]).sum() == 1 and len(set(drawn.ids)) == DRAWS
    )


def draw_heads(out: Drawing, batch: mind.Batch) -> None:
    """Write titles and log expected counts of the negatives, and the heads of the columns."""
    out.text((14, TOP - 10), "target", "ink bold", size=14)
    out.text((230, TOP - 10), "log E", "dim", size=14, anchor="middle")
    out.text((282, TOP - 10), "p(target)", "ink bold", size=13, anchor="middle")
    out.text((LEFT - 4, TOP - 54), "negatives", "ink bold", size=14, anchor="end")
    out.text((LEFT - 4, TOP - 32), "log E", "dim", size=14, anchor="end")
    for column, item in enumerate(batch.negatives):
        x = LEFT + CELL * (column + 0.5)
        out.text((x - 2, TOP - 54), shorten(item, 22), size=13, turn=-66)
        log = f"{batch.negative_log_expected[column]:.2f}".replace("-", "−")
        out.text((x, TOP - 32), log, "dim", size=14, anchor="middle")


def draw_row(out: Drawing, scored: ScoredBatch, row: int) -> None:
    """Draw the target of a user, its probability, and those of the negatives."""
    batch, top = scored.batch, TOP + ROW * row
    out.text((14, top + 23), shorten(batch.target[row], 27), size=14)
    log = f"{batch.target_log_expected[row]:.2f}".replace("-", "−")
    out.text((230, top + 23), log, "dim", size=14, anchor="middle")
    draw_cell(out, (LEFT - 60, top), scored.p_target[row], "f1")
    for column, p in enumerate(scored.p_negatives[row]):
        corner = (LEFT + CELL * column, top)
        if batch.negatives[column] == batch.target[row]:
            draw_masked(out, corner)
        else:
            draw_cell(out, corner, p, "f2")


def draw_cell(out: Drawing, corner: tuple[float, float], p: float, css: str) -> None:
    """Draw a probability as a number and as a bar at the bottom of its cell."""
    x, y = corner
    out.rect((x + 1, y + 1), (CELL - 6, ROW - 2), "soft")
    out.rect((x + 1, y + ROW - 7), ((CELL - 6) * p, 6), css)
    words = f"{100 * p:.1f}" if p >= 0.0005 else "< 0.1"
    out.text((x + CELL / 2 - 2, y + 22), words, "ink flat", size=14, anchor="middle")


def draw_masked(out: Drawing, corner: tuple[float, float]) -> None:
    """Draw the cell of an accidental hit."""
    x, y = corner
    out.rect((x + 1, y + 1), (CELL - 6, ROW - 2), "hollow axis dash")
    out.line([(x + 1, y + ROW - 1), (x + CELL - 5, y + 1)], "axis")
    out.text((x + CELL / 2 - 2, y + 23), "hit", "ink bold", anchor="middle")


def shorten(item: int, limit: int) -> str:
    """Return the title of an item, of at most `limit` characters."""
    title = study_model().titles[item]
    return title if len(title) <= limit else title[: limit - 1].rstrip() + "…"
