"""Scripts that measure speed and memory for the tables of specs/; each prints its table."""
