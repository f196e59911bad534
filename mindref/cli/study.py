"""mindref study: inspect every step of the algorithm; exercises."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import click

from mindref.cli import settings
from mindref.cli.settings import flag_option, output_option
from mindref.cli.streams import print_stdout
from mindref.errors import ConfigError, say
from mindref.study.exercises.options import ExerciseOptions, exercise_options, run_exercise_command

FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
SINGLE_VIEWS = {
    "step": "--at",
    "explain": "--explain",
    "variant": "--variant",
    "diff": "--diff",
    "backward": "--backward",
}
"""Parameter -> option that prints one view."""


@dataclass(frozen=True)
class StudyOptions:
    """The options of `mindref study` about a user."""

    run: Annotated[Path | None, click.argument("run", type=settings.FOLDER, required=False)]
    users: Annotated[tuple[str, ...], click.option(
        "--user", "users", multiple=True, metavar="WHO",
        help="User to inspect: median, longest, most-separated, least-separated, wrong (the next"
        " item is not recommended), or a user id of the log [default: median; for --html"
        " most-separated]. Repeat it for --html and --case-study.",
    )]  # fmt: skip
    data: Annotated[Path | None, settings.moved_log_option]
    step: Annotated[str, click.option(
        "--at", "step", metavar="STEP", default="", help="Print one step, by its id or number."
    )]  # fmt: skip
    explain: Annotated[str, click.option(
        "--explain", metavar="CELL", default="", help="Explain a number, as 'w[2, 1]'."
    )]  # fmt: skip
    variant: Annotated[str, click.option(
        "--variant", metavar="NAME", default="", help="Show the steps under a deviation."
    )]  # fmt: skip
    diff: Annotated[bool, flag_option("--diff", "Print the changes since the previous iteration.")]
    backward: Annotated[bool, flag_option("--backward", "Start at the first gradient.")]
    all_: Annotated[bool, click.option(
        "--all", "all_", is_flag=True, help="With --at: print every row of the tables."
    )]  # fmt: skip
    plain: Annotated[bool, flag_option("--plain", "Print every step without prompts and colours.")]
    html: Annotated[Path | None, output_option(
        "--html", "Write the page, one HTML file that works offline."
    )]  # fmt: skip
    json_to: Annotated[Path | None, click.option(
        "--json", "json_to", type=FILE,
        help="Write the trace as JSON; - means stdout." + settings.REPLACED,
    )]  # fmt: skip
    case_study: Annotated[Path | None, output_option(
        "--case-study",
        "Plot couplings and item distributions of users: .svg, .png (extra plot) or .json.",
    )]  # fmt: skip

    def outputs(self) -> dict[str, Path]:
        """Return option -> file of the requested outputs."""
        files = {"--html": self.html, "--json": self.json_to, "--case-study": self.case_study}
        return {option: path for option, path in files.items() if path}

    def has_single_view(self) -> bool:
        """Return whether an option selects one view."""
        return any(getattr(self, name) for name in SINGLE_VIEWS)


@click.command("study", short_help="Inspect every step of the algorithm; exercises.")
@settings.add_options(StudyOptions)
@exercise_options
def study_command(options: StudyOptions, **exercise_values: Any) -> int:
    """Inspect one user and one training example: from item ids to the loss, backward, and serving.

    Without RUN a small model included in mindref is used. With RUN, the model and titles of the run
    are used.
    Commands at the prompt: n next, p back, g STEP, x CELL explains a number, d differences,
    v NAME a deviation, b the gradient, ? a question, l all steps, h help, q quit.

    All numbers are float64 and are computed by the reference implementation.
    """
    exercise_settings = ExerciseOptions(**exercise_values)
    if exercise_settings.exercise or exercise_settings.exercises:
        option = "--exercise" if exercise_settings.exercise else "--exercises"
        allowed = {*ExerciseOptions._fields, "data"}
        settings.reject_other_options(option, allowed, "no options about a user")
    code = run_exercise_command(exercise_settings)
    if code is not None:
        return code
    check_study_options(options)
    if options.case_study:
        draw_case_study(options, options.case_study)
    if options.html:
        write_html(options, options.html, exercise_settings.folder)
    if not options.outputs() or options.json_to:
        show_user(options)
    return 0


def check_study_options(options: StudyOptions) -> None:
    """Raise ConfigError for options that exclude or need others, and for unusable files."""
    modes = ["--plain"] if options.plain else []
    modes += [x for name, x in SINGLE_VIEWS.items() if getattr(options, name)][:1]
    modes += options.outputs()
    if len(modes) > 1:
        raise ConfigError(say(" ".join(modes), "one of them", len(modes)))
    if len(options.users) > 1 and not (options.html or options.case_study):
        raise ConfigError(say("--user", "one, or --html or --case-study", len(options.users)))
    inputs = {"the log of --data": options.data}
    for option, path in options.outputs().items():
        if str(path) != "-":
            settings.check_output_file(option, path, inputs, [options.run])
        elif option != "--json":
            raise ConfigError(say(option, "a file", "-"))
    if options.all_ and not options.has_single_view():
        raise ConfigError(say("--all", "--at STEP with it", "none", "--plain prints every step"))
    if options.data is not None and options.run is None:
        raise ConfigError(say("--data", "the RUN of the log", "none", "add RUN"))


def show_user(options: StudyOptions) -> None:
    """Start the session for a user, print one view, or write the trace."""
    from mindref.study.traced_user import open_traced_user

    user = options.users[0] if options.users else ""
    subject = open_traced_user(options.run, options.data, user or "median")
    if str(options.json_to) == "-":
        print_stdout(subject.trace.to_json(), end="")
        return
    if options.json_to:
        from mindref.run import atomic

        atomic.write_text(options.json_to, subject.trace.to_json())
        return
    from mindref.study import terminal

    words = ["mindref", "study", *([str(options.run)] if options.run else [])]
    words += ["--data", str(options.data)] if options.data else []
    start = shlex.join([*words, *(["--user", user] if user else [])])
    if options.plain:
        terminal.print_all_steps(subject.trace, subject.pair, start=start)
    elif options.has_single_view():
        terminal.print_view(
            subject.trace,
            subject.pair,
            terminal.View(
                step=options.step,
                explain=options.explain,
                variant=options.variant,
                diff=options.diff,
                backward=options.backward,
                all_=options.all_,
            ),
            start=start,
        )
    else:
        terminal.run_session(subject.trace, subject.pair, start=start)


def write_html(options: StudyOptions, path: Path, folder: Path) -> None:
    """Write the page of the users; folder: of the exercise files."""
    from mindref.study.exercises.workspace import Workspace
    from mindref.study.page import write_page
    from mindref.study.page_users import make_page_users

    users = make_page_users(options.run, options.data, options.users, Workspace(folder))
    write_page([user.trace for user in users], path, derived=[user.derived for user in users])
    print_stdout(f"wrote {path}: open it in a browser, no network is needed")


def draw_case_study(options: StudyOptions, path: Path) -> None:
    """Write the case study of the users, by default of two users."""
    from mindref.study.case_study import numbers as case_study

    case_study.check_figure_path(path)
    world, single = case_study.open_case_models(options.run, options.data)
    chosen = case_study.make_case_study(world, single, options.users or case_study.RULES)
    case_study.write_case_study(path, chosen)
    print_stdout(f"wrote {path}: {', '.join(each.user for each in chosen.users)}")
