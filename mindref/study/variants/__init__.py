"""The variant bench: what public implementations do differently, and what it does to one user.

entries    the table, catalogue.toml; each row names a mistake of the judge's own catalogue
scenes     what has to be set up, for both sides alike, so that a difference shows
measures   the telling numbers
bench      both sides, computed and compared, and the invariants that ring
"""

from mindref.study.variants.bench import Case, bench
from mindref.study.variants.entries import Entry, built, find, names, of_step

__all__ = ["Case", "Entry", "bench", "built", "find", "names", "of_step"]
