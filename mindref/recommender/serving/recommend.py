"""Lists of the Python interface: of one history or user, and of many as columns.

Spec: specs/recall.md. The functions return messages about ignored ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.arguments import is_iterable
from mindref.errors import ConfigError, say, value_text
from mindref.process.requirements import install_libraries
from mindref.recall import Index, registry
from mindref.recall.lists import Recommendation
from mindref.recall.top_n import TopN
from mindref.recommender.serving.list_request import (
    ListRequest,
    Origin,
    resolve_request,
    uninformed_warning,
)
from mindref.recommender.serving.recall import RequestedLists, open_run_index
from mindref.recommender.serving.served_model import ServedModel
from mindref.run.items import Items
from mindref.shapes import Array, Ints

REQUESTS = "user ids of the log, or histories (lists of item ids)"


def recommend_one(
    served: ServedModel, request: ListRequest, rng: np.random.Generator | None = None
) -> tuple[list[Recommendation], list[str]]:
    """Return the top-n items of a history or a user by exact search, best first, and warnings.

    Items of the history may be named by title. rng: generator of logits drawn per call. Raises
    ConfigError for invalid options, DataError if all items of the history are unknown, and for an
    unknown user.
    """
    if (request.histories is None) == (request.users is None):
        raise ConfigError(say("recommend", "a history or a user", "both or neither"))
    resolved = resolve_request(served, replace(request, origin=Origin.PERSON))
    (answer,) = RequestedLists(served, open_run_index(served, "exact", None, []), resolved, rng=rng)
    uninformed = uninformed_warning(resolved.users.histories, [len(answer.items)])
    return answer.items, [*resolved.warnings, *uninformed]


def recommend_columns(
    served: ServedModel,
    users_or_histories: Iterable[object],
    request: ListRequest,
    index: str | Index,
    run: Path | None = None,
) -> tuple[Recommendations, list[str]]:
    """Return the top-n lists of users or histories as columns, and warnings.

    index: a kind, whose index is in the directory `run`, or an index of the servable items. Raises
    as `recommend_one`, also if no item of all histories is known, and RunError for a kind without a
    run directory.
    """
    users, histories = split_requests(users_or_histories)
    check_index(served, index)
    resolved = resolve_request(served, replace(request, users=users, histories=histories))
    notes: list[str] = []
    searched = open_run_index(served, index, run, notes) if isinstance(index, str) else index
    lists = RequestedLists(served, searched, resolved)
    blocks = (block.ranked for block in lists.top_n_blocks())
    dtype = np.float64 if served.scores_only else served.model.config.dtype
    columns, counts = list_columns(resolved.users.names, blocks, served.items, dtype)
    uninformed = uninformed_warning(resolved.users.histories, counts)
    return columns, [*resolved.warnings, *notes, *uninformed]


def split_requests(requests: Iterable[object]) -> tuple[list[object] | None, list[object] | None]:
    """Return the user ids, or the histories, of `recommend_many`; None for the other kind."""
    subject = "recommend_many"
    if hasattr(requests, "columns") or hasattr(requests, "column_names"):  # iterates over names
        todo = "pass one column, such as frame['user'].unique()"
        raise ConfigError(say(subject, REQUESTS, "a table", todo))
    if isinstance(requests, Mapping):
        raise ConfigError(say(subject, REQUESTS, value_text(requests, quoted=True)))
    entries = list(requests)
    if len({is_iterable(entry) for entry in entries}) > 1:
        raise ConfigError(say(subject, f"only {REQUESTS}", "both"))
    if entries and not is_iterable(entries[0]):
        return entries, None
    return None, entries


def check_index(served: ServedModel, index: object) -> None:
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


class Recommendations(NamedTuple):
    """Columns of R rows: the lists one after the other, each from rank 1 on."""

    user: (
        npt.NDArray[np.object_] | Ints
    )  # (R,) user ids as str objects, or numbers of histories, int64 from 0
    rank: Ints  # (R,) int64, from 1
    item: npt.NDArray[np.object_]  # (R,) item ids as str objects
    title: npt.NDArray[np.object_]  # (R,) titles as str objects, empty where unknown
    score: Array  # (R,) floats, not rising within a list
    interest: Ints  # (R,) int64, from 0

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame. Raises ConfigError if pandas is not installed."""
        return import_library("pandas").DataFrame(self._asdict())

    def to_polars(self) -> Any:
        """Return a polars.DataFrame. Raises ConfigError if polars is not installed."""
        polars = import_library("polars")
        columns = self._asdict().items()
        text = {name: polars.String for name, x in columns if x.dtype == object}
        values = {name: x.tolist() if x.dtype == object else x for name, x in columns}
        return polars.DataFrame(values, schema_overrides=text)


def import_library(name: str) -> Any:
    """Return an optional library. Raises ConfigError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        todo = f"{install_libraries(name)}, or use the NumPy columns"
        raise ConfigError(say(f"to_{name}", f"the library {name}", "none", todo)) from error


def list_columns(
    names: Sequence[object], blocks: Iterable[TopN], items: Items, dtype: Any
) -> tuple[Recommendations, Ints]:
    """Return the columns of the lists of all blocks, and the length of each list.

    names: of the users, in the order of the lists. dtype: of the scores.
    """
    none = np.zeros(0, np.int64)  # without blocks, the columns are empty arrays
    lengths, ids, scores, interests = [none], [none], [np.zeros(0, dtype)], [none]
    for block in blocks:
        is_item = block.items >= 0  # recall-R46
        lengths.append(is_item.sum(axis=1))
        ids.append(block.items[is_item])
        scores.append(block.scores[is_item])
        interests.append(block.interests[is_item])
    counts, rows = np.concatenate(lengths), np.concatenate(ids)
    first_rows = np.cumsum(counts) - counts  # of each list in the columns
    users = np.array(names, np.int64) if isinstance(names, range) else as_objects(names)
    columns = Recommendations(
        user=users[np.repeat(np.arange(len(users)), counts)],
        rank=np.arange(len(rows)) - np.repeat(first_rows, counts) + 1,
        item=as_objects(items.ids)[rows],
        title=as_objects(items.titles)[rows],
        score=np.concatenate(scores),
        interest=np.concatenate(interests),
    )
    return columns, counts


def as_objects(values: Sequence[object]) -> npt.NDArray[np.object_]:
    """Return texts as an array of objects."""
    column = np.empty(len(values), object)
    column[:] = list(values)
    return column
