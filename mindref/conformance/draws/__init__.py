"""Hypothesis strategies that draw calls, and changes of calls that properties need.

The strategies of an operator are in its check module; those of models and trainings are here.
"""
