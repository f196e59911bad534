"""Recommend in Python: the list of one history or user, and the lists of many as columns.

Spec: specs/recall.md. Messages about ignored ids are Python warnings.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.arguments import is_iterable
from mindref.errors import ConfigError, RunError, say, value_text
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.lists import Recommendation
from mindref.recommender.serving.item_lists import list_values
from mindref.recommender.serving.list_request import (
    ListOptions,
    resolve_request,
    uninformed_warning,
)
from mindref.recommender.serving.recall import BulkRecall, open_run_index
from mindref.recommender.serving.recommendations import Recommendations, list_columns
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import clear_uninformed_lists, recommend_batch
from mindref.run.files import INDEX

REQUESTS = "user ids of the log, or histories (lists of item ids)"


def recommend_one(
    served: ServedModel, history: Sequence[Any] | None, user: Any, options: ListOptions
) -> list[Recommendation]:
    """Return the top-n items of a history or a user by exact search, best first.

    Items of the history may be named by title. Raises ConfigError for invalid options, DataError
    if all items of the history are unknown, and for an unknown user.
    """
    if (history is None) == (user is None):
        raise ConfigError(say("recommend", "a history or a user", "both or neither"))
    request = resolve_request(
        served,
        options,
        users=None if user is None else [user],
        histories=None if history is None else [history],
        is_typed=True,
        require_known=True,
    )
    rows = request.requested.histories
    ranked, _ = recommend_batch(
        served.model,
        rows,
        request.requested.profiles,
        n=request.n,
        exclude=request.excluded_items(np.arange(1)),
        backend=served.backend,
        rng=served.rng,
        items=None if served.scores_only else served.item_vectors,
        item_filter=request.lists.item_filter,
        per_interest=request.per_interest,
    )
    items = served.recommendations(clear_uninformed_lists(ranked, rows), 0)
    print_warnings([*request.warnings, *uninformed_warning(rows, [len(items)])])
    return items


def recommend_columns(
    served: ServedModel,
    users_or_histories: Iterable[Any],
    options: ListOptions,
    index: str | Index = "exact",
    run: Path | None = None,
) -> Recommendations:
    """Return the top-n lists of users or histories as columns.

    index: a kind, whose index is in the directory `run`, or an index of the servable items.
    Raises as `recommend_one`, also if no item of all histories is known, and RunError for a kind
    without a run directory.
    """
    users, histories = split_requests(users_or_histories)
    check_index(served, index)
    request = resolve_request(served, options, users=users, histories=histories, require_known=True)
    notes: list[str] = []
    searched = find_index(served, index, run, notes) if isinstance(index, str) else index
    answers = BulkRecall(served, searched, request)
    blocks = (ranked for ranked, _ in answers.top_n_blocks())
    dtype = np.float64 if served.scores_only else served.model.config.dtype
    columns, counts = list_columns(request.requested.names, blocks, served.items, dtype)
    uninformed = uninformed_warning(request.requested.histories, counts)
    print_warnings([*request.warnings, *notes, *uninformed])
    return columns


def split_requests(requests: Iterable[Any]) -> tuple[list[Any] | None, list[Any] | None]:
    """Return the user ids, or the histories, of `recommend_many`; None for the other kind."""
    subject = "recommend_many"
    if hasattr(requests, "columns") or hasattr(requests, "column_names"):  # iterates over names
        todo = "pass one column, such as frame['user'].unique()"
        raise ConfigError(say(subject, REQUESTS, "a table", todo))
    if not is_iterable(requests) or isinstance(requests, Mapping):
        raise ConfigError(say(subject, REQUESTS, value_text(requests, quoted=True)))
    entries = list_values(subject, requests)
    if len({is_iterable(entry) for entry in entries}) > 1:
        raise ConfigError(say(subject, f"only {REQUESTS}", "both"))
    return (entries, None) if entries and not is_iterable(entries[0]) else (None, entries)


def check_index(served: ServedModel, index: Any) -> None:
    """Raise ConfigError unless an index is a kind, or an Index of as many and as wide vectors."""
    if isinstance(index, str):
        registry.check_kind(index, "index")
    elif not isinstance(index, Index):
        kinds = " or ".join(registry.index_kinds())
        got = value_text(index, quoted=True)
        raise ConfigError(say("index", f"{kinds}, or an Index", got))
    elif not served.scores_only:
        expected, shape = served.item_vectors.shape, np.shape(index.items)
        if shape != expected:  # recall-R46
            todo = "build it over the vectors of the servable items"
            raise ConfigError(say("index", f"vectors of shape {expected}", shape, todo))


def find_index(served: ServedModel, kind: str, run: Path | None, notes: list[str]) -> Index:
    """Return the index of a kind; exact search needs no run directory."""
    if kind == "exact" and not served.scores_only:
        return ExactIndex(served.item_vectors)
    if run is None and kind not in registry.BUILT_IN:
        expected = "a run directory, which keeps the index"
        raise RunError(say(f"index {kind}", expected, "none", "call save, then mindref.load"))
    return open_run_index(served, (run or Path()) / INDEX, kind if run else "exact", notes)


def print_warnings(lines: Iterable[str]) -> None:
    """Issue Python warnings at the line that called the method of `MIND`, which is checked."""
    for line in lines:
        warnings.warn(line, UserWarning, stacklevel=5)
