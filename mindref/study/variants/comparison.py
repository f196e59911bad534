"""Reference and variant for the same user and the same initial logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mindref.conformance.mutants import loader
from mindref.study import json_arrays
from mindref.study import user_summary as outcomes
from mindref.study.user_summary import UserSummary
from mindref.study.variants import setups
from mindref.study.variants.entries import VariantEntry, find_variant, variant_names
from mindref.study.variants.measures import MEASURES
from mindref.study.variants.violations import Violation, failed_properties, variant_violations

if TYPE_CHECKING:
    from mindref.study.tracing import TrainingPair


class MeasuredPair(NamedTuple):
    """One measured number of reference and variant."""

    name: str
    text: str
    reference: float
    variant: float


class VariantComparison(NamedTuple):
    """The results of one variant for one user."""

    entry: VariantEntry
    setup: str  # as text; empty without a setup
    reference: UserSummary
    variant: UserSummary
    measured: tuple[MeasuredPair, ...]
    largest: dict[str, float]  # largest difference of w, v, h, loss, gradient
    shared: int  # number of items in both lists
    violations: tuple[Violation, ...]  # violated invariants in the trace of the variant
    failed_properties: tuple[Violation, ...]  # violated properties of several passes

    @property
    def differs(self) -> tuple[str, ...]:
        """Return the names of the results that differ for this user."""
        lists = ("top",) if self.shared < len(self.reference.top) else ()
        return tuple(name for name, gap in self.largest.items() if gap > 0) + lists

    @property
    def no_difference_text(self) -> str:
        """Return why no number differs for this user; empty if a number differs."""
        if self.differs:
            return ""
        masks = {"inactive interest": self.reference.active, "padding": self.reference.mask}
        lacks = " and no ".join(noun for noun, mask in masks.items() if mask.all())
        if not lacks:
            return "No number differs for this user."
        text = f"No number differs: this user has no {lacks}."
        return f"{text} Choose a user with fewer films: --user ID."

    @property
    def effect(self) -> str:
        """Return the effect of the variant, with its condition if no number differs."""
        text = self.entry.effect
        if not text or self.differs:
            return text
        return f"if a user has an inactive interest or padding: {text}"

    @property
    def no_violation_text(self) -> str:
        """Return why no invariant fails; empty if an invariant fails."""
        return "" if self.violations or not self.differs else self.entry.no_violation

    def to_json(self, titles: Sequence[str] | None = None) -> dict[str, Any]:
        """Return JSON values."""
        entry, mutant = self.entry, self.entry.mutant
        return {
            "name": entry.name,
            "title": entry.title,
            "what": mutant.description,
            "does": self.effect,
            "rule": mutant.rule,
            "step": entry.step,
            "seen": [seen._asdict() for seen in entry.seen],
            "setup": {
                "text": self.setup,
                "changes": json_arrays.numbers_to_json(entry.setup.config),
            },
            "reference": self.reference.to_json(titles) if entry.setup.changes_reference else None,
            "variant": self.variant.to_json(titles, entry.gradient),
            "measured": [json_arrays.numbers_to_json(m._asdict()) for m in self.measured],
            "differs": list(self.differs),
            "no_difference_text": self.no_difference_text,
            "violations": [violation.to_json() for violation in self.violations],
            "no_violation_text": self.no_violation_text,
            "failed_properties": [violation.to_json() for violation in self.failed_properties],
            "largest": json_arrays.numbers_to_json(self.largest),
        }


def compare_variants(
    pair: TrainingPair, only: Iterable[str] | None = None, titles: Sequence[str] | None = None
) -> list[VariantComparison]:
    """Return every variant, or `only` some, compared with the reference for one user.

    titles: one for each item, default numbers. Raises ConfigError for an unknown name.
    """
    reference_summaries: dict[str, UserSummary] = {}  # summaries of the reference, by setup
    selected = variant_names() if only is None else only
    return [
        compare_variant(pair, find_variant(name), reference_summaries, titles) for name in selected
    ]


def compare_variant(
    pair: TrainingPair,
    entry: VariantEntry,
    reference_summaries: dict[str, UserSummary],
    titles: Sequence[str] | None = None,
) -> VariantComparison:
    """Return the comparison of one variant, with its setup."""
    setup = entry.setup
    prepared = setups.apply_setup(pair, setup)
    key = repr(setup._replace(other_user_first=False))  # the reference keeps no state
    if key not in reference_summaries:
        reference_summaries[key] = outcomes.summarise_user(prepared)
    reference = reference_summaries[key]
    modules = loader.build_mutant(entry.mutant)
    setups.serve_other_user(prepared, setup, modules)
    variant = outcomes.summarise_user(prepared, modules)
    measures = [MEASURES[name] for name in entry.measures]
    numbers = tuple(MeasuredPair(m.name, m.text, *m.of(reference, variant)) for m in measures)
    shared = len({f.item for f in reference.top} & {f.item for f in variant.top})
    return VariantComparison(
        entry,
        setups.describe_setup(pair, setup, titles),
        reference,
        variant,
        numbers,
        largest_differences(reference, variant, entry.gradient),
        shared,
        variant_violations(prepared, entry),
        failed_properties(prepared, entry.mutant, entry.gradient),
    )


def largest_differences(
    reference: UserSummary, variant: UserSummary, gradient: bool
) -> dict[str, float]:
    """Return the largest difference of each result; of the gradient only if `gradient`."""
    pairs = {
        "w": (reference.w, variant.w),
        "v": (reference.v, variant.v),
        "h": (reference.h, variant.h),
        "loss": (np.array(reference.loss), np.array(variant.loss)),
    }
    if gradient:
        pairs["gradient"] = (reference.d_bilinear, variant.d_bilinear)
    return {name: float(np.abs(a - b).max(initial=0)) for name, (a, b) in pairs.items()}
