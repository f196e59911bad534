"""Item k-nearest-neighbours: scores are sums of item similarities.

Spec: specs/baselines.md. Source: Sarwar et al., WWW 2001; weights and fit are those of `implicit`
(Frederickson). Differs: the scores depend only on the history, and recent behaviours can have
larger weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import sparse

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.models.family import FittedFamily
from mindref.models.interactions import (
    import_implicit,
    interaction_weights,
    one_thread,
    require_library,
)
from mindref.models.parameters import Sizes, check_shapes
from mindref.shapes import Array

SIMILARITIES = {
    "bm25": "BM25Recommender",
    "tfidf": "TFIDFRecommender",
    "cosine": "CosineRecommender",
}


def fit_item_knn(
    sequences: Ragged,
    sizes: Sizes,
    config: Config,
    *,
    similarity: str = "bm25",
    neighbours: int = 500,
    k1: float = 1.2,
    b: float = 0.75,
) -> dict[str, Array]:
    """Return the similarity of items, a sparse matrix (N, N) as data, indices and indptr.

    Each row has the `neighbours` most similar items of an item; the item itself may be one. k1 and
    b are parameters of bm25 and ignored otherwise. Raises ConfigError for an unknown similarity,
    and if the package `implicit` is not installed.
    """
    if similarity not in SIMILARITIES:  # baselines-R12
        raise ConfigError(say("similarity", " or ".join(SIMILARITIES), repr(similarity)))
    parameters = {"K1": k1, "B": b} if similarity == "bm25" else {}
    make = getattr(import_implicit("nearest_neighbours"), SIMILARITIES[similarity])  # baselines-R9
    model = make(K=min(neighbours, sizes.items), num_threads=1, **parameters)  # baselines-R10
    with one_thread():
        model.fit(interaction_weights(sequences, sizes.items), show_progress=False)
    similarity_matrix = sparse.csr_matrix(model.similarity)
    similarity_matrix.eliminate_zeros()
    similarity_matrix.sort_indices()
    return {
        "data": similarity_matrix.data.astype(np.float64),
        "indices": similarity_matrix.indices.astype(np.int64),
        "indptr": similarity_matrix.indptr.astype(np.int64),
    }


def score_neighbours(
    arrays: dict[str, Any], histories: Ragged, config: Config, *, decay: float = 1.0
) -> Array:
    """Map histories (C rows) to a score of every item (C, N), float64; zeros for an empty history.

    The score is the sum of the similarities to the items of the history, weighted by decay^r,
    where r behaviours follow the item. The result takes 8 C N bytes. Raises ShapeError for an item
    outside the catalogue, ConfigError for the decay.
    """
    items = len(arrays["indptr"]) - 1
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    similar = sparse.csr_matrix(parts, shape=(items, items))
    # baselines-R11
    item_scores: Array = (interaction_weights(histories, items, decay=decay) @ similar).toarray()
    return item_scores


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
    check_arrays=check_similarities,
    require_packages=require_library,  # baselines-R4
    fit_settings={"similarity": "similarity", "neighbours": "neighbours", "k1": "k1", "b": "b"},
    serving_settings={"decay": "history_decay"},
)
