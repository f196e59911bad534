"""Top-n lists over the whole catalogue: exact search by interests or by scores, and baselines.

exact_search   `search_top_n`, by interests; `top_n_by_score`; `unite_lists`, `rescore_candidates`
sparse_search  `top_n_by_sparse_score`
baselines      popularity and random lists

Spec: specs/recall.md. Importing this package compiles nothing and does not import Numba.
"""

from mindref.evaluation.top_n.baselines import popularity_top_n, random_top_n
from mindref.evaluation.top_n.checks import check_search_inputs, check_values
from mindref.evaluation.top_n.exact_search import (
    rescore_candidates,
    run_slices,
    search_top_n,
    top_n_by_score,
    unite_lists,
)
from mindref.evaluation.top_n.result import TopN
from mindref.evaluation.top_n.sparse_search import top_n_by_sparse_score

__all__ = [
    "TopN",
    "top_n_by_score",
    "top_n_by_sparse_score",
    "check_search_inputs",
    "check_values",
    "run_slices",
    "popularity_top_n",
    "random_top_n",
    "rescore_candidates",
    "search_top_n",
    "unite_lists",
]
