"""Deviations of public implementations, and their effect on one user.

entries     the table catalogue.toml; each row names a mutant of the conformance suite
setups      settings and inputs of both sides under which the difference appears
measures    the compared numbers
comparison  reference and variant side by side
violations  the invariants and properties that a variant violates
"""

from mindref.study.variants.comparison import VariantComparison, compare_variants
from mindref.study.variants.entries import find_variant, variant_names

__all__ = ["VariantComparison", "compare_variants", "find_variant", "variant_names"]
