"""The exercises: `stem.toml` has the texts and the solution of one, a module the cases of several.

A module has TASKS: the name of each of its exercises, with the cases. An exercise with
`cases_of = "route"` in its texts uses the cases of `route`.
"""

from __future__ import annotations

from mindref.study.exercises.cases import ExerciseTask


def find_task(name: str) -> ExerciseTask:
    """Return the cases of an exercise."""
    from mindref.study.exercises.tasks import (
        attention,
        routing,
        sampled_softmax,
        softmax,
        squash,
        training,
        votes,
    )

    modules = (softmax, squash, votes, routing, attention, sampled_softmax, training)
    return next(module.TASKS[name] for module in modules if name in module.TASKS)
