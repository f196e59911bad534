"""Evaluation of top-n lists on held-out cases: metrics, baselines, interest statistics."""

LIST_LENGTHS = (10, 20, 50, 100)
"""n of hit_rate@n and of the other metrics. The paper reports 10, 50 and 100."""

LONGEST = 100_000
"""Maximum length of a list, as in `mindref recall`."""

SEEN_TARGETS = "targets that the user has had"
"""Name of a count in a report."""
