"""The views of the page other than the trace, as JSON "mindref.derived-views/1".

reference    summary of the user, for comparison with variants
variants     deviations of public implementations for this user
ambiguities  readings of ambiguous points of the paper, each computed
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mindref.study import ambiguities, user_summary, variants

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair

FORMAT = "mindref.derived-views/1"


def derive_views(
    pair: TrainingPair, titles: Sequence[str] | None = None, only: Iterable[str] | None = None
) -> dict[str, Any]:
    """Return variants (all, or `only` some) and ambiguities as JSON values.

    titles: one for each item, default numbers. Raises ConfigError for an unknown variant.
    """
    cases = variants.compare_variants(pair, only, titles)  # first, because it may raise an error
    return {
        "format": FORMAT,
        "reference": user_summary.summarise_user(pair).to_json(titles),
        "variants": [case.to_json(titles) for case in cases],
        "ambiguities": [card.to_json() for card in ambiguities.compute_cards(pair, titles=titles)],
    }
