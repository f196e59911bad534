"""mindref train --dry-run: print what would be read, split, trained and written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindref.cli.new_training import find_plan_candidates, next_run_directory
from mindref.cli.settings import check_writable
from mindref.cli.streams import print_json, print_stdout
from mindref.cli.training_output import print_reading
from mindref.errors import ConfigError, say
from mindref.process.memory import format_bytes

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.recommender.training.plan import TrainingPlan
    from mindref.training.distributed import Ranks


def print_dry_run(
    plan: TrainingPlan,
    changes: dict[str, object],
    out: Path | None,
    backend: Backend,
    *,
    ranks: Ranks,
    as_json: bool,
) -> int:
    """Read and split the log, print the plan of the training, and return the exit code 0."""
    from mindref.recommender.training.dry_run import describe_plan
    from mindref.run.folder import check_free

    run = out or next_run_directory(Path("runs"))
    check_writable("--out", run)
    check_free(run)
    candidates = find_plan_candidates(plan, changes, backend, several=ranks.several)
    loaded = plan.source.read(next(iter(candidates.configs.values())))
    if plan.start is not None:
        plan.start.check_items(loaded.log)
    if not ranks.first:
        return 0
    print_reading(loaded.log, exclude_seen=plan.exclude_seen)
    description = describe_plan(  # faults-R21
        plan.source, loaded, plan.protocol, candidates.configs, run, backend.name
    )
    if plan.start is not None:
        description["start_from"] = plan.start.run
    if as_json:
        print_json(description)
    else:
        for line in plan_lines(description):
            print_stdout(line)
    return 0


def reject_dry_run(other: str) -> None:
    """Raise ConfigError: a training of this kind has no dry run."""
    todo = "only a new training of a model that recalls has one"
    raise ConfigError(say("--dry-run", "a new training", other, todo))


def plan_lines(description: dict[str, Any]) -> Iterator[str]:
    """Yield one line for each part of a plan."""
    read, split, memory = description["read"], description["split"], description["memory"]
    yield "read: {log}: {users:,} users, {items:,} items, {interactions:,} interactions".format(
        **read
    )
    yield (
        "split: {protocol}: {interactions:,} training interactions in {sequences:,} sequences,"
        " {validation_cases:,} validation cases, {test_cases:,} test cases".format(**split)
    )
    if "start_from" in description:
        yield f"start: from the parameters of {description['start_from']}"
    for training in description["train"]:
        yield f"train: {training_text(training)}"
    if len(description["train"]) > 1:
        yield "train: the presets are compared after a sixth of the training; one continues"
    yield f"write: {description['write']['run']}: {', '.join(description['write']['files'])}"
    parts = ", ".join(f"{name} {format_bytes(memory[name])}" for name in MEMORY_PARTS)
    total, available = format_bytes(memory["total"]), format_bytes(memory["available"])
    yield f"memory: about {total} ({parts}); {available} are available"
    yield "dry run: nothing was trained, and no file was written"


MEMORY_PARTS = ("program", "log", "parameters", "evaluation")


def training_text(training: dict[str, Any]) -> str:
    """Return preset, model and size of one training as text."""
    name = f"preset {training['preset']}, " if training["preset"] else ""
    text = f"{name}model {training['model']}"
    if "steps" not in training:
        return f"{text}, fitted in one pass"
    until = f"{training['steps']:,} steps"
    if training["time_limit"]:
        until = f"{training['time_limit']:g} seconds"
    return (
        f"{text}, {until} of {training['batch']:,} examples, {training['parameters']:,} parameters"
    )
