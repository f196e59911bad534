"""DIN on the command line: training, evaluation, and why an index cannot hold its scores."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mindref.cli.locking import lock_folder
from mindref.cli.run_settings import read_run_config, run_backend, run_threads
from mindref.cli.settings import (
    DIN,
    read_settings_file,
    set_threads,
)
from mindref.cli.streams import print_json, print_stdout
from mindref.cli.tracking import load_trackers
from mindref.config import Config
from mindref.errors import ConfigError, say
from mindref.models.din_config import DinConfig
from mindref.process.threads import is_multiprocess

if TYPE_CHECKING:
    from mindref.recommender.training.rerank_trainer import RerankTrainer

DIN_SETTINGS = {setting.name for setting in dataclasses.fields(DinConfig)} - {
    setting.name for setting in dataclasses.fields(Config)
}
"""Settings that only DIN has."""


def reranker_config(config_file: Path | None, options: Mapping[str, Any]) -> DinConfig:
    """Return the settings of DIN. The command line overrides the file, the file the defaults.

    Raises ConfigError for an unknown setting.
    """
    settings = read_settings_file(config_file)
    settings |= {name: x for name, x in options.items() if x is not None}
    settings.pop("model", None)  # selected DIN; not a setting of DinConfig
    return DinConfig.of(settings)  # din-R22


def reject_reranker_options(recall: Path | None, options: Mapping[str, Any]) -> None:
    """Raise ConfigError for options that require --model din."""
    rejected = [] if recall is None else ["recall"]
    rejected += [name for name in options if name in DIN_SETTINGS and options[name] is not None]
    if rejected:
        option = f"--{rejected[0].replace('_', '-')}"
        raise ConfigError(say(option, f"--model {DIN} with it", options["model"] or "none"))


def new_reranker(
    recall: Path | None,
    out: Callable[[], Path],
    config: DinConfig,
    unused: Mapping[str, Any],
    threads: int | None,
    *,
    data: Path | None,
    device: str,
    backend: str | None,
) -> RerankTrainer:
    """Return the trainer of a new run on the candidates of a recall run; the run is locked.

    out: returns the new run directory, after all other checks; unused: options that the recall run
    determines; data, device, backend: as in `open_reranker`. Raises ConfigError, RunError or
    DataError.
    """
    if recall is None:
        todo = "create one with mindref train"
        raise ConfigError(say("--recall", "a run whose candidates DIN reranks", "none", todo))
    rejected = [f"--{name.replace('_', '-')}" for name, x in unused.items() if x is not None]
    if rejected:
        todo = "log, split and seen items are those of the recall run"
        raise ConfigError(say(f"--model {DIN}", "settings of DIN", ", ".join(rejected), todo))
    check_one_process()
    use_recall_backend(recall, backend, threads)
    load_trackers()
    from mindref.recommender.serving.served_model import ServedModel
    from mindref.recommender.training.rerank_trainer import RerankTrainer

    run = out()
    trainer = RerankTrainer(recall, ServedModel.load(recall, backend, device, data), config, run)
    lock_folder(run, make=True)
    trainer.create()
    return trainer


def resumed_reranker(
    run: Path,
    recall: Path | None,
    threads: int | None,
    *,
    data: Path | None,
    device: str,
    backend: str | None,
) -> RerankTrainer:
    """Return the trainer of a stopped training; the run is locked. Options as `new_reranker`."""
    check_one_process()
    recall_run = recall or recall_run_of(run)
    threads = run_threads(run, threads, run_backend(recall_run))
    use_recall_backend(recall_run, backend, threads)
    load_trackers()
    lock_folder(run)
    from mindref.recommender.training.rerank_trainer import resume_reranker

    return resume_reranker(run, recall, data, device, backend)


def use_recall_backend(recall: Path, backend: str | None, threads: int | None) -> None:
    """Set the number of threads for the backend of a recall run.

    Raises ConfigError for another backend: candidates would differ. Naming the same backend
    confirms trust in its code (security-R9).
    """
    name = run_backend(recall)
    if backend not in (None, name):
        todo = "remove the option, or name this backend to confirm that you trust it"
        raise ConfigError(say("--backend", f"{name}, the backend of {recall}", backend, todo))
    set_threads(threads, name)


def check_one_process() -> None:
    """Raise ConfigError for several processes: each would train the same reranker."""
    if is_multiprocess():
        raise ConfigError(
            say(f"--model {DIN}", "one process", "several", "run it without torchrun")
        )


def recall_run_of(run: Path) -> Path:
    """Return the recall run stored in a DIN run; the DIN run itself if it cannot be read."""
    try:
        return Path(read_run_config(run)["recall"]["run"])
    except (ValueError, KeyError, TypeError):
        return run


def print_evaluation(
    run: Path,
    *,
    indexable: bool,
    recall: Path | None,
    threads: int | None,
    as_json: bool,
    data: Path | None,
    device: str,
    backend: str | None,
) -> None:
    """Print the report of a DIN run, or measure why an index cannot hold its scores.

    data, device, backend: as in `open_reranker`.
    """
    if indexable:
        use_recall_backend(recall or recall_run_of(run), backend, threads)
        from mindref.recommender.din_indexability import measure_indexability
        from mindref.recommender.training.rerank_trainer import open_reranker

        trainer = open_reranker(run, recall, data, device, backend)
        report = measure_indexability(trainer.load_trained())
    else:
        set_threads(None)
        from mindref.recommender.training.rerank_trainer import load_rerank_report

        report = load_rerank_report(run)
    if as_json:
        print_json(report)
    elif indexable:
        for line in indexability_lines(report):
            print_stdout(line)
    else:
        from mindref.cli.reports import print_gains

        print_gains(report)


def indexability_lines(report: Mapping[str, Any]) -> list[str]:
    """Return the measurements of why inner products cannot represent DIN's scores."""
    users, items, rank = report["users"], report["items"], report["rank"]
    lines = [
        f"The scores of {users:,} users for all {items:,} items form a matrix of rank {rank:,}."
        " An index stores one vector per item. With vectors of width"
        f" {report['width']} the score matrix has rank {report['width']} at most."
    ]
    for r, row in report["by_rank"].items():
        lines.append(
            f"  rank {r:>4}: the nearest matrix misses {row['missed']:.1%} of the squared norm"
            f" and finds {row['overlap']:.1%} of each user's top-{report['n']} items."
        )
    if (recall := report["recall"]) is not None:
        lines.append(
            f"For comparison, the recall run: the scores of {recall['interests']:,} interests have"
            f" rank {recall['rank']:,}. The nearest matrix of rank {recall['width']} finds"
            f" {recall['overlap']:.1%} of the top-{report['n']} items of each interest."
        )
    if report["turning"] is not None:
        lines.append(
            "An index needs one query vector per user; DIN computes one per candidate. Two of them"
            f" have a mean cosine of {report['turning']:.3f}. For 5 % of the users it is at most"
            f" {report['turning_most']:.3f}."
        )
    return lines
