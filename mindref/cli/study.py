"""mindref study: inspect every step of the algorithm; exercises."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from mindref.cli import settings
from mindref.cli.streams import print_stdout
from mindref.errors import ConfigError, say
from mindref.run.input_files import read_input_text
from mindref.run.output_files import Inputs
from mindref.study.exercises.options import ExerciseOptions, exercise_options, run_exercise_command

FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
SINGLE_VIEWS = ("at", "explain", "variant", "diff", "backward", "ledger")


@click.command("study", short_help="Inspect every step of the algorithm; exercises.")
@click.argument("run", type=settings.FOLDER, required=False)
@click.option(
    "--user", "users", multiple=True, metavar="WHO",
    help="User to inspect: median, longest, most-separated, least-separated, wrong (the next item"
    " is not recommended), or a user id of the log [default: median; for --html most-separated]."
    " Repeat it for --html and --case-study.",
)  # fmt: skip
@settings.moved_log_option
@click.option("--at", metavar="STEP", default="", help="Print one step, by its id or number.")
@click.option("--explain", metavar="CELL", default="", help="Explain a number, as 'w[2, 1]'.")
@click.option("--variant", metavar="NAME", default="", help="Show the steps under a deviation.")
@click.option("--diff", is_flag=True, help="Print the changes since the previous iteration.")
@click.option("--backward", is_flag=True, help="Start at the first gradient.")
@click.option(
    "--ledger", type=click.Choice(("Se", "S", "e")), default=None,
    help="Print the terms of a gradient: of the votes (Se), of S, or of the items (e).",
)  # fmt: skip
@click.option("--all", "all_", is_flag=True, help="With --at: print every row of the tables.")
@click.option("--plain", is_flag=True, help="Print every step without prompts and colours.")
@click.option("--script", type=FILE, help="Read commands from a file; # starts a comment.")
@click.option(
    "--html",
    type=FILE,
    help="Write the page, one HTML file that works offline." + settings.REPLACED,
)
@click.option(
    "--json",
    "json_to",
    type=FILE,
    help="Write the trace as JSON; - means stdout." + settings.REPLACED,
)
@click.option(
    "--case-study", type=FILE,
    help="Plot couplings and item distributions of users: .svg, .png (extra plot) or .json."
    + settings.REPLACED,
)  # fmt: skip
@click.option(
    "--baseline", type=settings.FOLDER,
    help="Run with --interests 1 for comparison in the case study.",
)  # fmt: skip
@exercise_options
def study_command(
    run: Path | None,
    users: tuple[str, ...],
    data: Path | None,
    baseline: Path | None,
    exercise_settings: ExerciseOptions,
    **views: Any,
) -> int:
    """Inspect one user and one training example: from item ids to the loss, backward, and serving.

    Without RUN a small model included in mindref is used. With RUN, the model and titles of the run
    are used.
    Commands at the prompt: n next, p back, g STEP, x CELL explains a number, d differences,
    v NAME a deviation, b the gradient, ? a question, l all steps, h help, q quit.

    All numbers are float64 and are computed by the reference implementation.
    """
    selected = {**views, "user": users, "run": run}
    about_user = [name for name, x in selected.items() if x]
    if about_user and (exercise_settings.exercise or exercise_settings.exercises):
        option = "--exercise" if exercise_settings.exercise else "--exercises"
        raise ConfigError(say(option, "no options about a user", about_user[0].strip("_")))
    code = run_exercise_command(exercise_settings)
    if code is not None:
        return code
    outputs = [name for name in ("html", "json_to", "case_study") if views[name]]
    inputs = {"the log of --data": data, "the file of --script": views["script"]}
    check_combination(users, views, outputs)
    check_output_files(views, outputs, inputs, [run, baseline])
    check_required(run, data, baseline, views)
    if views["case_study"]:
        draw_case_study(run, baseline, data, users, views["case_study"])
    if views["html"]:
        request = (run, baseline, data, users)
        write_html(views["html"], exercise_settings.folder, request)
    if not outputs or views["json_to"]:
        show_user(run, data, users[0] if users else "", views)
    return 0


def check_combination(users: tuple[str, ...], views: dict[str, Any], outputs: list[str]) -> None:
    """Raise ConfigError for options that cannot be combined."""
    single = [f"--{name}" for name in SINGLE_VIEWS if views[name]]
    modes = [f"--{name}" for name in ("plain", "script") if views[name]] + single[:1]
    modes += [option_name(name) for name in outputs]
    if len(modes) > 1:
        raise ConfigError(say(" ".join(modes), "one of them", len(modes)))
    if len(users) > 1 and not {"html", "case_study"} & set(outputs):
        raise ConfigError(say("--user", "one, or --html or --case-study", len(users)))


def check_output_files(
    views: dict[str, Any], outputs: list[str], inputs: Inputs, runs: list[Path | None]
) -> None:
    """Raise ConfigError for files that cannot or must not be written."""
    for name in outputs:
        if str(views[name]) != "-":
            settings.check_output_file(option_name(name), views[name], inputs, runs)
        elif name != "json_to":
            raise ConfigError(say(option_name(name), "a file", "-"))


def check_required(
    run: Path | None, data: Path | None, baseline: Path | None, views: dict[str, Any]
) -> None:
    """Raise ConfigError for an option that has no effect without another option."""
    figures = views["html"] or views["case_study"]
    if views["all_"] and not any(views[name] for name in SINGLE_VIEWS):
        raise ConfigError(say("--all", "--at STEP with it", "none", "--plain prints every step"))
    if baseline is not None and not figures:
        raise ConfigError(say("--baseline", "--html or --case-study with it", "neither"))
    if data is not None and run is None:
        raise ConfigError(say("--data", "the RUN of the log", "none", "add RUN"))


def option_name(name: str) -> str:
    """Return the command-line option of a parameter."""
    return "--" + name.removesuffix("_to").replace("_", "-")


def show_user(run: Path | None, data: Path | None, user: str, views: dict[str, Any]) -> None:
    """Start the session for a user, print one view, or write the trace."""
    from mindref.study.traced_user import open_traced_user

    commands = read_script(views["script"])
    subject = open_traced_user(run, data, user or "median")
    if str(views["json_to"]) == "-":
        print_stdout(subject.trace.to_json(), end="")
        return
    if views["json_to"]:
        from mindref.run import atomic

        atomic.write_text(views["json_to"], subject.trace.to_json())
        return
    from mindref.study import terminal

    words = ["mindref", "study", *([str(run)] if run else [])]
    words += ["--data", str(data)] if data else []
    start = shlex.join([*words, *(["--user", user] if user else [])])
    if views["plain"]:
        terminal.print_all_steps(subject.trace, subject.pair, start=start)
    elif any(views[name] for name in SINGLE_VIEWS):
        view = {name: views[name] for name in SINGLE_VIEWS} | {"all_": views["all_"]}
        view["ledger"], view["step"] = view["ledger"] or "", view.pop("at")
        terminal.print_view(subject.trace, subject.pair, start=start, **view)
    else:
        terminal.run_session(subject.trace, subject.pair, commands=commands, start=start)


def read_script(script: Path | None) -> list[str] | None:
    """Return the commands of a script; None for standard input (-) or without a script."""
    if script is None or str(script) == "-":
        return None
    try:
        return read_input_text("--script", script).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(say("--script", "a text file", f"{script}: {error}")) from error


def write_html(path: Path, folder: Path, request: tuple[Any, Any, Any, Any]) -> None:
    """Write the page of users; folder: exercise files; request: run, baseline, data, users."""
    from mindref.study.exercises.workspace import Workspace
    from mindref.study.page import write_page
    from mindref.study.page_users import make_page_users

    users = make_page_users(*request, Workspace(folder))
    write_page([user.trace for user in users], path, derived=[user.derived for user in users])
    print_stdout(f"wrote {path}: open it in a browser, no network is needed")


def draw_case_study(
    run: Path | None, baseline: Path | None, data: Path | None, users: tuple[str, ...], path: Path
) -> None:
    """Write the case study of the users, by default of two users."""
    from mindref.study.case_study import numbers as case_study

    case_study.check_figure_path(path)
    world, single = case_study.open_case_models(run, baseline, data)
    chosen = case_study.make_case_study(world, single, users or case_study.RULES)
    case_study.write_case_study(path, chosen)
    print_stdout(f"wrote {path}: {', '.join(each.user for each in chosen.users)}")
