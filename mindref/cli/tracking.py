"""The option --track: experiment trackers of a training.

The trackers are loaded after the number of threads is set, because they may import NumPy, and
before the log is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from mindref.cli.streams import print_stderr

if TYPE_CHECKING:
    from mindref.recommender.trackers import TrackerCallback

NAMES = "mindref.trackers"  # key of the named trackers in the click context
LOADED = "mindref.loaded_trackers"


def store_names(context: click.Context, option: click.Parameter, names: tuple[str, ...]) -> None:
    """Store the named trackers in the context, each once."""
    context.meta[NAMES] = tuple(dict.fromkeys(names))


track_option = click.option(
    "--track", multiple=True, metavar="NAME", expose_value=False, callback=store_names,
    help="Record the training with an experiment tracker: tensorboard, mlflow, wandb, another"
    " installed tracker, or module:object. Repeat the option for several trackers.",
)  # fmt: skip


def load_trackers() -> None:
    """Load the named trackers. Raises ConfigError for one that is missing or unusable."""
    meta = click.get_current_context().meta
    if names := meta.get(NAMES):
        from mindref.recommender.trackers import TrackerCallback

        meta[LOADED] = [TrackerCallback(name, print_warning) for name in names]  # callbacks-R6


def loaded_trackers() -> list[TrackerCallback]:
    """Return the callbacks of the loaded trackers."""
    callbacks: list[TrackerCallback] = click.get_current_context().meta.get(LOADED, [])
    return callbacks


def print_warning(text: str) -> None:
    """Print a warning on standard error."""
    print_stderr(f"Warning: {text}")
