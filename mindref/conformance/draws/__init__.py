"""Hypothesis strategies that draw calls of a backend, and functions that change drawn calls.

Strategies for models and trainings are here. Strategies for operators are in `checks`.
"""
