"""The n best items of each user, over the whole catalogue, and the two baselines.

Spec: specs/recall.md. Importing this compiles nothing and does not import Numba.
"""

from mindref.ranking.baselines import popularity, random
from mindref.ranking.checks import check, check_values
from mindref.ranking.lists import Ranked
from mindref.ranking.scored import by_scores
from mindref.ranking.search import rerank, top_n
from mindref.ranking.unite import in_parts, unite

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
