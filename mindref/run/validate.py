"""Whether the arrays of a file are those that its settings and its catalogue make.

Spec: specs/security.md, security-R10. Kernels and sparse matrices trust rows and shapes: a row that
no table has would be read beyond the end of it. So a file that somebody else made is looked at here
first, at the price of one pass over its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mindref.config import Config
from mindref.errors import RunError, say
from mindref.models.families import family, is_fitted
from mindref.models.parameters import Catalogue, Sizes, flatten
from mindref.run import files
from mindref.shapes import Array

FREE = {"items": "item_rows", "profile": "profile_rows", "users": ""}
"""Tables whose number of rows the data decides, and which of the sizes says it, if one does."""


class Blank:
    """Stands for a generator where nothing but shapes is asked for: it draws zeros, and few."""

    def __init__(self, most: int) -> None:
        self.most = most

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        """Return zeros. Raises ValueError for more of them than a file has numbers."""
        if int(np.prod(shape, dtype=object)) > self.most:
            raise ValueError(f"arrays of shape {shape}, more than there are numbers")
        return np.zeros(shape)


def check(path: Path, params: Any, catalogue: Catalogue, config: Config, sizes: Sizes) -> None:
    """Raise RunError unless the model in a file is one of these settings and sizes."""
    fitted = is_fitted(config.model)
    try:
        if len(catalogue.rows) != sizes.items:
            raise ValueError(f"{len(catalogue.rows)} items, not {sizes.items}")
        check_catalogue(catalogue, sizes.items if fitted else len(params.items), config.dtype)
        if fitted:
            check_fitted(config.model, params, sizes.items)
        else:
            check_trained(params, family(config.model), config, sizes)
    except files.MALFORMED as error:  # security-R10
        todo = "train it again: what is in it is no model of the settings beside it"
        got = f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), "a model of the run", got, todo)) from error


def check_catalogue(catalogue: Catalogue, rows: int, dtype: str) -> None:
    """Raise ValueError unless every row of the catalogue is one of the table's."""
    ids, weights = catalogue
    if ids.ndim != 2 or ids.dtype != np.int64 or weights.shape != ids.shape:
        raise ValueError(f"catalogue of {ids.dtype} {ids.shape} and {weights.shape}")
    if weights.dtype.name != dtype:
        raise ValueError(f"weights of the catalogue in {weights.dtype}")
    if ids.min(initial=0) < 0 or ids.max(initial=-1) >= rows:
        raise ValueError(f"rows {ids.min(initial=0)} to {ids.max(initial=-1)} of a table of {rows}")


def check_trained(params: Any, made: Any, config: Any, sizes: Sizes) -> None:
    """Raise ValueError unless arrays have the shapes and the type that `made.init` gives them.

    made: the module of the family; sizes: what the data decided, by the same file.
    """
    found = flatten(params) if not hasattr(made, "flatten") else made.flatten(params)
    most = sum(x.size for x in found.values()) + 1
    one = sizes._replace(items=1, item_rows=1, profile_rows=1, users=1)
    blank = made.init(Blank(most), config, one)
    wanted = flatten(blank) if not hasattr(made, "flatten") else made.flatten(blank)
    if sorted(found) != sorted(wanted):
        raise ValueError(f"arrays {', '.join(found)}")
    for name, like in wanted.items():
        shape = list(like.shape)
        if name in FREE:
            shape[0] = getattr(sizes, FREE[name]) if FREE[name] else len(found[name])
        if list(found[name].shape) != shape or found[name].dtype != like.dtype:
            got = f"{found[name].dtype} {found[name].shape}"
            raise ValueError(f"{name} of {got}, not {like.dtype} {tuple(shape)}")


def check_fitted(name: str, arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless the arrays of a fitted family are those of so many items."""
    shapes = {key: x.shape for key, x in arrays.items()}
    if any(x.dtype.kind not in "fiu" for x in arrays.values()):
        raise ValueError("arrays of other than numbers")
    if name == "popularity":
        expect(shapes, {"counts": (items,)})
    elif name == "random":
        expect(shapes, {"count": ()})
        if int(arrays["count"]) != items:
            raise ValueError(f"a count of {int(arrays['count'])}, not {items}")
    elif name == "wals":
        width = (*shapes.get("items", ()), 0, 0)[1]
        expect(shapes, {"items": (items, width), "regularization": (), "alpha": ()})
    else:
        count = shapes.get("data", ())
        expect(shapes, {"data": count[:1], "indices": count[:1], "indptr": (items + 1,)})
        check_sparse(arrays, items)


def expect(shapes: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError for other arrays or shapes."""
    if dict(shapes) != dict(wanted):
        raise ValueError(f"arrays {dict(shapes)}, not {dict(wanted)}")


def check_sparse(arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless these are the rows of a sparse matrix (N, N)."""
    starts, columns = arrays["indptr"], arrays["indices"]
    if starts.dtype.kind != "i" or columns.dtype.kind != "i":
        raise ValueError("places in a matrix that are no integers")
    # compared, as a difference of the largest integers wraps around
    if starts[0] != 0 or starts[-1] != len(columns) or (starts[1:] < starts[:-1]).any():
        raise ValueError("rows of a matrix that begin after they end")
    if columns.min(initial=0) < 0 or columns.max(initial=-1) >= items:
        raise ValueError(f"columns of a matrix beyond {items}")
