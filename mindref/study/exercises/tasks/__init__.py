"""The exercises: `stem.toml` is what the learner reads, `stem.py` the cases that judge an answer.

A module has `groups(rng)`, `reference(given)`, `terms(given, part, index)` and, where gradients are
asked for, `loss(given)`; see `mindref.study.exercises.cases.Task`.
"""
