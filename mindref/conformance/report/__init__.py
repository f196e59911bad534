"""Formats of the report of a run: terminal, JSON, Markdown and JUnit. `summary` has their texts.

A script of `reproduction` contains the code of `reproduction_template` and `backend_answers`.
"""
