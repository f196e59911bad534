"""Golden values: their files, and the checks against them."""
