"""Properties of every log that a reader returns (specs/data.md)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mindref.data.assemble import NOTES
from mindref.data.log import InteractionLog, Ragged


def check_log(log: InteractionLog) -> None:
    users, items = len(log.user_ids), len(log.item_ids)
    check_rows(log.interactions, users, items)
    assert users >= 1
    assert (log.interactions.lengths >= 1).all(), "a user without an event"
    assert set(np.unique(log.interactions.values)) == set(range(items)), "an item without an event"
    check_ids(log.user_ids)
    check_ids(log.item_ids)
    check_times(log)
    check_notes(log)
    assert log.titles is None or len(log.titles) == items
    for features, rows in ((log.item_features, items), (log.user_features, users)):
        for feature in features:
            check_rows(feature.codes, rows, len(feature.values))
            assert all(feature.values)
            assert len(set(feature.values)) == len(feature.values)


def check_rows(ragged: Ragged, rows: int, values: int) -> None:
    """Check that there are so many rows of numbers from 0 to below `values`."""
    assert ragged.offsets.dtype == ragged.values.dtype == np.int64
    assert len(ragged) == rows
    assert ragged.offsets[0] == 0
    assert (ragged.lengths >= 0).all()
    assert ragged.offsets[-1] == len(ragged.values)
    if len(ragged.values):
        assert 0 <= ragged.values.min() <= ragged.values.max() < values


def check_ids(ids: Sequence[str]) -> None:
    """Check that ids are text, none empty, none twice."""
    assert all(isinstance(one, str) and one for one in ids)
    assert len(set(ids)) == len(ids)


def check_times(log: InteractionLog) -> None:
    """Check that times are finite and rise along each user's row."""
    if log.times is None:
        return
    assert log.times.dtype == np.float64
    assert log.times.shape == log.interactions.values.shape
    assert np.isfinite(log.times).all()
    rising = log.times[1:] >= log.times[:-1]
    first = log.interactions.offsets[1:-1]  # of the second user on
    rising[first - 1] = True
    assert rising.all(), "events out of order"


def check_notes(log: InteractionLog) -> None:
    """Check that the counts fit the log and each other: nothing is lost without a word."""
    notes = log.notes
    assert tuple(notes) == NOTES
    assert all(isinstance(count, int) and count >= 0 for count in notes.values())
    events = len(log.interactions.values)
    assert (notes["users"], notes["items"]) == (len(log.user_ids), len(log.item_ids))
    assert notes["interactions"] == events
    assert notes["single_interaction_users"] == int((log.interactions.lengths == 1).sum())
    assert notes["ties"] < events
    assert notes["titled_items"] == sum(map(bool, log.titles or ()))
    assert len(log.bad_lines) <= notes["bad_lines"]
    assert bool(log.bad_lines) == bool(notes["bad_lines"])
    assert all(line.isprintable() for line in log.bad_lines), log.bad_lines
