"""The lists of many users as columns.

Spec: specs/recall.md, recall-R46.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mindref.errors import ConfigError, say
from mindref.process.requirements import install_libraries
from mindref.recall.top_n import TopN
from mindref.run.items import Items
from mindref.shapes import Array, Ints


class Recommendations(NamedTuple):
    """Columns of R rows: the lists one after the other, each from rank 1 on."""

    user: npt.NDArray[Any]  # (R,) user ids as str objects, or numbers of histories, int64 from 0
    rank: Ints  # (R,) int64, from 1
    item: npt.NDArray[Any]  # (R,) item ids as str objects
    title: npt.NDArray[Any]  # (R,) titles as str objects, empty where unknown
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
    names: Sequence[Any], blocks: Iterable[TopN], items: Items, dtype: Any
) -> tuple[Recommendations, Ints]:
    """Return the columns of the lists of all blocks, and the length of each list.

    names: of the users, in the order of the lists. dtype: of the scores.
    """
    none = np.zeros(0, np.int64)
    counts, columns = [none], [(none, np.zeros(0, dtype), none)]
    for block in blocks:
        is_item = block.items >= 0  # recall-R46
        counts.append(is_item.sum(axis=1))
        columns.append((block.items[is_item], block.scores[is_item], block.interests[is_item]))
    lengths = np.concatenate(counts)
    ids, scores, interests = map(np.concatenate, zip(*columns, strict=True))
    starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
    return Recommendations(
        user=as_column(names)[np.repeat(np.arange(len(names)), lengths)],
        rank=np.arange(len(ids)) - starts + 1,
        item=as_column(items.ids)[ids],
        title=as_column(items.titles)[ids],
        score=scores,
        interest=interests,
    ), lengths


def as_column(values: Sequence[Any]) -> npt.NDArray[Any]:
    """Return integers as int64, and texts as an array of objects."""
    if isinstance(values, range):
        return np.array(values, np.int64)
    column = np.empty(len(values), object)
    column[:] = list(values)
    return column
