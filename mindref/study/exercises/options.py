"""The options of the command line that are about exercises, and what they lead to."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import click

from mindref.errors import ConfigError, say


class Asked(NamedTuple):
    """What was asked for on the command line."""

    exercise: str | None = None
    exercises: bool = False
    check: bool = False
    watch: bool = False
    hint: bool = False
    solution: bool = False
    give_up: bool = False
    reset: bool = False
    yes: bool = False
    folder: Path = Path("exercises")

    @property
    def actions(self) -> list[str]:
        """Return what is to be done with the exercise; one thing at most."""
        return [n for n in ("check", "watch", "hint", "solution", "reset") if getattr(self, n)]


OPTIONS = (
    click.option("--exercise", metavar="NAME", help="Begin an exercise, or go on with it."),
    click.option("--exercises", is_flag=True, help="List the exercises, and which are passed."),
    click.option("--check", is_flag=True, help="Check your file of the exercise."),
    click.option("--watch", is_flag=True, help="Check it whenever it is saved; q ends."),
    click.option("--hint", is_flag=True, help="The next of three hints."),
    click.option("--solution", is_flag=True, help="The solution, after passing."),
    click.option("--give-up", is_flag=True, help="With --solution: before passing, too."),
    click.option("--reset", is_flag=True, help="Put the starter back; your file is kept as .old."),
    click.option("--yes", is_flag=True, help="With --reset: do not ask."),
    click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default="exercises",
        show_default=True,
        help="Where your files of the exercises are.",
    ),
)


def exercise_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the function is given what came of them as `asked`, an `Asked`."""

    @wraps(function)
    def gathering(*arguments: Any, **given: Any) -> Any:
        asked = Asked(**{name: given.pop(name) for name in Asked._fields})
        return function(*arguments, asked=asked, **given)

    decorated: Callable[..., Any] = gathering
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    return decorated


def check_use(asked: Asked) -> None:
    """Raise ConfigError for options that do not go together."""
    actions = asked.actions
    given = [f"--{name}" for name in actions]
    if len(given) > 1:
        raise ConfigError(say(" ".join(given), "one of them", len(given)))
    if (actions or asked.give_up or asked.yes) and asked.exercise is None:
        named = given or ["--give-up" if asked.give_up else "--yes"]
        todo = "see the list: mindref study --exercises"
        raise ConfigError(say(named[0], "--exercise NAME with it", "none", todo))
    if asked.give_up and actions != ["solution"]:
        raise ConfigError(say("--give-up", "--solution with it", "none"))
    if asked.yes and actions != ["reset"]:
        raise ConfigError(say("--yes", "--reset with it", "none"))


def carry_out(asked: Asked) -> int | None:
    """Do what was asked and return the exit code; None if nothing about exercises was asked.

    Raises MindrefError for a wrong use.
    """
    check_use(asked)
    if asked.exercise is None and not asked.exercises:
        return None
    from mindref.study.exercises import commands, watching
    from mindref.study.exercises.desk import Desk

    desk, echo, name = Desk(asked.folder), click.echo, asked.exercise
    if name is None:
        return commands.listing(desk, echo)
    if asked.reset:
        return commands.reset(name, desk, echo, lambda text: asked.yes or click.confirm(text))
    if asked.solution:
        return commands.solution(name, desk, echo, give_up=asked.give_up)
    does = commands.hint if asked.hint else commands.check if asked.check else commands.start
    return (watching.watch if asked.watch else does)(name, desk, echo)
