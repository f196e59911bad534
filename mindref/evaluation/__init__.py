"""Evaluation on held-out data: top-n search, metrics, interest statistics, baselines."""
