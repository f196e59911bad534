"""Hypothesis strategies that draw calls, and functions that change calls to test properties.

An operator's strategy is in its check module. The strategies of models and trainings are here.
"""
