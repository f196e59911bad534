"""Item k-nearest-neighbours: what goes with the items of a history.

Spec: specs/baselines.md. Source: Sarwar et al., WWW 2001; the weights are those of `implicit`
(Frederickson), which fits. Differs: an answer depends on the history alone, and late behaviours can
count for more than early ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from mindref.config import Config
from mindref.data.log import Ragged
from mindref.errors import ConfigError, say
from mindref.models.interactions import library, one_thread, weights
from mindref.models.parameters import Sizes
from mindref.shapes import Array

SIMILARITIES = {
    "bm25": "BM25Recommender",
    "tfidf": "TFIDFRecommender",
    "cosine": "CosineRecommender",
}


def fit(
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

    Each row has the `neighbours` most similar items of an item, of which it may be one itself; k1
    and b are those of bm25 and mean nothing to the others. Raises ConfigError for an unknown
    similarity, and where the package `implicit` is not installed.
    """
    if similarity not in SIMILARITIES:  # baselines-R12
        raise ConfigError(say("similarity", " or ".join(SIMILARITIES), repr(similarity)))
    own = {"K1": k1, "B": b} if similarity == "bm25" else {}
    make = getattr(library("nearest_neighbours"), SIMILARITIES[similarity])  # baselines-R9
    model = make(K=min(neighbours, sizes.items), num_threads=1, **own)  # baselines-R10
    with one_thread():
        model.fit(weights(sequences, sizes.items), show_progress=False)
    found = sparse.csr_matrix(model.similarity)
    found.eliminate_zeros()
    found.sort_indices()
    return {
        "data": found.data.astype(np.float64),
        "indices": found.indices.astype(np.int64),
        "indptr": found.indptr.astype(np.int64),
    }


def scores(
    arrays: dict[str, Any], histories: Ragged, config: Config, *, decay: float = 1.0
) -> Array:
    """Map histories (C rows) to a score of every item (C, N), float64; zeros for an empty one.

    The score is the sum of the similarities from the items of the history, each weighed by
    decay^r where r behaviours follow it. Bring as many histories at a time as C N numbers may be
    held. Raises ShapeError for an item outside the catalogue, ConfigError for the decay.
    """
    items = len(arrays["indptr"]) - 1
    parts = (arrays["data"], arrays["indices"], arrays["indptr"])
    similar = sparse.csr_matrix(parts, shape=(items, items))
    found: Array = (weights(histories, items, decay=decay) @ similar).toarray()  # baselines-R11
    return found
