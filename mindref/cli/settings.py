"""Options generated from the settings, options that commands share, and checks of their values."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TypeVar, get_type_hints

import click
from click.core import ParameterSource

from mindref.cli.run_settings import read_run_config, run_backend
from mindref.config import Config
from mindref.errors import ConfigError, say
from mindref.models.din_config import DinConfig
from mindref.models.registry import ENTRIES, RERANK_FAMILIES, families_using
from mindref.presets import PRESETS
from mindref.process.memory import check_memory
from mindref.process.threads import (
    THREADED_BACKEND,
    check_thread_variables,
    set_thread_variables,
)
from mindref.run.user_files import Inputs, check_output, read_input_text, run_inputs

DIN = RERANK_FAMILIES[0]
"""The reranker. Its settings are DinConfig's, not Config's."""

PATH = click.Path(path_type=Path)
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)

METAVARS = {int: "N", float: "X", tuple: "A,B,..."}
"""Type of a setting -> placeholder of the value in the help."""

Function = TypeVar("Function", bound=Callable[..., object])
Result = TypeVar("Result")
Option = Callable[[Callable[..., object]], Callable[..., object]]
REPLACED = " An existing file is replaced, unless it is an input or inside a run directory."


def add_options(
    kind: Callable[..., object], without: Collection[str] = ()
) -> Callable[[Callable[..., Result]], Callable[..., Result]]:
    """Return a decorator that adds the options of a dataclass; the command receives the object.

    Each field is declared as `Annotated[type, decorator]`. If the decorator adds several options,
    the field is a dict from the name of each option to its value. without: fields with a default
    that are no options of the command.
    """

    def decorate(command: Callable[..., Result]) -> Callable[..., Result]:
        option_names: dict[str, list[str]] = {}  # field -> its options; filled below

        @wraps(command)
        def call(**parameters: object) -> Result:
            values: dict[str, object] = {}
            for field, options in option_names.items():
                option_values = {name: parameters.pop(name) for name in options}
                is_single = len(options) == 1
                values[field] = option_values[options[0]] if is_single else option_values
            return command(kind(**values), **parameters)

        # click shows the option first that is added last
        for field, hint in reversed(get_type_hints(kind, include_extras=True).items()):
            if field not in without:
                num_before = len(vars(call).get("__click_params__", ()))
                add_to = hint.__metadata__[0]
                add_to(call)  # appends to __click_params__
                added = vars(call)["__click_params__"][num_before:]
                option_names[field] = [option.name for option in added]
        return call

    return decorate


def flag_option(name: str, text: str) -> Option:
    """Return an option without a value."""
    return click.option(name, is_flag=True, help=text)


OF_LOG = "as in a given run; else exclude, unless half of the interactions are repeats"


def seen_option(default: str = "as in training") -> Option:
    """Return the option that excludes or includes seen items; default: what happens without it."""
    text = f"Whether top-n lists exclude the items of the user's history [default: {default}]."
    return click.option("--exclude-seen/--include-seen", default=None, help=text)


def output_option(name: str, text: str) -> Option:
    """Return the option of a file that the command writes."""
    return click.option(name, type=FILE, help=text + REPLACED)


def settings_options(function: Function, *, trains: bool = False) -> Function:
    """Add one option for each setting. The help has ranges and defaults.

    trains: also add the settings of DIN, and `din` as a value of --model.
    """
    din_settings = {s.name: s for s in dataclasses.fields(DinConfig)} if trains else {}
    common = {setting.name for setting in dataclasses.fields(Config)}
    din_only = [s for s in din_settings.values() if s.name not in common]
    # click shows the option first that is added last
    for setting in reversed(din_only):
        function = setting_option(setting, "with --model din: ")(function)
    for setting in reversed(dataclasses.fields(Config)):
        choices = (DIN,) if trains and setting.name == "model" else ()
        function = setting_option(
            setting, other=din_settings.get(setting.name), extra_choices=choices
        )(function)
    return function


def setting_option(
    setting: dataclasses.Field[object],
    before: str = "",
    other: dataclasses.Field[object] | None = None,
    extra_choices: tuple[str, ...] = (),
) -> Callable[[Function], Function]:
    """Return the option of one setting. Its value is None if the option is not given.

    before: prefix of the help text; other: the DIN setting of the same name, whose default is shown
    if it differs; extra_choices: further values.
    """
    name, meta, default = setting.name.replace("_", "-"), setting.metadata, setting.default
    text = before + setting_help(setting, () if other is None else (DIN,))
    if other is not None and other.default != default:
        text += f" (with --model din: {format_default(other.default)})"
    if isinstance(default, bool):
        return click.option(f"--{name}/--no-{name}", default=None, help=text)
    kind: click.ParamType[object] | type = str
    if "options" in meta:
        kind = click.Choice((*meta["options"], *extra_choices))
    elif isinstance(default, int | float):
        kind = type(default)
    metavar = METAVARS.get(type(default))
    return click.option(f"--{name}", type=kind, default=None, metavar=metavar, help=text)


def setting_help(setting: dataclasses.Field[object], rerankers: tuple[str, ...] = ()) -> str:
    """Return the help of a setting: text, range, default, and the families that use it.

    rerankers: further families with a setting of this name.
    """
    meta, default = setting.metadata, setting.default
    notes = [f"{meta['low']} to {meta['high']}"] if "low" in meta else []
    if isinstance(default, bool):
        notes.append(f"default {'on' if default else 'off'}")
    else:
        changed = [
            (x.name, x.defaults[setting.name]) for x in ENTRIES if setting.name in x.defaults
        ]
        of_families = "".join(f", {name}: {format_default(value)}" for name, value in changed)
        notes.append(f"default {format_default(default)}{of_families}")
    if families := families_using(setting.name):
        families += rerankers
        listed = ", ".join(families[:-1]) + (" and " if families[:-1] else "") + families[-1]
        notes.append(f"{listed} only")
    return f"{meta['text']} [{'; '.join(notes)}]"


def format_default(default: object) -> str:
    """Return a default in the form in which it is typed."""
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    return str(default)


NOT_SETTINGS = ("data", "split", "out", "resume", "threads", "device", "quiet", "json", "config")


def read_changes(
    preset: str | None, config_file: Path | None, parameters: Mapping[str, object]
) -> tuple[str | None, dict[str, object]]:
    """Return the preset, None if it is not named, and the changes to its settings.

    parameters: name -> value on the command line; other names than settings are ignored. The
    command line overrides the file, and the file the preset.
    """
    settings = read_settings_file(config_file)
    file_preset = settings.pop("preset", None)
    fields = {setting.name: setting for setting in dataclasses.fields(Config)}
    for name, value in parameters.items():
        if name in fields and value is not None:
            is_list = isinstance(fields[name].default, tuple)
            settings[name] = [x for x in str(value).split(",") if x] if is_list else value
    return preset or (None if file_preset is None else str(file_preset)), settings


def read_settings_file(path: Path | None) -> dict[str, object]:
    """Return the settings in a TOML file, {} without one. Raises ConfigError for other content."""
    if path is None:
        return {}
    try:
        settings: dict[str, object] = tomllib.loads(read_input_text("--config", path))
    except (OSError, ValueError, RecursionError) as error:  # an integer may be too long for Python
        raise ConfigError(say(f"--config {path}", "a TOML file", error)) from error
    for name in NOT_SETTINGS:
        if name in settings:
            todo = f"give --{name} on the command line"
            raise ConfigError(say(f"--config {path}", "only settings", name, todo))
    return settings


def check_writable(option: str, path: Path | None) -> None:
    """Raise ConfigError, before slow work, unless a file or folder can be created at a path."""
    try:
        if path is None or (path.exists() and not path.is_dir() and os.access(path, os.W_OK)):
            return
        above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    except OSError as error:  # for example a name that is too long
        raise ConfigError(say(option, "a writable location", path, str(error))) from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(say(option, "a writable location", path, f"check {above}"))


def check_output_file(
    option: str, path: Path | None, inputs: Inputs | None = None, runs: Sequence[Path | None] = ()
) -> None:
    """Raise ConfigError, before slow work, unless a file may be written at a path.

    inputs, runs: files that the command reads, and runs whose logs it may read. They are not
    replaced, and nothing is written inside a run directory.
    """
    check_writable(option, path)
    if path is None:
        return
    if not path.absolute().parent.is_dir():  # folders are not created
        raise ConfigError(say(option, "a file in an existing folder", path, "create the folder"))
    all_inputs = dict(inputs or {})
    for run in runs:
        if run is not None:
            all_inputs |= run_inputs(run, read_run_config(run))
    check_output(option, path, all_inputs)


def output_format(form: str | None, default: str, *, as_json: bool) -> str:
    """Return the output format. Raises ConfigError for --format with --json."""
    if as_json and form is not None:
        raise ConfigError(say("--json", "no --format with it", form, "give one of the two"))
    return "json" if as_json else form or default


def set_threads(threads: int | None, backend: str = THREADED_BACKEND) -> None:
    """Check memory and variables, and set the number of threads before NumPy is imported.

    threads: None for the default of the backend, as in `set_thread_variables`.
    """
    check_memory()
    check_thread_variables()
    set_thread_variables(backend, threads)


def use_recall_backend(recall: Path, backend: str | None, threads: int | None) -> None:
    """Set the number of threads for the backend of a recall run, which DIN reranks.

    Raises ConfigError for another backend: candidates would differ. Naming the same backend
    confirms trust in its code (security-R9).
    """
    name = run_backend(recall)
    if backend not in (None, name):
        todo = "remove the option, or name this backend to confirm that you trust it"
        raise ConfigError(say("--backend", f"{name}, the backend of {recall}", backend, todo))
    set_threads(threads, name)


def typed_options() -> dict[str, str]:
    """Return parameter -> option for the options and arguments on the command line."""
    context = click.get_current_context()
    return {
        str(option.name): option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
    }


def reject_other_options(
    location: str, allowed: Collection[str], expected: str, todo: str = ""
) -> None:
    """Raise ConfigError for typed options whose parameter names are not in `allowed`."""
    if rejected := [x for name, x in typed_options().items() if name not in allowed]:
        raise ConfigError(say(location, expected, ", ".join(rejected), todo))


PRESET_HELP = (
    "Settings to start from: mind (tuned MIND, whose values are the defaults below), paper (MIND"
    " with the paper's values), recommended (mind_plus)"
)
preset_option = click.option("--preset", type=click.Choice(list(PRESETS)), help=PRESET_HELP)
config_option = click.option(
    "--config",
    "config_file",
    type=FILE,
    help="TOML file with settings. Options on the command line override the file.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Number of threads, 1 to 1024. Default with the backend numba: $MINDREF_THREADS, else all"
    " cores. Default with other backends: $OPENBLAS_NUM_THREADS, else 1 (with torchrun: an equal"
    " share of the cores for each process).",
)
backend_option = click.option(
    "--backend",
    metavar="NAME",
    help="Backend that computes the interests: installed name or module:object [default: the"
    " backend that trained the run].",
)
device_option = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Device that computes; auto: a GPU if there is one. A run does not store the device.",
)
moved_log_option = click.option(
    "--data", type=PATH, help="New path of the log, if the log has moved."
)
quiet_option = flag_option("--quiet", "Print no progress on standard error.")
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print only JSON on standard output."
)
index_option = click.option(
    "--index",
    metavar="KIND",
    default="auto",
    show_default=True,
    help="Search index: auto, exact, annoy or faiss-ivf. auto uses exact search on small"
    " catalogues and the fastest accurate kind, by measurement, on large ones.",
)
only_option = click.option(
    "--only", type=FILE, metavar="FILE", help="Recommend only the items of FILE."
)
exclude_option = click.option(
    "--exclude", type=FILE, metavar="FILE", help="Never recommend the items of FILE."
)
