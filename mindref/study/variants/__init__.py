"""Deviations of public implementations, and their effect on one user.

entries     the table catalogue.toml; each row names a mutant of the conformance suite
setups      settings and inputs of both sides under which the difference appears
measures    the compared numbers
comparison  reference and variant side by side
violations  the invariants and properties that a variant violates
"""

from mindref.study.variants.comparison import VariantComparison, compare_variants
from mindref.study.variants.entries import (
    VariantEntry,
    build_variant,
    find_variant,
    variant_names,
    variants_of_step,
)

__all__ = [
    "VariantComparison",
    "VariantEntry",
    "compare_variants",
    "build_variant",
    "find_variant",
    "variant_names",
    "variants_of_step",
]
