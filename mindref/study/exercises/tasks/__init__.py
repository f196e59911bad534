"""The exercises: `stem.toml` has the texts and the solution, `stem.py` the cases.

A module has TASK, an instance of a subclass of `mindref.study.exercises.cases.ExerciseTask`. An
exercise with `cases_of = "route"` in its texts has no module and uses the cases of `route`.
"""
