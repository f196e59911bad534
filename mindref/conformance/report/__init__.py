"""Formats of the report of a run: terminal, JSON, Markdown and JUnit. `summary` has their texts.

A script that `reproduction` writes contains `reproduction_template` and `backend_answers`.
"""
