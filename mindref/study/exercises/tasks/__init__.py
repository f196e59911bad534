"""The exercises: `stem.toml` has the texts and the solution of one, a module the cases of several.

A module has TASKS: the name of each of its exercises, with the cases. An exercise with
`cases_of = "route"` in its texts uses the cases of `route`.
"""

from __future__ import annotations

from mindref.study.exercises.cases import ExerciseTask


def find_task(name: str) -> ExerciseTask:
    """Return the cases of an exercise. Raises KeyError for a name without cases."""
    from mindref.study.exercises.tasks import (
        attention,
        embedding,
        routing,
        sampled_softmax,
        softmax,
        squash,
        training,
        votes,
    )

    modules = (softmax, squash, votes, routing, attention, sampled_softmax, embedding, training)
    tasks = {name: task for module in modules for name, task in module.TASKS.items()}
    return tasks[name]
