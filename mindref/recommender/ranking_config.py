"""config.json of a ranking stage: its settings, and the recall run that it belongs to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mindref.errors import RunError, say
from mindref.models.din_config import DinConfig
from mindref.run import files
from mindref.run.checkpoint import FORMAT, MODEL, STAGE, check_format
from mindref.run.files import file_digest
from mindref.run.metadata import check_path

RANKING = "ranking"  # the word that stands for STAGE


def save_config(run: Path, config: DinConfig, facts: Mapping[str, Any]) -> None:
    """Write the settings, and in `facts` the recall run, its log and the threads.

    The settings are those that `facts` has, if it is of a file.
    """
    kind = {"format": FORMAT, STAGE: RANKING, "model": "din"}
    words = {**kind, "settings": dataclasses.asdict(config), **facts}
    files.write_sealed(run / "config.json", words)


def identity(config: DinConfig, facts: Mapping[str, Any]) -> str:
    """Return the digest of what makes a stage what it is: settings, recall run and its log."""
    settings = facts.get("settings", dataclasses.asdict(config))  # as in mindref.run.checkpoint
    own = {"settings": settings, "recall": facts["recall"]["model"]}
    return files.digest({**own, "log": facts["log"], "threads": facts.get("threads")})


def load_config(run: Path) -> tuple[DinConfig, dict[str, Any]]:
    """Read the settings and the facts, as `checkpoint.load_config`.

    Raises RunError for what is missing, damaged or no stage.
    """
    path, what = run / "config.json", "a ranking stage"
    todo, anew = "name the folder that mindref train --model din made", "train anew elsewhere"
    whole = f"the configuration of {what}"
    try:
        words = files.read_config(run, whole, anew, check_format)
        if words.pop(STAGE, None) != RANKING:
            raise RunError(say(str(run), what, "a run that recalls", todo))
        config = DinConfig.of(words["settings"])
        recall = words["recall"]
        if not all(isinstance(x, str) for x in (recall["run"], recall["model"], words["log"])):
            raise ValueError("no words where the recall run is named")
        check_path(recall["run"])
    except FileNotFoundError:
        raise RunError(say(str(run), what, "no config.json in it", todo)) from None
    except (OSError, *files.MALFORMED) as error:
        got = f"{type(error).__name__}: {error}"
        raise RunError(say(str(path), whole, got, anew)) from error
    return config, words


def model_digest(recall_run: Path) -> str:
    """Return the sha256 of the model file of a run. Raises RunError where there is none."""
    try:
        path = recall_run / MODEL
        files.check_room(
            path, files.check_file(path, "a trained model", "train it again"), "arrays"
        )
        return file_digest(path)
    except OSError as error:
        got = error.strerror or str(error)
        todo = "--recall names where the run of a ranking stage lies"
        raise RunError(say(str(recall_run / MODEL), "a trained model", got, todo)) from error


def check_belongs(run: Path, facts: Mapping[str, Any], recall_run: Path) -> None:
    """Raise RunError unless a ranking stage was trained on what this very run recalls."""
    if model_digest(recall_run) != facts["recall"]["model"]:  # din-R24
        expected = f"the run that it was trained for, {facts['recall']['run']} as it was then"
        todo = "train the ranking stage anew"
        raise RunError(say(str(run), expected, f"{recall_run}, another model", todo))
