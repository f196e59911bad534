"""The n best items of each user, over the whole catalogue, and the two baselines.

Spec: specs/recall.md. Importing this compiles nothing and does not import Numba.
"""

from mindref.evaluation.top_n.baselines import popularity, random
from mindref.evaluation.top_n.checks import check, check_values
from mindref.evaluation.top_n.lists import Ranked
from mindref.evaluation.top_n.scored import by_scores
from mindref.evaluation.top_n.search import rerank, top_n
from mindref.evaluation.top_n.unite import in_parts, unite

__all__ = [
    "Ranked",
    "by_scores",
    "check",
    "check_values",
    "in_parts",
    "popularity",
    "random",
    "rerank",
    "top_n",
    "unite",
]
