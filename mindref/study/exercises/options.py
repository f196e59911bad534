"""The command-line options of the exercises, and the commands that they run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from mindref.errors import ConfigError, printable, say

Function = TypeVar("Function", bound=Callable[..., Any])


class ExerciseOptions(NamedTuple):
    """The values of the options."""

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
        """Return the selected actions; at most one is valid."""
        return [n for n in ("check", "watch", "hint", "solution", "reset") if getattr(self, n)]


OPTIONS = (
    click.option("--exercise", metavar="NAME", help="Start an exercise or continue it."),
    click.option("--exercises", is_flag=True, help="List the exercises and your progress."),
    click.option("--check", is_flag=True, help="Check your file of the exercise."),
    click.option("--watch", is_flag=True, help="Check your file at every save; q ends."),
    click.option("--hint", is_flag=True, help="Print the next of three hints."),
    click.option("--solution", is_flag=True, help="Print the solution, after passing."),
    click.option("--give-up", is_flag=True, help="With --solution: also before passing."),
    click.option("--reset", is_flag=True, help="Restore the starter; your file is kept as .old."),
    click.option("--yes", is_flag=True, help="With --reset: no confirmation."),
    click.option(
        "--folder",
        type=click.Path(file_okay=False, path_type=Path),
        default="exercises",
        show_default=True,
        help="Folder of your exercise files.",
    ),
)


def exercise_options(function: Function) -> Function:
    """Add the options of ExerciseOptions to a command."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def check_exercise_options(settings: ExerciseOptions) -> None:
    """Raise ConfigError for options that cannot be combined."""
    actions = settings.actions
    flags = [f"--{name}" for name in actions]
    if len(flags) > 1:
        raise ConfigError(say(" ".join(flags), "one of these options", len(flags)))
    if (actions or settings.give_up or settings.yes) and settings.exercise is None:
        flag = flags[0] if flags else "--give-up" if settings.give_up else "--yes"
        todo = "list the names with mindref study --exercises"
        raise ConfigError(say(flag, "--exercise NAME with it", "none", todo))
    if settings.give_up and actions != ["solution"]:
        raise ConfigError(say("--give-up", "--solution with it", "none"))
    if settings.yes and actions != ["reset"]:
        raise ConfigError(say("--yes", "--reset with it", "none"))


def print_exercise_line(text: str) -> None:
    """Print a line, whose control characters are escaped."""
    click.echo(printable(text, keep="\n"))  # security-R12


def run_exercise_command(settings: ExerciseOptions) -> int | None:
    """Run the selected command and return its exit code; None without an exercise option.

    Raises MindrefError for a usage error.
    """
    check_exercise_options(settings)
    if settings.exercise is None and not settings.exercises:
        return None
    from mindref.study.exercises import commands
    from mindref.study.exercises.workspace import Workspace

    workspace, echo, name = Workspace(settings.folder), print_exercise_line, settings.exercise
    if name is None:
        return commands.list_exercises(workspace, echo)
    if settings.reset:
        return commands.reset_exercise(
            name, workspace, echo, lambda text: settings.yes or click.confirm(text)
        )
    if settings.solution:
        return commands.print_solution(name, workspace, echo, give_up=settings.give_up)
    if settings.hint:
        return commands.print_hint(name, workspace, echo)
    if settings.check:
        return commands.check_exercise(name, workspace, echo)
    if settings.watch:
        return commands.watch_exercise(name, workspace, echo)
    return commands.start_exercise(name, workspace, echo)
