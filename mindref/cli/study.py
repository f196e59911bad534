"""mindref study: watch every step of the algorithm, number by number."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from mindref.cli.settings import check_file
from mindref.errors import ConfigError, say
from mindref.study.exercises.options import Asked, carry_out, exercise_options

FILE = click.Path(path_type=Path, dir_okay=False, allow_dash=True)
SHOWN_ONCE = ("at", "explain", "variant", "diff", "backward", "ledger")


@click.command("study", short_help="Watch every step of the algorithm; exercises.")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False), required=False)
@click.option(
    "--user", "users", multiple=True, metavar="WHO",
    help="Whom to watch: median, longest, most-separated, least-separated or wrong (one whose next"
    " item is not found), or an id of the log [default: median]. Several for --html and"
    " --case-study.",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), help="Where the log lies now, if it has moved."
)
@click.option("--at", metavar="STEP", default="", help="One step: its id or number; then ends.")
@click.option("--explain", metavar="CELL", default="", help="One number, such as 'w[2, 1]'.")
@click.option("--variant", metavar="NAME", default="", help="The same under a deviation.")
@click.option("--diff", is_flag=True, help="What changed since the round before.")
@click.option("--backward", is_flag=True, help="Begin where the gradients do.")
@click.option(
    "--ledger", type=click.Choice(("m", "S", "e")), default=None,
    help="The gradient of mapped behaviours, matrix or behaviours, path by path.",
)  # fmt: skip
@click.option("--all", "all_", is_flag=True, help="With --at: every row of the tables.")
@click.option("--plain", is_flag=True, help="Every step, no questions, no colour.")
@click.option("--script", type=FILE, help="Commands from a file; # begins a comment.")
@click.option("--html", type=FILE, help="Write the page: one file that opens from disk.")
@click.option("--json", "json_to", type=FILE, help="Write the trace as JSON; - is standard output.")
@click.option(
    "--case-study", type=FILE,
    help="Draw couplings and item distributions of users: .svg, .png (extra plot) or .json.",
)  # fmt: skip
@click.option(
    "--baseline", type=click.Path(path_type=Path, file_okay=False),
    help="A run with --interests 1 to hold the case study against.",
)  # fmt: skip
@exercise_options
def command(
    run: Path | None,
    users: tuple[str, ...],
    data: Path | None,
    baseline: Path | None,
    asked: Asked,
    **wanted: Any,
) -> int:
    """Step through one user and one training pair: from ids to the loss, back, and serving.

    Without RUN a small model that ships with mindref; with one, that model and its own titles.
    Commands at the prompt: n next, p back, g STEP, x CELL explains a number, d differences,
    v NAME a deviation, b the gradient, ? a question, l all steps, h help, q quit.

    All numbers are in float64 and come out of the functions that train, with a recorder.
    """
    alone(asked, [name for name, x in {**wanted, "user": users, "run": run}.items() if x])
    code = carry_out(asked)
    if code is not None:
        return code
    outputs = [name for name in ("html", "json_to", "case_study") if wanted[name]]
    check_use(users, wanted, outputs)
    check_need(run, data, baseline, wanted)
    if wanted["case_study"]:
        draw_case_study(run, baseline, data, users, wanted["case_study"])
    if wanted["html"]:
        whose = (run, baseline, data, users or ("median",), asked.folder)
        write_html(wanted["html"], *whose)
    if not outputs or wanted["json_to"]:
        show(run, data, users[0] if users else "", wanted)
    return 0


def check_use(users: tuple[str, ...], wanted: dict[str, Any], outputs: list[str]) -> None:
    """Raise ConfigError for options that do not go together, or places that cannot be written."""
    once = [f"--{name}" for name in SHOWN_ONCE if wanted[name]]
    ways = [f"--{name}" for name in ("plain", "script") if wanted[name]] + once[:1]
    ways += [option_of(name) for name in outputs]
    if len(ways) > 1:
        raise ConfigError(say(" ".join(ways), "one of them", len(ways)))
    if len(users) > 1 and not {"html", "case_study"} & set(outputs):
        raise ConfigError(say("--user", "one, or --html or --case-study", len(users)))
    for name in outputs:
        if str(wanted[name]) != "-":
            check_file(option_of(name), wanted[name])
        elif name != "json_to":
            raise ConfigError(say(option_of(name), "a file", "-"))


def alone(asked: Asked, others: list[str]) -> None:
    """Raise ConfigError for anything about a user beside an exercise, which is about none."""
    option = "--exercise" if asked.exercise else "--exercises" if asked.exercises else ""
    if option and others:
        raise ConfigError(say(option, "nothing about a user with it", others[0].strip("_")))


def check_need(
    run: Path | None, data: Path | None, baseline: Path | None, wanted: dict[str, Any]
) -> None:
    """Raise ConfigError for an option that does nothing without another one."""
    figures = wanted["html"] or wanted["case_study"]
    if wanted["all_"] and not any(wanted[name] for name in SHOWN_ONCE):
        raise ConfigError(say("--all", "--at STEP with it", "none", "--plain shows every step"))
    if baseline is not None and not figures:
        raise ConfigError(say("--baseline", "--html or --case-study with it", "neither"))
    if data is not None and run is None:
        raise ConfigError(say("--data", "the run whose log it is", "none", "name the run first"))


def option_of(name: str) -> str:
    """Return the option of the command line that has a name here."""
    return "--" + name.removesuffix("_to").replace("_", "-")


def show(run: Path | None, data: Path | None, user: str, wanted: dict[str, Any]) -> None:
    """Step through a user, show one step, or write the trace."""
    from mindref.study.subject import open_subject

    commands = lines_of(wanted["script"])
    found = open_subject(run, data, user or "median")
    if wanted["json_to"]:
        write_trace(found.trace.to_json(), wanted["json_to"])
        return
    from mindref.study import terminal

    start = again(run, data, user)
    if wanted["plain"]:
        terminal.plain(found.trace, found.given, start=start)
    elif any(wanted[name] for name in SHOWN_ONCE):
        chosen = {name: wanted[name] for name in SHOWN_ONCE} | {"all_": wanted["all_"]}
        chosen["ledger"] = chosen["ledger"] or ""
        terminal.one_shot(found.trace, found.given, start=start, **chosen)
    else:
        terminal.session(found.trace, found.given, commands=commands, start=start)


def again(run: Path | None, data: Path | None, user: str) -> str:
    """Return the command that opens the same user of the same model."""
    named = [str(run)] if run else []
    named += ["--data", str(data)] if data else []
    return shlex.join(["mindref", "study", *named, *(["--user", user] if user else [])])


def lines_of(script: Path | None) -> list[str] | None:
    """Return the commands of a file, - for standard input; None without one."""
    if script is None or str(script) == "-":
        return None
    try:
        return script.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(say("--script", "a text file", f"{script}: {error}")) from error


def write_trace(text: str, path: Path) -> None:
    """Write the JSON of a trace."""
    from mindref.run import atomic

    if str(path) == "-":
        click.echo(text, nl=False)
    else:
        atomic.write_text(path, text)


def write_html(
    path: Path,
    run: Path | None,
    baseline: Path | None,
    data: Path | None,
    users: tuple[str, ...],
    folder: Path,
) -> None:
    """Write the page of some users; the folder has the learner's exercises."""
    from mindref.study.exercises.desk import Desk
    from mindref.study.leaves import leaves
    from mindref.study.page import write_page

    found = leaves(run, baseline, data, users, Desk(folder))
    write_page([leaf.trace for leaf in found], path, extras=[leaf.extras for leaf in found])
    click.echo(f"wrote {path}: open it in a browser, no network is needed")


def draw_case_study(
    run: Path | None, baseline: Path | None, data: Path | None, users: tuple[str, ...], path: Path
) -> None:
    """Write the case study of some users, two by the default rules."""
    from mindref.study.case import study as case_study

    case_study.check_path(path)
    world, single = case_study.open_worlds(run, baseline, data)
    chosen = case_study.case_study(world, single, users or case_study.RULES)
    case_study.write(path, chosen)
    click.echo(f"wrote {path}: {', '.join(each.user for each in chosen.users)}")
