"""Checks of training steps of mind_plus (level 3). Spec: specs/mind_plus.md."""

from __future__ import annotations

from functools import partial

from mindref.conformance.draws.training_draws import draw_trainings
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.check import add_check, add_comparison
from mindref.conformance.runner.context import CheckContext

draw_steps = partial(draw_trainings, model="mind_plus")
draw_stable_steps = partial(draw_steps, iterations=1, hidden=())
"""Draws trainings whose rounding errors stay small, even after three steps."""


@add_comparison("mind_plus-R18, R19", draws=draw_steps(steps=1), stem="training", fraction=0.5)
def step_with_additions_matches() -> None:
    """After one step, the loss and every parameter of mind_plus must match the reference."""


@add_comparison(
    "mind_plus-R19, R18",
    draws=draw_stable_steps(steps=3, attention="pooled"),
    stem="training",
    fraction=0.5,
)
def pooled_steps_match() -> None:
    """After three steps on the pooled loss, losses and parameters must match the reference."""


@add_check(
    "mind_plus-R19, backend-R15", draws=draw_stable_steps(steps=2), stem="training", fraction=0.25
)
def training_of_additions_resumes(context: CheckContext, call: Call) -> None:
    """A resumed training of mind_plus must end in the same bytes as one without interruption."""
    context.assert_equal(context.run(call.change(pause=1)), context.run(call))
