"""Requests in Python: the items for one history or user, for many, and similar items.

Spec: specs/recall.md. Messages about ignored ids are Python warnings.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.frames import id_as_text
from mindref.data.log import Ragged
from mindref.errors import ConfigError, DataError, RunError, say
from mindref.evaluation.top_n.checks import check_list_length
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.item_filter import retrieve_filtered
from mindref.recall.lists import Recommendation, SimilarList
from mindref.recommender.bulk import (
    BulkRecall,
    RequestedUsers,
    catalogue_of_run,
    open_run_index,
    resolve_log_users,
)
from mindref.recommender.item_lists import (
    ItemLists,
    check_allow_lists,
    is_list,
    list_values,
    parse_item_lists,
    resolve_lists,
)
from mindref.recommender.item_names import ItemNames, quote_ids
from mindref.recommender.recommendations import Recommendations, list_columns
from mindref.recommender.serving import UNTRAINED, ServedModel
from mindref.recommender.top_n_lists import (
    clear_uninformed_lists,
    filter_of_rows,
    join_rows,
    recommend_batch,
)
from mindref.run.files import INDEX
from mindref.shapes import Ints

REQUESTS = "user ids of the log, or histories (lists of item ids)"


def recommend_one(
    served: ServedModel,
    history: Sequence[Any] | None,
    n: int,
    *,
    user: Any = None,
    only: Any = None,
    exclude: Any = None,
    per_interest: int | None = None,
    exclude_seen: bool | None = None,
) -> list[Recommendation]:
    """Return the top-n items of a history or a user by exact search, best first.

    Unknown items of the history are ignored. Raises DataError if all are unknown, and for an
    unknown user.
    """
    if (history is None) == (user is None):
        raise ConfigError(say("recommend", "a history or a user", "both or neither"))
    served.check_limit(per_interest, "per_interest")
    allow, deny = parse_item_lists("only", only), parse_item_lists("exclude", exclude)
    if history is not None:
        rows, _ = served.encode_history(history, "history")
        users, profile = None, served.unknown_profile(1)
    else:
        users = [id_as_text(user, "user")]
        behaviours, profile, _ = served.encode_users(users, "user")
        rows = served.servable.select(behaviours)
    lists = resolve_lists(served, allow, deny, users, 1)
    seen = rows if served.excludes_seen(exclude_seen) else None
    ranked, _ = recommend_batch(
        served.model,
        rows,
        profile,
        n=n,
        exclude=join_rows(seen, lists.exclude),
        backend=served.backend,
        rng=served.rng,
        items=None if served.scores_only else served.item_vectors,
        item_filter=lists.item_filter,
        per_interest=per_interest,
    )
    items = served.recommendations(clear_uninformed_lists(ranked, rows), 0)
    print_warnings([*lists.warnings, *uninformed_warning(rows, [len(items)])])
    return items


def recommend_many(
    served: ServedModel,
    requests: Iterable[Any],
    n: int,
    *,
    only: Any = None,
    exclude: Any = None,
    per_interest: int | None = None,
    exclude_seen: bool | None = None,
    index: str | Index = "exact",
    run: Path | None = None,
) -> Recommendations:
    """Return the top-n lists of users or histories as columns.

    index: a kind, whose index is in the directory `run`, or an index of the servable items.
    Raises as `recommend_one`, and RunError for a kind without a run directory.
    """
    allow, deny = parse_item_lists("only", only), parse_item_lists("exclude", exclude)
    served.check_limit(per_interest, "per_interest")
    check_list_length(n, "recommend_many")
    is_excluded = served.excludes_seen(exclude_seen)
    requested, users = parse_requests(served, requests)
    lists = resolve_lists(served, allow, deny, users, len(requested.names))
    notes: list[str] = []
    searched = find_index(served, index, run, notes) if isinstance(index, str) else index
    answers = BulkRecall(
        served, searched, requested, n, is_excluded, lists=lists, per_interest=per_interest
    )
    blocks = (ranked for ranked, _ in answers.top_n_blocks())
    dtype = np.float64 if served.scores_only else served.model.config.dtype
    columns, counts = list_columns(requested.names, blocks, served.items, dtype)
    uninformed = uninformed_warning(requested.histories, counts)
    print_warnings([*requested.warnings, *lists.warnings, *notes, *uninformed])
    return columns


def parse_requests(
    served: ServedModel, requests: Iterable[Any]
) -> tuple[RequestedUsers, list[str] | None]:
    """Return the requested users, and their ids; None for histories, which are numbered from 0."""
    subject = "recommend_many"
    if not is_list(requests) or isinstance(requests, Mapping):
        raise ConfigError(say(subject, REQUESTS, repr(requests)))
    entries = list_values(subject, requests)
    if len({is_list(entry) for entry in entries}) > 1:
        raise ConfigError(say(subject, f"only {REQUESTS}", "both"))
    if entries and not is_list(entries[0]):
        users = [id_as_text(user, subject) for user in entries]
        return resolve_log_users(served, users, "user"), users
    rows, unknown = served.encode(entries)
    lines = []
    if unknown:
        total = len(unknown) + len(rows.values)
        counts = f"{len(unknown)} of {total} behaviours"
        text = "are of items that are not in the catalogue or untrained"
        lines = [f"{counts} {text}: {quote_ids(unknown)}"]
    profiles = served.unknown_profile(len(rows))
    return RequestedUsers(range(len(rows)), rows, profiles, unknown, lines), None


def find_index(served: ServedModel, kind: str, run: Path | None, notes: list[str]) -> Index:
    """Return the index of a kind; exact search needs no run directory."""
    registry.check_kind(kind, "index")
    if kind == "exact" and not served.scores_only:
        return ExactIndex(served.item_vectors)
    if run is None and kind not in registry.BUILT_IN:
        expected = "a run directory, which keeps the index"
        raise RunError(say(f"index {kind}", expected, "none", "call save, then mindref.load"))
    return open_run_index(served, (run or Path()) / INDEX, kind if run else "exact", notes)


def similar_items(
    served: ServedModel, item: Any, n: int, *, only: Any = None, exclude: Any = None
) -> list[Recommendation]:
    """Return the n items with the largest cosine to an item, by exact search, without the item.

    Raises DataError for an unknown item, ConfigError for a family without vectors of items.
    """
    allow, deny = parse_item_lists("only", only), parse_item_lists("exclude", exclude)
    similar, lines = rank_similar(served, id_as_text(item, "item"), n, allow, deny, "item")
    print_warnings(lines)
    return similar


def similar_of_run(
    run: Path, item: str, n: int, only: ItemLists | None, exclude: ItemLists | None
) -> tuple[SimilarList, list[str]]:
    """Return the items similar to an item of a run, and lines on ignored ids.

    The item and the lists are checked before the model is loaded.
    """
    items = catalogue_of_run(run)
    ItemNames(items, {name: i for i, name in enumerate(items.ids)}).check_known(item, "ITEM")
    check_allow_lists(only, items.ids)
    served = ServedModel.load(run)
    similar, lines = rank_similar(served, item, n, only, exclude, "ITEM")
    dense_id = find_item(served, item, "ITEM")
    return SimilarList(items.ids[dense_id], items.titles[dense_id], similar), lines


def rank_similar(
    served: ServedModel,
    item: str,
    n: int,
    only: ItemLists | None,
    exclude: ItemLists | None,
    subject: str,
) -> tuple[list[Recommendation], list[str]]:
    """Return the n items with the largest cosine to an item, and lines on ignored ids."""
    dense_id, vectors = find_item(served, item, subject), served.item_vectors
    lists = resolve_lists(served, only, exclude, None, 1)
    row = int(np.searchsorted(served.servable.ids, dense_id))
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(length > 0, length, 1)
    limits = filter_of_rows(lists.item_filter, served.servable)
    denied = None if lists.exclude is None else served.servable.to_rows(lists.exclude)
    ranked = retrieve_filtered(
        ExactIndex(units),
        units[row][None, None],
        np.ones((1, 1), np.bool_),
        n=n,
        exclude=join_rows(Ragged.of([[row]]), denied),
        item_filter=limits,
    )
    dense_ids = served.servable.to_ids(ranked.items)
    return served.recommendations(ranked._replace(items=dense_ids), 0), list(lists.warnings)


def find_item(served: ServedModel, name: str, subject: str) -> int:
    """Return the dense id of a servable item, named by id or title. Raises DataError."""
    dense_id = served.names.find(name, subject)
    if dense_id is None:
        served.names.check_known(name, subject)
        raise DataError(say(subject, "a trained item", repr(name), UNTRAINED))
    return dense_id


def uninformed_warning(histories: Ragged, counts: Sequence[int] | Ints) -> list[str]:
    """Return one line on the requests without behaviours whose lists (C,) are empty, or nothing."""
    empty = int(((histories.lengths == 0) & (np.asarray(counts) == 0)).sum())
    if not empty:
        return []
    text = "have no known behaviour, and the model gives no item a score: their lists are empty"
    return [f"{empty} of {len(histories)} requests {text}"]


def print_warnings(lines: Iterable[str]) -> None:
    """Issue Python warnings at the line that called the method of `MIND`."""
    for line in lines:
        warnings.warn(line, UserWarning, stacklevel=4)
