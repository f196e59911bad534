"""Validation of the arrays of a model file against its settings and catalogue.

Spec: specs/security.md, security-R10. Kernels and sparse matrices do not check rows and shapes: a
row outside a table would be an out-of-bounds read. Therefore a file is validated before use, in
one pass over its rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mindref.models.family import family_of
from mindref.models.parameters import Catalogue, Sizes, flatten
from mindref.run import files
from mindref.shapes import Array

FREE = {"items": "item_rows", "profile": "profile_rows", "users": ""}
"""Table whose number of rows depends on the data -> field of Sizes with this number, or ""."""


class ShapeProbe:
    """Fake generator: returns zeros of the requested shape, with a bounded size."""

    def __init__(self, most: int) -> None:
        self.most = most

    def standard_normal(self, shape: tuple[int, ...]) -> Array:
        """Return zeros. Raises ValueError for a larger array than the file has."""
        if int(np.prod(shape, dtype=object)) > self.most:
            raise ValueError(f"arrays of shape {shape}, more than there are numbers")
        return np.zeros(shape)


def one_row_arrays(config: Any, sizes: Sizes, most: int = 1 << 40) -> dict[str, Array]:
    """Return arrays of the shapes of a family's parameters; tables of FREE have one row.

    Raises ValueError for an array of more than `most` numbers.
    """
    smallest = sizes._replace(items=1, item_rows=1, profile_rows=1, users=1)
    return flatten(family_of(config.model).init(ShapeProbe(most), config, smallest))


def check_model(path: Path, params: Any, catalogue: Catalogue, config: Any, sizes: Sizes) -> None:
    """Raise RunError unless the model of a file matches the settings and the sizes."""
    family = family_of(config.model)
    todo = "train it again: the file does not match the settings of the run"
    with files.StoredFile(path, "a model of the run", todo).explain_errors():  # security-R10
        if len(catalogue.rows) != sizes.items:
            raise ValueError(f"{len(catalogue.rows)} items, not {sizes.items}")
        rows = len(params.items) if family.by_steps else sizes.items
        check_catalogue(catalogue, rows, config.dtype)
        if family.by_steps:
            check_trained(params, config, sizes)
        else:
            family.check_arrays(params, sizes.items)


def check_catalogue(catalogue: Catalogue, rows: int, dtype: str) -> None:
    """Raise ValueError unless every row of the catalogue is in the table."""
    ids, weights = catalogue
    if ids.ndim != 2 or ids.dtype != np.int64 or weights.shape != ids.shape:
        raise ValueError(f"catalogue of {ids.dtype} {ids.shape} and {weights.shape}")
    if weights.dtype.name != dtype:
        raise ValueError(f"weights of the catalogue in {weights.dtype}")
    if ids.min(initial=0) < 0 or ids.max(initial=-1) >= rows:
        raise ValueError(f"rows {ids.min(initial=0)} to {ids.max(initial=-1)} of a table of {rows}")


def check_trained(params: Any, config: Any, sizes: Sizes) -> None:
    """Raise ValueError unless arrays have the shapes and the dtype of the family's `init`.

    sizes: sizes of the data, from the same run.
    """
    arrays = flatten(params)
    expected_arrays = one_row_arrays(config, sizes, sum(x.size for x in arrays.values()) + 1)
    if sorted(arrays) != sorted(expected_arrays):
        raise ValueError(f"arrays {', '.join(arrays)}")
    for name, expected in expected_arrays.items():
        array, shape = arrays[name], expected.shape
        if name in FREE:
            rows = getattr(sizes, FREE[name]) if FREE[name] else len(array)
            shape = (rows, *shape[1:])
        if array.shape != shape or array.dtype != expected.dtype:
            got = f"{array.dtype} {array.shape}"
            raise ValueError(f"{name} of {got}, not {expected.dtype} {shape}")
