"""Hypothesis strategies that draw calls of a backend, and functions that change drawn calls.

An operator's strategy is in its check module. The strategies of models and trainings are here.
"""
