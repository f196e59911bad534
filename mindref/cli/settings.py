"""Options of the commands that are made from the settings themselves."""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from mindref.config import Config
from mindref.errors import ConfigError, MindrefError, say
from mindref.models.din_config import DinConfig
from mindref.presets import PRESETS
from mindref.process.memory import check_memory
from mindref.process.threads import PRODUCTS, cores, several, share
from mindref.run.files import check_folder, read_json

DIN = "din"
"""The model that ranks what another one recalls: its settings are not those of Config."""

FUSED = "numba"
"""The backend with threads of its own."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def settings_options(function: Callable[..., Any], ranking: bool = False) -> Callable[..., Any]:
    """Add --preset, --config and one option per setting, with its range and default in the help.

    ranking: with the settings of the ranking stage, and `din` as a model.
    """
    others = {s.name: s for s in dataclasses.fields(DinConfig)} if ranking else {}
    known = {setting.name for setting in dataclasses.fields(Config)}
    for setting in reversed([s for s in others.values() if s.name not in known]):
        function = option_of(setting, "din: ")(function)
    for setting in reversed(dataclasses.fields(Config)):
        more = () if setting.name != "model" or not ranking else (DIN,)
        function = option_of(setting, other=others.get(setting.name), more=more)(function)
    function = click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Settings in a TOML file; options of the command line go before it.",
    )(function)
    return click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        help="Where settings start: what the evidence says of MIND (default), what the paper says"
        " (paper), or the model mind_plus for long histories (best) or short ones (sparse).",
    )(function)


def training_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of the settings, those of the ranking stage among them."""
    return settings_options(function, ranking=True)


def option_of(
    setting: dataclasses.Field[Any],
    before: str = "",
    other: dataclasses.Field[Any] | None = None,
    more: tuple[str, ...] = (),
) -> Decorator:
    """Return the option of one setting; it is None unless given.

    before: a word at the head of its text; other: the setting of the ranking stage of this name,
    whose default is told where it is another; more: further words that may be chosen.
    """
    name, meta, default = setting.name.replace("_", "-"), setting.metadata, setting.default
    text = before + help_of(setting)
    if other is not None and other.default != default:
        text += f" (din: {written(other.default)})"
    if isinstance(default, bool):
        return click.option(f"--{name}/--no-{name}", default=None, help=text)
    kind: Any = str
    if "options" in meta:
        kind = click.Choice((*meta["options"], *more))
    elif isinstance(default, int | float):
        kind = type(default)
    return click.option(f"--{name}", type=kind, default=None, metavar=metavar(default), help=text)


def help_of(setting: dataclasses.Field[Any]) -> str:
    """Return what a setting is, its range and default, and which families alone know it."""
    meta, default = setting.metadata, setting.default
    words = [f"{meta['low']} to {meta['high']}"] if "low" in meta else []
    if isinstance(default, bool):
        words.append(f"default {'on' if default else 'off'}")
    else:
        words.append(f"default {written(default)}")
    if meta.get("of"):
        words.append(f"{' and '.join(meta['of'])} alone")
    return f"{meta['text']} [{'; '.join(words)}]"


def written(default: Any) -> str:
    """Return a default as it would be typed."""
    return ",".join(map(str, default)) or "none" if isinstance(default, tuple) else str(default)


def metavar(default: Any) -> str | None:
    """Return the word that stands for a value in the help."""
    if isinstance(default, tuple):
        return "A,B,..."
    return {int: "N", float: "X"}.get(type(default))


NOT_SETTINGS = ("data", "split", "out", "resume", "threads", "device", "quiet", "json", "config")


def config_of(preset: str | None, config_file: Path | None, given: dict[str, Any]) -> Config:
    """Return the settings: options of the command line, else the file, else the preset."""
    words = read_toml(config_file) if config_file is not None else {}
    for name in NOT_SETTINGS:
        if name in words:
            todo = f"give --{name} on the command line"
            raise ConfigError(say(f"--config {config_file}", "settings alone", name, todo))
    named = words.pop("preset", "default")
    start = preset or str(named)
    fields = {setting.name: setting for setting in dataclasses.fields(Config)}
    for name, value in given.items():
        if name in fields and value is not None:
            is_list = isinstance(fields[name].default, tuple)
            words[name] = [x for x in value.split(",") if x] if is_list else value
    return Config.of(start, words)


def read_toml(path: Path) -> dict[str, Any]:
    """Read a file of settings. Raises ConfigError for what is no TOML."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:  # some numbers are too long for Python
        raise ConfigError(say(f"--config {path}", "a TOML file", error)) from error


def check_writable(option: str, path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, unless something can be made at a path."""
    try:
        if path is None or (path.exists() and not path.is_dir() and os.access(path, os.W_OK)):
            return
        above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    except OSError as error:  # a name that is too long
        raise ConfigError(say(option, "a place that can be written", path, str(error))) from error
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise ConfigError(say(option, "a place that can be written", path, f"look at {above}"))


def check_file(option: str, path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, unless a file can be made at a path."""
    check_writable(option, path)
    if path is not None and not path.absolute().parent.is_dir():  # no folder is made for a file
        raise ConfigError(say(option, "a file in a folder that exists", path, "make the folder"))


def set_threads(threads: int | None, backend: str = FUSED) -> None:
    """Say who has how many threads; it must come before NumPy is imported.

    The pool of the backend `numba` and that of the matrix products never own the cores together:
    that costs a factor of two. Its results have the same bytes with any number, so it takes every
    core unless asked otherwise. The bytes of other backends depend on the threads of the matrix
    products: one unless asked otherwise, or a fair share of the cores for several processes.
    """
    check_memory()
    if threads is None and backend != FUSED and several():
        word = os.environ.get(PRODUCTS[0]) or str(share())
        threads = int(word) if word.isdecimal() else None  # torchrun has set others to 1
    fused, said = backend == FUSED, os.environ.get("MINDREF_THREADS", "")
    if not fused:
        os.environ["MINDREF_THREADS"] = "1"
    elif threads is not None or not said:  # what is said is looked at when it is used
        os.environ["MINDREF_THREADS"] = str(threads or cores())
    for name in PRODUCTS:
        if fused:
            os.environ[name] = "1"
        elif threads is not None:
            os.environ[name] = str(threads)
        else:
            os.environ.setdefault(name, "1")


def refuse_others(where: str, known: tuple[str, ...], words: str) -> None:
    """Raise ConfigError for options beside those that are `known` by the names of parameters."""
    context = click.get_current_context()
    given = [
        option.opts[0]
        for option in context.command.params
        if option.name not in known
        and context.get_parameter_source(str(option.name)) == ParameterSource.COMMANDLINE
    ]
    if given:
        raise ConfigError(say(where, f"{words} alone", f"{', '.join(given)} beside it"))


def words_of(run: Path) -> dict[str, Any]:
    """Return what config.json holds; nothing of one that cannot be read: others refuse it."""
    try:
        check_folder(run)
        found = read_json(run / "config.json", "the configuration of a run", "")
    except (OSError, MindrefError):
        return {}
    return found if isinstance(found, dict) else {}


def backend_of(run: Path) -> str:
    """Return the backend of a run; one that cannot be read is left to others to refuse."""
    settings = words_of(run).get("settings")
    return str(settings.get("backend", FUSED)) if isinstance(settings, dict) else FUSED


def is_ranking(run: Path) -> bool:
    """Return whether a folder holds a ranking stage; what cannot be read is left to others."""
    return "stage" in words_of(run)


def threads_of(run: Path, asked: int | None, backend: str | None = None) -> int | None:
    """Return the threads that a run was started with: another number would move its last bits.

    The backend `numba` may have any number. Raises ConfigError for another one than the run's. A
    run that cannot be read is left to `resume` to refuse. Several processes, whose number may be
    another one as well, have what is asked, or the run's if there are cores for it. backend: of the
    run, where its settings do not say so.
    """
    try:
        word = words_of(run)["threads"]
        started = int(word) if word else None
    except (ValueError, KeyError, TypeError):
        return asked
    if started is None or (backend or backend_of(run)) == FUSED:
        return asked
    if several():
        return asked or min(started, share())
    if asked not in (None, started):
        raise ConfigError(say("--threads", f"{started}, as the run was started", asked))
    return started


threads_option = click.option(
    "--threads",
    type=click.IntRange(1, 1024),
    metavar="N",
    help="Threads [1 to 1024; default with the backend numba: what MINDREF_THREADS says, or every"
    " core; with others: what OPENBLAS_NUM_THREADS says, or 1; of several processes that train"
    " together, each: the same, or an equal share of the cores].",
)
backend_option = click.option(
    "--backend",
    metavar="NAME",
    help="Who computes the interests: an installed backend, or module:object [default: the one"
    " that trained the run].",
)
device_option = click.option(
    "--device",
    type=click.Choice(["cpu", "cuda", "auto"]),
    default="cpu",
    show_default=True,
    help="Where the backend computes; auto: on a GPU where there is one. No setting of a run.",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON and nothing else on standard output."
)
