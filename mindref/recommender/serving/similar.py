"""Items that are similar to an item. Spec: specs/recall.md."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.frames import id_as_text
from mindref.data.log import Ragged
from mindref.recall import ExactIndex
from mindref.recall.checks import check_count
from mindref.recall.item_filter import retrieve_filtered
from mindref.recall.lists import Recommendation, SimilarList
from mindref.recommender.serving.item_lists import (
    ItemLists,
    check_allow_lists,
    parse_item_lists,
    resolve_lists,
)
from mindref.recommender.serving.item_names import ItemNames
from mindref.recommender.serving.recall import catalogue_of_run
from mindref.recommender.serving.recommend import print_warnings
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import filter_of_rows, join_rows


def find_similar_items(
    served: ServedModel, item: Any, n: int, *, only: Any = None, exclude: Any = None
) -> list[Recommendation]:
    """Return the n items with the largest cosine to an item, by exact search, without the item.

    Raises DataError for an unknown item, ConfigError for a family without vectors of items.
    """
    allow, deny = parse_item_lists("only", only), parse_item_lists("exclude", exclude)
    check_count(n, "n")
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
        n=min(int(n), len(units)),
        exclude=join_rows(Ragged.of([[row]]), denied),
        item_filter=limits,
    )
    dense_ids = served.servable.to_ids(ranked.items)
    cosines = np.clip(ranked.scores, -1, 1)  # rounding
    result = ranked._replace(items=dense_ids, scores=cosines)
    return served.recommendations(result, 0), list(lists.warnings)


def find_item(served: ServedModel, name: str, subject: str) -> int:
    """Return the dense id of a servable item, named by id or title. Raises DataError."""
    dense_id = served.names.find(name, subject)
    if dense_id is None:
        raise served.names.unknown_error([name], subject, titles=True)
    return dense_id
