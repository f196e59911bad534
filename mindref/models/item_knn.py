"""Item k-nearest-neighbours: scores are sums of item similarities.

Spec: specs/baselines.md. Source: Sarwar et al., WWW 2001; the weights are those of `implicit`
(Frederickson). Differs: the scores depend only on the history, and recent behaviours can have
larger weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
from scipy import sparse

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.models.family import FittedFamily, SparseScores
from mindref.models.parameters import FittedParams, Sizes, check_shapes
from mindref.ops.embedding import check_row_indices
from mindref.shapes import Array, Bools, Ints

MAX_PAIRS = 4_000_000_000  # products of a fit, in the order of 15 seconds
BLOCK = 1 << 22  # similarities in memory before the largest are selected, 50 MB


def fit_item_knn(
    sequences: Ragged, sizes: Sizes, config: Config, *, needed: Ints | None = None
) -> FittedParams:
    """Return the similarity of items, a sparse matrix (N, N) as data, indices and indptr.

    Each row has the `neighbours` most similar items of an item; the item itself may be one. k1 and
    b are parameters of bm25 and ignored otherwise. needed: ids of the items that have rows; the
    rows of other items are empty. Default: all. If the fit would need more than MAX_PAIRS products,
    only the ends of the sequences are used. Takes 16 bytes per similarity that is kept, at most
    16 `neighbours` per row, and BLOCK numbers.
    """
    neighbours = config.neighbours
    user_items = interaction_weights(limit_pairs(sequences, MAX_PAIRS), sizes.items)
    weights = item_weights(user_items, config.similarity, config.k1, config.b)
    users = weights.T.tocsr()
    ids = np.arange(sizes.items) if needed is None else np.unique(needed)  # baselines-R21
    rows, products = weights[ids], np.minimum(count_products(user_items)[ids], sizes.items)
    similar = SparseRows(int(np.minimum(products, neighbours).sum()))
    for block in similarity_blocks(products):
        similar.add(keep_largest(rows[block] @ users, neighbours))  # baselines-R9
    return similar.arrays(ids, sizes.items)


def interaction_weights(
    rows: Ragged, items: int, *, decay: float = 1.0, sum_repeats: bool = False
) -> sparse.csr_matrix:
    """Return a sparse matrix (R, N) of float64: decay^r if the row has the item, else zero.

    r is the number of behaviours after the last occurrence of the item. Earlier occurrences are
    ignored, or with `sum_repeats` add their decay^r. decay in (0, 1]; with 1 all weights are equal.
    Column ids ascend in a row. Raises ShapeError for an item outside the catalogue, ConfigError for
    the decay.
    """
    check_row_indices("items", rows.values, items)  # baselines-R5
    if not 0 < decay <= 1:
        raise ConfigError(say("decay", "a number above 0 and at most 1", decay))
    row = np.repeat(np.arange(len(rows)), rows.lengths)
    keys = (row * items + rows.values)[::-1]
    since = (rows.offsets[1:][row] - 1 - np.arange(len(row)))[::-1]
    values = np.power(decay, since.astype(np.float64))  # baselines-R6
    if not sum_repeats:
        keys, first = np.unique(keys, return_index=True)  # baselines-R3: the last of repeated items
        values = values[first]
    coordinates = (keys // items, keys % items)
    # adds up the values of repeated coordinates
    return sparse.csr_matrix((values, coordinates), shape=(len(rows), items))


def limit_pairs(train: Ragged, max_pairs: int) -> Ragged:
    """Return the ends of the sequences; the longest length is halved until few pairs remain.

    A fit adds up as many products as there are pairs: the sum of squared lengths.
    """
    while (train.lengths.astype(np.int64) ** 2).sum() > max_pairs and train.lengths.max() > 1:
        train = train.ends(int(train.lengths.max()) // 2)  # baselines-R18
    return train


class SparseRows:
    """The rows of a sparse matrix, in arrays of a given capacity. Unused capacity has no memory."""

    def __init__(self, capacity: int) -> None:
        self.data: Array = np.empty(capacity)
        self.indices: Ints = np.empty(capacity, np.int64)
        self.size = 0
        self.lengths: list[Ints] = []

    def add(self, block: sparse.csr_matrix) -> None:
        """Append the rows of a sparse matrix."""
        stop = self.size + block.nnz
        self.data[self.size : stop], self.indices[self.size : stop] = block.data, block.indices
        self.size = stop
        self.lengths.append(np.diff(block.indptr))

    def arrays(self, ids: Ints, items: int) -> FittedParams:
        """Return data, indices and indptr of a matrix (N, N) that has these rows at `ids`."""
        lengths = np.zeros(items + 1, np.int64)
        lengths[ids + 1] = np.concatenate([*self.lengths, np.zeros(0, np.int64)])
        for array in (self.data, self.indices):
            array.resize(self.size, refcheck=False)
        return {"data": self.data, "indices": self.indices, "indptr": np.cumsum(lengths)}


def item_weights(
    user_items: sparse.csr_matrix, similarity: str, k1: float, b: float
) -> sparse.csr_matrix:
    """Return the weight of each user in each item, sparse (N, R), from the sets of items (R, N)."""
    items = user_items.shape[1]
    weights = user_items.T.tocsr()
    num_users = np.diff(weights.indptr)
    item = np.repeat(np.arange(items), num_users)
    if similarity != "cosine":
        idf = np.log(items) - np.log1p(np.diff(user_items.indptr))
        weights.data = idf[weights.indices]
    if similarity == "bm25":
        length = 1 - b + b * num_users / (num_users.mean() or 1.0)
        weights.data *= ((k1 + 1) / (k1 * length + 1))[item]
    else:
        norm = np.sqrt(np.bincount(item, weights.data**2, minlength=items))
        weights.data /= np.where(norm > 0, norm, 1)[item]
    return weights


def count_products(user_items: sparse.csr_matrix) -> Ints:
    """Return the number of products that each row of the similarities adds up, (N,)."""
    items, lengths = user_items.shape[1], np.diff(user_items.indptr)
    weights = np.repeat(lengths, lengths)
    return np.bincount(user_items.indices, weights, minlength=items).astype(np.int64)


def similarity_blocks(products: Ints) -> Iterator[slice]:
    """Yield slices of rows. A slice has at most BLOCK similarities and those of one row."""
    block = np.cumsum(products) // BLOCK
    bounds = [0, *(np.flatnonzero(np.diff(block)) + 1).tolist(), len(products)]
    return (slice(start, stop) for start, stop in pairwise(bounds))


def keep_largest(similar: sparse.csr_matrix, count: int) -> sparse.csr_matrix:
    """Return the rows of a sparse matrix with the `count` largest entries of each, in place."""
    starts = similar.indptr
    for row in np.flatnonzero(np.diff(starts) > count):  # baselines-R10
        entries = slice(starts[row], starts[row + 1])
        values = similar.data[entries]
        values[~largest_mask(values, similar.indices[entries], count)] = 0
    similar.eliminate_zeros()
    similar.sort_indices()
    return similar


def largest_mask(values: Array, ids: Ints, count: int) -> Bools:
    """Return which of the values (M,) are the `count` largest; of equal ones, the lower ids."""
    threshold = np.partition(values, -count)[-count]
    mask: Bools = values > threshold
    tied = np.flatnonzero(values == threshold)
    lower = np.argsort(ids[tied])  # baselines-R16
    mask[tied[lower[: count - np.count_nonzero(mask)]]] = True
    return mask


def score_neighbours(arrays: FittedParams, histories: Ragged, config: Config) -> SparseScores:
    """Map histories (C rows) to a score of every item (C, N), float64; zeros for an empty history.

    The score is the sum of the similarities to the items of the history, weighted by decay^r,
    where r behaviours follow the item and decay is `history_decay`. Raises ShapeError for an item
    outside the catalogue.
    """
    similar = similarity_matrix(arrays)
    weights = interaction_weights(histories, similar.shape[1], decay=config.history_decay)
    items = similar.shape[1]
    return SparseScores(weights @ similar, np.zeros(items), np.arange(items))  # baselines-R11


def similarity_matrix(arrays: Mapping[str, Array]) -> sparse.csr_matrix:
    """Return the fitted similarities as a sparse matrix (N, N), without a copy."""
    items = len(arrays["indptr"]) - 1
    similar = sparse.csr_matrix((items, items))
    for name in ("data", "indices", "indptr"):  # the constructor would convert the indices
        setattr(similar, name, arrays[name])
    return similar


def check_similarities(arrays: Mapping[str, Array], items: int) -> None:
    """Raise ValueError unless the arrays are the rows of a sparse matrix (N, N)."""
    count = arrays["data"].shape if "data" in arrays else ()
    shapes = {"data": count[:1], "indices": count[:1], "indptr": (items + 1,)}
    check_shapes(arrays, shapes)
    starts, columns = arrays["indptr"], arrays["indices"]
    if starts.dtype.kind != "i" or columns.dtype.kind != "i":
        raise ValueError("indices of a sparse matrix that are no integers")
    # compared, because a difference of the largest integers wraps around
    if starts[0] != 0 or starts[-1] != len(columns) or (starts[1:] < starts[:-1]).any():
        raise ValueError("rows of a sparse matrix that begin after they end")
    if columns.min(initial=0) < 0 or columns.max(initial=-1) >= items:
        raise ValueError(f"columns of a sparse matrix beyond {items}")


FAMILY = FittedFamily(
    name="item_knn",
    fit=fit_item_knn,
    scores=score_neighbours,
    fit_needed=lambda sequences, sizes, config, needed: fit_item_knn(
        sequences, sizes, config, needed=needed
    ),
    check_arrays=check_similarities,
    memory=lambda config, sizes: 2 * config.neighbours * sizes.items,
)
