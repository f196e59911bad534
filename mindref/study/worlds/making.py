"""Make the built-in world: draw the film club, train two small models, write them.

    python -m mindref.study.worlds.world --write [FOLDER]

It needs to be done again only when the training changes. A test does it and compares.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.config import Config
from mindref.data.log import InteractionLog
from mindref.recommender.run import Trainer
from mindref.run import checkpoint
from mindref.run.source import IN_MEMORY, Loaded, Source
from mindref.study.worlds.film_club import film_club, with_features
from mindref.study.worlds.world import BUILT_IN, LOG, SEVERAL, SINGLE

NAME = "film club"
SETTINGS: dict[str, Any] = {
    "interests": 4,
    "width": 16,
    "window": 20,
    "iterations": 3,
    "sigma": 0.5,  # with 0.1 the interests of a user begin, and stay, much alike
    "routing_gradient": "all",  # all paths of the gradient are there to be seen
    "power": 2.0,  # soft attention: every interest takes part in the loss
    "hidden": (32,),
    "item_features": ("shelf",),  # so that the mean of several rows is there to be seen
    "user_features": ("age",),
    "profile_width": 4,
    "negatives": 32,
    "batch": 128,
    "steps": 400,
    "learning_rate": 0.01,
    "evaluate_every": 100,
    "metric": "hit_rate@10",
    "dtype": "float64",
    "backend": "numpy",
}


def write(folder: Path = BUILT_IN) -> None:
    """Write the log and both models into a folder. Raises RunError where it cannot be written."""
    events, ages = film_club()
    log = with_features(events, ages)
    trainers = {SEVERAL: train(log), SINGLE: train(log, interests=1)}
    for name, trainer in trainers.items():
        run = folder / name
        run.mkdir(parents=True, exist_ok=True)
        trainer.write_items(run)
        model = trainer.model()
        facts = {**trainer.facts(), "threads": ""}  # nothing of the machine that trained it
        given = (model.params, model.catalogue, trainer.state.best_step, model.config.model)
        checkpoint.save_model(run, *given, checkpoint.identity(model.config, facts))
        checkpoint.save_config(run, model.config, facts)
    small: dict[str, npt.NDArray[Any]] = {
        "events": events.values.astype(np.uint8),
        "offsets": events.offsets.astype(np.int16),
        "ages": ages.astype(np.uint8),
    }
    checkpoint.save_arrays(folder / LOG, small, {"format": checkpoint.FORMAT, "name": NAME})


def train(log: InteractionLog, **changes: Any) -> Trainer:
    """Return the finished training of the small model."""
    config = Config.of("default", {**SETTINGS, **changes})
    trainer = Trainer(Source(IN_MEMORY), Loaded(log), "leave_last_out", config)
    trainer.go()
    return trainer


def main() -> None:
    """Write the built-in world from the command line."""
    parser = argparse.ArgumentParser(description="Train and write the small models of the study.")
    text = "where to; without FOLDER into the package itself"
    parser.add_argument(
        "--write", nargs="?", const=BUILT_IN, type=Path, required=True, metavar="FOLDER", help=text
    )
    folder = parser.parse_args().write
    write(folder)
    print(f"{sum(x.stat().st_size for x in folder.rglob('*') if x.is_file()):,} bytes in {folder}")
