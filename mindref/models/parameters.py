"""Parameters of a model: arrays with names, shapes and initial values.

Spec: specs/model.md. Gradients have the same names; those of tables are row-sparse.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import numpy.typing as npt

from mindref.config import Config
from mindref.ops.embedding import RowGradient
from mindref.shapes import Array, Ints


class Layer(NamedTuple):
    """One affine map of the layers after the capsules."""

    weight: Array  # (I, O)
    bias: Array  # (O,)


class Params(NamedTuple):
    """The parameters of MIND."""

    items: Array  # (V, D) item ids first, then values of item features
    profile: Array  # (W, Q) values of user features; (0, Q) without any
    bilinear: Array  # (D, D) S
    layers: tuple[Layer, ...]  # the last one maps to D


class Gradients(NamedTuple):
    """The gradient of each parameter, under the same names."""

    items: RowGradient
    profile: RowGradient
    bilinear: Array
    layers: tuple[Layer, ...]


class Named(Protocol):
    """A named tuple of arrays and layers: parameters of a family, or their gradients."""

    def _asdict(self) -> dict[str, Any]: ...


FittedParams = dict[str, npt.NDArray[Any]]
"""Parameters of a family that is fitted in one call."""
Tables = Named | FittedParams
"""Parameters of any family."""


Copied = TypeVar("Copied", bound=Tables)
LAYERED = ("layers", "attention")
"""Fields that are tuples of layers, each with a weight and a bias."""


class ItemTable(Protocol):
    """The parameters of any family of models: they have the table of items."""

    @property
    def items(self) -> Array:
        """(V, D)."""


class ProfileTable(Protocol):
    """The parameters of a family that reads user features."""

    @property
    def profile(self) -> Array:
        """(W, Q)."""


class Sizes(NamedTuple):
    """Sizes of the parameters that depend on the data."""

    items: int  # N
    item_rows: int  # V = N + values of item features
    profile_rows: int  # W
    profile_features: int  # G
    users: int = 0  # T training sequences, for models with parameters of each user


class Catalogue(NamedTuple):
    """Rows of the item table for each item, and their weights (embedding-R1)."""

    rows: Ints  # (N, F) first column the item itself
    weights: Array  # (N, F) rows sum to one, or to zero for an item without a vector (model-R42)


class ScoreTerms(NamedTuple):
    """Terms of the score in serving, which validation chooses. The defaults change nothing."""

    own_counts: float = 0.0  # weight of the user's own counts, in units of the score
    decay: float = 1.0  # of own counts
    popularity: float = 0.0  # exponent of popularity in the lengths of item vectors


NO_TERMS = ScoreTerms()


def init(rng: np.random.Generator, config: Config, sizes: Sizes, extra_inputs: int = 0) -> Params:
    """Draw initial parameters: tables and S of variance initial^2 / D, layers He, zero biases.

    Values are drawn from rng in the order of `Params`, in float64, then rounded to the dtype.
    extra_inputs: number of inputs of the layers besides capsule and profile.
    """
    width = config.width
    profile_width = sizes.profile_features * config.profile_width
    widths = (width + profile_width + extra_inputs, *config.hidden, width)  # model-R21

    dtype, variance = config.dtype, config.init_scale**2 / width  # model-R20
    items = draw_normal(rng, (sizes.item_rows, width), variance, dtype)
    profile = draw_normal(rng, (sizes.profile_rows, config.profile_width), variance, dtype)
    bilinear = draw_normal(rng, (width, width), variance, dtype)
    return Params(items, profile, bilinear, draw_layers(rng, widths, dtype))


def draw_normal(
    rng: np.random.Generator, shape: tuple[int, int], variance: float, dtype: str
) -> Array:
    """Return N(0, variance) of the shape, drawn in float64 and rounded to the dtype."""
    return (np.sqrt(variance) * rng.standard_normal(shape)).astype(dtype)


def draw_layers(rng: np.random.Generator, widths: Sequence[int], dtype: str) -> tuple[Layer, ...]:
    """Return the initial layers between successive widths: weights He, zero biases."""
    return tuple(
        Layer(draw_normal(rng, (i, o), 2 / i, dtype), np.zeros(o, dtype))  # model-R20: He 2015
        for i, o in pairwise(widths)
    )


def flatten(params: Tables) -> dict[str, Array]:
    """Return name -> array; of MIND: items, profile, bilinear, layers.0.weight, layers.0.bias."""
    return named_tables(params)


def unflatten(arrays: Mapping[str, Array], kind: type[Any] = Params) -> Any:
    """Return the parameters of type `kind` from the arrays of `flatten`.

    A family that is fitted in one call has type dict. Raises KeyError for a missing array.
    """
    if kind is dict:
        return dict(arrays)
    fields = kind._fields
    return kind(*(layers_of(arrays, x) if x in LAYERED else arrays[x] for x in fields))


def layers_of(arrays: Mapping[str, Array], field: str) -> tuple[Layer, ...]:
    """Return the layers of a field. Raises KeyError for a missing array."""
    stem, end = f"{field}.", ".weight"
    count = sum(name.startswith(stem) and name.endswith(end) for name in arrays)
    return tuple(
        Layer(arrays[f"{stem}{i}.weight"], arrays[f"{stem}{i}.bias"]) for i in range(count)
    )


def copy_tables(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return copies of arrays under their names."""
    return {name: x.copy() for name, x in arrays.items()}


def copy_params(params: Copied) -> Copied:
    """Return a deep copy of the parameters, which later steps do not change."""
    return cast(Copied, unflatten(copy_tables(flatten(params)), type(params)))


def flatten_gradients(gradients: Tables) -> dict[str, Array | RowGradient]:
    """Return the gradients under the names of `flatten`."""
    return named_tables(gradients)


def named_tables(tables: Tables) -> dict[str, Any]:
    """Return the fields of parameters, or of their gradients, under the names of a file."""
    if isinstance(tables, dict):
        return dict(tables)
    by_name: dict[str, Any] = {}
    for name, x in tables._asdict().items():
        if name not in LAYERED:
            by_name[name] = x
            continue
        for i, layer in enumerate(x):  # model-R22, din-R10
            by_name |= {f"{name}.{i}.weight": layer.weight, f"{name}.{i}.bias": layer.bias}
    return by_name


def catalogue_of_ids(items: int, dtype: str) -> Catalogue:
    """Return the catalogue of items without features."""
    return Catalogue(np.arange(items, dtype=np.int64)[:, None], np.ones((items, 1), dtype))


def check_shapes(arrays: Mapping[str, Array], expected: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ValueError unless the arrays are numeric and have these names and shapes."""
    if any(x.dtype.kind not in "fiu" for x in arrays.values()):
        raise ValueError("arrays of other than numbers")
    shapes = {name: x.shape for name, x in arrays.items()}
    if shapes != dict(expected):
        raise ValueError(f"arrays {shapes}, not {dict(expected)}")
