"""Items that are similar to an item. Spec: specs/recall.md."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from mindref.data.log import Ragged
from mindref.recall import ExactIndex
from mindref.recall.lists import SimilarList
from mindref.recall.retrieval import retrieve_top_n
from mindref.recommender.serving.item_names import ItemNames
from mindref.recommender.serving.list_request import (
    ListRequest,
    Origin,
    check_allow_lists,
    join_rows,
    resolve_lists,
)
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import filter_of_rows
from mindref.run.items import Items


def find_similar_items(
    served: ServedModel,
    item: str,
    request: ListRequest,
    subject: str = "item",
    *,
    titles: bool = True,
) -> tuple[SimilarList, list[str]]:
    """Return the n items with the largest cosine to an item, without the item, and warnings.

    Search is exact. item: an id, or a title with `titles`. Of the request, n, only and exclude are
    used. subject: of messages. Raises DataError for an unknown item, ConfigError for a family
    without vectors.
    """
    only, exclude = request.item_lists("only"), request.item_lists("exclude")
    units = served.unit_vectors
    dense_id = served.names.find(item, subject) if titles else served.dense.get(item)
    if dense_id is None:
        raise served.names.unknown_error([item], subject, titles=titles)
    item_filter, warnings = resolve_lists(served, only, exclude, users=None, requests=1)

    # search among the vectors of the servable items, at length 1
    row = int(np.searchsorted(served.servable.ids, dense_id))
    row_filter = filter_of_rows(item_filter, served.servable)
    exclude_rows = join_rows(Ragged.of([[row]]), row_filter.exclude)
    ranked = retrieve_top_n(
        ExactIndex(units),
        units[row][None, None],  # one user with one interest
        np.ones((1, 1), np.bool_),
        n=min(request.n, len(units)),
        item_filter=row_filter._replace(exclude=exclude_rows),
    )

    # from rows of these vectors to dense ids
    dense_ids = served.servable.to_ids(ranked.items)
    cosines = np.clip(ranked.scores, -1, 1)  # rounding
    result = ranked._replace(items=dense_ids, scores=cosines)
    name, title = served.item_ids[dense_id], served.items.titles[dense_id]
    similar = SimilarList(name, title, served.recommendations(result, 0))
    return similar, warnings


def similar_of_run(run: Path, item: str, request: ListRequest) -> tuple[SimilarList, list[str]]:
    """Return the items similar to an item of a run, and lines on ignored ids.

    The item and the lists are checked before the model is loaded.
    """
    request = replace(request, origin=Origin.COMMAND)
    only, exclude = request.item_lists("only"), request.item_lists("exclude")

    def check_items(items: Items) -> None:
        dense = {name: i for i, name in enumerate(items.ids)}
        names = ItemNames(items, dense)
        if names.find(item, "ITEM") is None:
            raise names.unknown_error([item], "ITEM", titles=True)
        check_allow_lists(only, dense)  # recall-R48

    served = ServedModel.load(run, check_items=check_items)
    request = replace(request, only=only, exclude=exclude)
    return find_similar_items(served, item, request, "ITEM")
