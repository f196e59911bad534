"""Report formats of a run: each module is a format, and `summary` is the source of the texts.

A script of `reproduction` contains `reproduction_template` and `runner.backend_answers`.
"""
