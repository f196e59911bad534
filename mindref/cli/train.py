"""mindref train: train a model on a log, evaluate it, and store it in a run directory."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from mindref.cli import run_settings, settings, torchrun
from mindref.cli.locking import lock_folder
from mindref.cli.new_training import choose_run_directory, new_trainer, print_dry_run
from mindref.cli.option_groups import GroupedCommand
from mindref.cli.reading_options import parse_reading, reading_options
from mindref.cli.settings import DIN, flag_option
from mindref.cli.streams import print_as_warnings, print_stderr
from mindref.cli.training_output import train_and_report
from mindref.config import Config
from mindref.data.protocols import PROTOCOLS
from mindref.errors import ConfigError, say
from mindref.models.din_config import DinConfig
from mindref.models.registry import is_reranker
from mindref.presets import DEFAULT_PRESET, PRESETS
from mindref.process.threads import BLAS_THREAD_VARIABLES, is_multiprocess
from mindref.training.distributed import Ranks, join_ranks

if TYPE_CHECKING:
    from mindref.backend import Backend
    from mindref.recommender.trackers import TrackerCallback
    from mindref.recommender.training.trainer import Trainer

COMMON_OPTIONS = {"data", "device", "threads", "track", "quiet", "as_json"}
"""Parameters of trainings of all kinds."""

KEEPS_SETTINGS = "a run keeps its settings"
"""Why --resume has no other settings."""

DIN_ONLY = {"recall", *(x.name for x in dataclasses.fields(DinConfig))} - {
    x.name for x in dataclasses.fields(Config)
}
"""Parameters that require --model din."""


@dataclass(frozen=True)
class TrainOptions:
    """The options of `mindref train`."""

    data: Annotated[Path | None, click.option(
        "--data", type=settings.PATH, help="Log to read: a file, or a folder with one log."
    )]  # fmt: skip
    reading: Annotated[dict[str, Any], reading_options]
    protocol: Annotated[str | None, click.option(
        "--split", "protocol", type=click.Choice(PROTOCOLS),
        help="Protocol that splits the log into training, validation and test data (specs/data.md);"
        " last_basket: all items of a user's last time are targets; none: all interactions are"
        " training data, and nothing is evaluated [default:"
        " leave_last_out; with --preset paper: paper].",
    )]  # fmt: skip
    exclude_seen: Annotated[bool | None, settings.seen_option(settings.OF_LOG)]
    out: Annotated[Path | None, click.option(
        "--out", type=settings.FOLDER, help="Run directory to create [default: runs/001,"
        " runs/002...]."
    )]  # fmt: skip
    resume: Annotated[Path | None, click.option(
        "--resume", type=settings.FOLDER, metavar="RUN",
        help="Resume the stopped run RUN. Settings cannot be changed. If the log has moved, give"
        " the new path of the log with --data.",
    )]  # fmt: skip
    steps_of: Annotated[Path | None, click.option(
        "--steps-of", type=settings.FOLDER, metavar="RUN",
        help="With --split none: train like the finished run RUN, for the steps of its best"
        " validation, on all interactions. Log, settings and seen items are those of RUN unless"
        " they are given.",
    )]  # fmt: skip
    start_from: Annotated[Path | None, click.option(
        "--start-from", type=settings.FOLDER, metavar="RUN",
        help="Start from the parameters of the run RUN instead of random ones. Items keep their"
        " vectors; new items start at the vector of their features, or at the mean. Log, split,"
        " settings and seen items are those of RUN unless they are given.",
    )]  # fmt: skip
    recall: Annotated[Path | None, click.option(
        "--recall", type=settings.FOLDER, metavar="RUN",
        help="With --model din: DIN reranks the top items of the run RUN, and uses its log and"
        " split.",
    )]  # fmt: skip
    track: Annotated[tuple[str, ...], click.option(
        "--track", multiple=True, metavar="NAME",
        help="Record the training with an experiment tracker: tensorboard or module:object."
        " Repeat the option for several trackers.",
    )]  # fmt: skip
    preset: Annotated[str | None, click.option(
        "--preset", type=click.Choice(list(PRESETS)),
        help=f"{settings.PRESET_HELP} [default: {DEFAULT_PRESET}; with --model: mind].",
    )]  # fmt: skip
    config_file: Annotated[Path | None, settings.config_option]
    setting_values: Annotated[dict[str, Any], partial(settings.settings_options, trains=True)]
    device: Annotated[str, settings.device_option]
    threads: Annotated[int | None, settings.threads_option]
    dry_run: Annotated[bool, flag_option(
        "--dry-run",
        "Read and split the log, print what would be trained and written with an estimate of the"
        " memory, and train nothing.",
    )]  # fmt: skip
    quiet: Annotated[bool, settings.quiet_option]
    as_json: Annotated[bool, settings.json_option]

    @property
    def backend(self) -> str | None:
        """The named backend, if any. DIN has no such setting: its backend is that of --recall."""
        name: str | None = self.setting_values["backend"]
        return name


FIRST_OPTIONS = (
    "data", "user", "item", "time", "protocol", "preset", "out", "resume", "threads", "dry_run",
)  # fmt: skip

OPTION_GROUPS = {
    "Data": "data",
    "Runs": "out",
    "Model": "preset",
    "Settings of maxmf, item_knn, wals and own_counts": "pair_loss",
    "Features of items and users": "item_features",
    "Training": "negatives",
    "Reranker (--model din)": "attention_hidden",
    "Computation and output": "device",
}
"""Group of options in the help -> its first parameter."""


@click.command(
    "train",
    cls=GroupedCommand,
    first=FIRST_OPTIONS,
    groups=OPTION_GROUPS,
    short_help="Train a model on a log, or on the built-in catalogue.",
)
@settings.add_options(TrainOptions)
def train_command(options: TrainOptions) -> int:
    """Train a model on a log and evaluate it on held-out interactions.

    Without --preset and --model, the recommended recipe is trained; --preset mind trains MIND.
    Without --data, the built-in synthetic log is used. All files are written to a run
    directory. Ctrl-C saves the state and stops the training. --resume RUN continues it.

    --model din --recall RUN trains DIN, which reranks the top items of RUN. DIN is stored in a new
    run directory, DIN_RUN. mindref recall RUN --rerank DIN_RUN then prints reranked items.

    With the backend torch, several processes can compute one training. Each process computes a part
    of every batch. Command: torchrun --nproc-per-node N -m mindref train --backend torch ...
    """
    return torchrun.report_in_first_process(lambda: start_training(options))


def start_training(options: TrainOptions) -> int:
    """Resume a training, train a reranker, or train a new run; return the exit code."""
    reading = parse_reading(options.reading)
    resume, trains_reranker = options.resume, is_reranker(options.setting_values["model"])
    if options.dry_run and (resume is not None or trains_reranker):
        got = "--model din" if resume is None else "--resume"
        todo = "only a new training of a model that recalls has one"
        raise ConfigError(say("--dry-run", "a new training", got, todo))
    if resume is None:
        return train_din(options) if trains_reranker else train_new(options, reading)
    if run_settings.is_reranker_run(resume):
        return resume_din(resume, options)
    return resume_training(resume, options)


def train_new(options: TrainOptions, reading: dict[str, object]) -> int:
    """Train a new run, or print its plan; return the exit code."""
    if rejected := [x for name, x in settings.typed_options().items() if name in DIN_ONLY]:
        got = options.setting_values["model"] or "none"
        raise ConfigError(say(rejected[0], f"--model {DIN} with it", got))
    preset, changes = settings.read_changes(
        options.preset, options.config_file, options.setting_values
    )
    earlier_run = options.steps_of or options.start_from
    default = Config.backend if earlier_run is None else run_settings.run_backend(earlier_run)
    backend_name = str(changes.get("backend", default))
    settings.set_threads(options.threads, backend_name)
    if options.data is None and reading:
        got = f"none, but {', '.join(reading)}"
        raise ConfigError(say("--data", "a log for the reading options", got))
    from mindref.recommender.training.plan import plan_training

    plan = plan_training(
        preset,
        changes,
        options.data,
        reading,
        protocol=options.protocol,
        exclude_seen=options.exclude_seen,
        steps_of=options.steps_of,
        start_from=options.start_from,
    )
    trackers = load_trackers(options.track)
    backend, ranks = join_processes(backend_name, options)
    if options.dry_run:
        print_dry_run(plan, options.out, backend, ranks=ranks, as_json=options.as_json)
        return 0
    plan = dataclasses.replace(plan, device=options.device)
    make = partial(
        new_trainer, plan, options.out, ranks=ranks, backend=backend, quiet=options.quiet
    )
    return run_training(torchrun.make_trainer(ranks, make, create_run), trackers, options)


def resume_training(run: Path, options: TrainOptions) -> int:
    """Continue a stopped training; return the exit code. No setting can be changed."""
    name, allowed = run_settings.run_backend(run), {"resume", *COMMON_OPTIONS}
    settings.set_threads(run_settings.run_threads(run, options.threads), name)
    if options.backend == name:  # not a change: the user trusts the code of this backend
        allowed.add("backend")
    else:
        from mindref.backend import check_installed

        check_installed(name, f"{run}: backend")
    settings.reject_other_options("--resume", allowed, "no other settings", KEEPS_SETTINGS)
    from mindref.recommender.training.trainer import resume_run

    trackers = load_trackers(options.track)
    backend, ranks = join_processes(name, options)

    def make() -> Trainer:
        if ranks.first:
            lock_folder(run)
        return resume_run(run, options.data, options.device, ranks, backend)

    return run_training(torchrun.make_trainer(ranks, make), trackers, options)


def train_din(options: TrainOptions) -> int:
    """Train DIN on the candidates of a recall run; return the exit code."""
    recall = options.recall
    if recall is None:
        todo = "create one with mindref train"
        raise ConfigError(say("--recall", "a run whose candidates DIN reranks", "none", todo))
    allowed = {*options.setting_values, *COMMON_OPTIONS, "recall", "out", "config_file"}
    todo = "log, split and seen items are those of the recall run"
    settings.reject_other_options(f"--model {DIN}", allowed, "settings of DIN", todo)
    changes = settings.read_settings_file(options.config_file)
    typed = {name: x for name, x in options.setting_values.items() if x is not None}
    typed.pop("backend", None)  # that of the recall run
    changes |= typed
    changes.pop("model", None)  # DIN
    config = DinConfig.of(changes)  # din-R22
    check_one_process()
    settings.use_recall_backend(recall, options.backend, options.threads)
    trackers = load_trackers(options.track)
    from mindref.recommender.serving.served_model import ServedModel
    from mindref.recommender.training.rerank_trainer import RerankTrainer

    run = choose_run_directory(options.out)
    model = ServedModel.load(recall, options.backend, options.device, options.data)
    trainer = RerankTrainer(recall, model, config, run)
    lock_folder(run, make=True)
    trainer.create()
    return train_and_report(trainer, trackers, quiet=options.quiet, as_json=options.as_json)


def resume_din(run: Path, options: TrainOptions) -> int:
    """Continue a stopped training of DIN; return the exit code."""
    allowed = {"resume", "recall", "backend", *COMMON_OPTIONS}
    settings.reject_other_options("--resume", allowed, "no other settings", KEEPS_SETTINGS)
    check_one_process()
    recall = options.recall or run_settings.recall_run_of(run)
    threads = run_settings.run_threads(run, options.threads, run_settings.run_backend(recall))
    settings.use_recall_backend(recall, options.backend, threads)
    trackers = load_trackers(options.track)
    lock_folder(run)
    from mindref.recommender.training.rerank_trainer import resume_reranker

    trainer = resume_reranker(run, options.recall, options.data, options.device, options.backend)
    return train_and_report(trainer, trackers, quiet=options.quiet, as_json=options.as_json)


def check_one_process() -> None:
    """Raise ConfigError for several processes: each would train the same reranker."""
    if is_multiprocess():
        todo = "run it without torchrun"
        raise ConfigError(say(f"--model {DIN}", "one process", "several", todo))


def create_run(trainer: Trainer) -> None:
    """Create and lock the run directory."""
    if trainer.run is not None:
        lock_folder(trainer.run, make=True)
    trainer.create()


def load_trackers(names: Sequence[str]) -> list[TrackerCallback]:
    """Return the named trackers, each once. Raises ConfigError for an unusable one.

    Called after the number of threads is set, because a tracker may import NumPy, and before the
    log is read.
    """
    if not names:
        return []
    from mindref.recommender.trackers import TrackerCallback

    return [
        TrackerCallback(name, lambda text: print_as_warnings([text]))  # callbacks-R6
        for name in dict.fromkeys(names)
    ]


def join_processes(name: str, options: TrainOptions) -> tuple[Backend, Ranks]:
    """Return the backend and the processes of this training; print their number.

    Raises BackendError if the backend or the device is not available.
    """
    from mindref.backend import load_backend

    backend = load_backend(name, options.device)
    ranks = join_ranks(backend)
    if ranks.several and ranks.first and not options.quiet:
        threads = os.environ.get(BLAS_THREAD_VARIABLES[0])
        print_stderr(f"{ranks.world} processes share each batch, {threads} threads each")
    return backend, ranks


def run_training(
    trainer: Trainer, trackers: Sequence[TrackerCallback], options: TrainOptions
) -> int:
    """Train in one process or in several; return the exit code."""
    if not trainer.ranks.first:
        torchrun.exit_immediately(torchrun.train_silently(trainer))
    with torchrun.explain_lost_process(trainer):
        code = train_and_report(trainer, trackers, quiet=options.quiet, as_json=options.as_json)
    if trainer.ranks.several:
        torchrun.exit_immediately(code)
    return code
