"""Options of mindref train that name an earlier run: --steps-of, --start-from, --keep-moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from mindref.cli.run_settings import run_backend
from mindref.cli.settings import FOLDER
from mindref.config import Config

OPTIONS = (
    click.option(
        "--steps-of", type=FOLDER, metavar="RUN",
        help="With --split none: train like the finished run RUN, for the steps of its best"
        " validation, on all interactions. Log, settings and seen items are those of RUN unless"
        " they are given.",
    ),
    click.option(
        "--start-from", type=FOLDER, metavar="RUN",
        help="Start from the parameters of the run RUN instead of random ones. Items keep their"
        " vectors; new items start at the vector of their features, or at the mean. Log, split,"
        " settings and seen items are those of RUN unless they are given.",
    ),
    click.option(
        "--keep-moments", is_flag=True,
        help="With --start-from: also keep the moments of Adam [default: they start at zero].",
    ),
)  # fmt: skip


def earlier_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of this module."""
    for option in reversed(OPTIONS):
        function = option(function)
    return function


def take_earlier(options: dict[str, Any]) -> dict[str, Any]:
    """Remove the options of this module from `options`; return them, None where not given."""
    values = {name: options.pop(name) for name in ("steps_of", "start_from")}
    return {**values, "keep_moments": options.pop("keep_moments") or None}


def earlier_backend(begin: Mapping[str, Any]) -> str:
    """Return the backend of the earlier run, or the default one."""
    run = begin["steps_of"] or begin["start_from"]
    return Config.backend if run is None else run_backend(run)


def start_line(run: str, start: Mapping[str, Any]) -> str:
    """Return the line about the parameters from which a training starts."""
    return (
        f"start from {run}, step {start['step']}: {start['items']:,} items keep their"
        f" vectors, {start['new_items']:,} items are new"
    )
