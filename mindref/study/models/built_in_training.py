"""Make the built-in model: draw the film club, train two small models, write them.

    python -m mindref.study.models.study_model --write [FOLDER]

It is needed again only if the training changes. A test repeats it and compares the files.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mindref.config import Config
from mindref.data.log import InteractionLog
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.run import array_files, checkpoint
from mindref.run.atomic import write_text
from mindref.run.source import IN_MEMORY, LoadedLog, Source
from mindref.study.models.film_club import film_club, make_film_log
from mindref.study.models.study_model import BUILT_IN, LOG, SEVERAL_INTERESTS, SINGLE_INTEREST

NAME = "film club"
SETTINGS: dict[str, Any] = {
    "interests": 4,
    "width": 16,
    "window": 20,
    "iterations": 3,
    "sigma": 0.5,  # with 0.1 the interests of a user stay similar
    "routing_gradient": "all",  # the trace then has all terms of the gradient
    "power": 2.0,  # soft attention: every interest contributes to the loss
    "hidden": (32,),
    "item_features": ("shelf",),  # so that an item vector is the mean of several rows
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


def write_built_in_models(folder: Path = BUILT_IN) -> None:
    """Write the log and both models into a folder. Raises RunError where it cannot be written."""
    events, ages = film_club()
    log = make_film_log(events, ages)
    for name, changes in ((SEVERAL_INTERESTS, {}), (SINGLE_INTEREST, {"interests": 1})):
        trainer = train_built_in_model(log, **changes)
        run = folder / name
        run.mkdir(parents=True, exist_ok=True)
        write_text(run / "items.tsv", trainer.catalogue)
        model = trainer.model()
        metadata = {**trainer.facts(), "threads": ""}  # no property of the training machine
        pair = (model.params, model.catalogue, trainer.state.best_step, model.config.model)
        checkpoint.save_model(run, *pair, checkpoint.run_identity(model.config, metadata))
        checkpoint.save_config(run, model.config, metadata)
    small: dict[str, npt.NDArray[Any]] = {
        "events": events.values.astype(np.uint8),
        "offsets": events.offsets.astype(np.int16),
        "ages": ages.astype(np.uint8),
    }
    array_files.save_arrays(folder / LOG, small, {"format": array_files.FORMAT, "name": NAME})


def train_built_in_model(log: InteractionLog, **changes: Any) -> Trainer:
    """Return the trainer of a small model after training."""
    config = Config.of("mind", {**SETTINGS, **changes})
    plan = TrainingPlan(config, Source(IN_MEMORY), "leave_last_out")
    trainer = Trainer(plan, LoadedLog(log))
    trainer.train()
    return trainer


def main() -> None:
    """Write the built-in model from the command line."""
    parser = argparse.ArgumentParser(description="Train and write the small models of the study.")
    text = "output folder; default: the package"
    parser.add_argument(
        "--write", nargs="?", const=BUILT_IN, type=Path, required=True, metavar="FOLDER", help=text
    )
    folder = parser.parse_args().write
    write_built_in_models(folder)
    print(f"{sum(x.stat().st_size for x in folder.rglob('*') if x.is_file()):,} bytes in {folder}")
