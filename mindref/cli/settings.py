"""Options of the commands that are made from the settings themselves."""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mindref.config import PRESETS, Config
from mindref.errors import ConfigError, say
from mindref.threads import PRODUCTS, cores, several, share

FUSED = "numba"
"""The backend with threads of its own."""

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def settings_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --preset, --config and one option per setting, with its range and default in the help."""
    for setting in reversed(dataclasses.fields(Config)):
        function = option_of(setting)(function)
    function = click.option(
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Settings in a TOML file; options of the command line go before it.",
    )(function)
    return click.option(
        "--preset",
        type=click.Choice(list(PRESETS)),
        help="Where settings start: what the evidence says (default) or what the paper says.",
    )(function)


def option_of(setting: dataclasses.Field[Any]) -> Decorator:
    """Return the option of one setting; it is None unless given."""
    name, meta, default = setting.name.replace("_", "-"), setting.metadata, setting.default
    text = str(meta["text"])
    if "low" in meta:
        text += f" [{meta['low']} to {meta['high']}; default {default}]"
    elif isinstance(default, tuple):
        text += f" [default {','.join(map(str, default)) or 'none'}]"
    elif not isinstance(default, bool):
        text += f" [default {default}]"
    if isinstance(default, bool):
        text += f" [default {'on' if default else 'off'}]"
        return click.option(f"--{name}/--no-{name}", default=None, help=text)
    kind: Any = str
    if "options" in meta:
        kind = click.Choice(meta["options"])
    elif isinstance(default, int | float):
        kind = type(default)
    return click.option(f"--{name}", type=kind, default=None, metavar=metavar(default), help=text)


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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(say(f"--config {path}", "a TOML file", error)) from error


def check_writable(option: str, path: Path | None) -> None:
    """Raise ConfigError, before all that is slow, unless something can be made at a path."""
    if path is None or (path.exists() and not path.is_dir() and os.access(path, os.W_OK)):
        return
    above = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
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


def backend_of(run: Path) -> str:
    """Return the backend of a run; one that cannot be read is left to others to refuse."""
    try:
        words = json.loads((run / "config.json").read_text(encoding="utf-8"))
        return str(words["settings"]["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return FUSED


def threads_of(run: Path, asked: int | None) -> int | None:
    """Return the threads that a run was started with: another number would move its last bits.

    The backend `numba` may have any number. Raises ConfigError for another one than the run's. A
    run that cannot be read is left to `resume` to refuse. Several processes, whose number may be
    another one as well, have what is asked, or the run's if there are cores for it.
    """
    try:
        word = json.loads((run / "config.json").read_text(encoding="utf-8"))["threads"]
        started = int(word) if word else None
    except (OSError, ValueError, KeyError, TypeError):
        return asked
    if started is None or backend_of(run) == FUSED:
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
