"""The plan of a training: files, split, models and memory, without the training.

Spec: specs/faults.md, faults-R21. `mindref train --dry-run` prints it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mindref.config import Config
from mindref.models.family import family_of
from mindref.process.memory import usable_memory
from mindref.recommender.training.memory_estimate import check_training_memory, count_parameters
from mindref.run.folder import WRITTEN
from mindref.run.source import LoadedLog, Source
from mindref.run.training_data import PreparedLog, prepare_training


def describe_plan(
    source: Source,
    loaded: LoadedLog,
    protocol: str,
    configs: Mapping[str, Config],
    run: Path,
    backend: str,
) -> dict[str, object]:
    """Return the parts of a training as plain values: read, split, train, write and memory.

    configs: settings by preset. If there are several, the presets are compared and one is chosen.
    Raises DataError or ConfigError if the log cannot be split. Allocates no parameters.
    """
    log, candidates = loaded.log, list(configs.values())
    prepared = prepare_training(loaded, protocol, candidates[0])
    split, num_test = prepared.split, len(prepared.split.test.users)
    estimate = check_training_memory(prepared, candidates, backend)
    counts = {"users": len(log.user_ids), "items": len(log.item_ids)}
    return {
        "read": {"log": source.location, **counts, "interactions": len(log.interactions.values)},
        "split": {
            "protocol": split.protocol,
            "sequences": len(split.train),
            "interactions": len(split.train.values),
            "validation_cases": min(len(split.validation.users), candidates[0].validation_users),
            "test_cases": min(num_test, candidates[0].test_users or num_test),
        },
        "train": [planned_training(x, name, prepared) for name, x in configs.items()],
        "write": {"run": str(run), "files": sorted(WRITTEN)},
        "memory": {**estimate._asdict(), "total": estimate.total, "available": usable_memory()},
    }


def planned_training(config: Config, preset: str, prepared: PreparedLog) -> dict[str, object]:
    """Return preset, model and size of one training; a model that is fitted has no steps."""
    training: dict[str, object] = {"preset": preset, "model": config.model}
    if family_of(config.model).by_steps:
        training |= {"steps": config.steps, "batch": config.batch, "time_limit": config.time_limit}
        training["parameters"] = count_parameters(config, prepared.task.sizes)
    return training
