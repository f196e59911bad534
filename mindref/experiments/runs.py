"""The runs of an experiment: trained, resumed, or found finished.

Spec: specs/experiments.md, R13 to R16, R19. The log is read once, before `ExperimentRuns` is
made.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mindref.backend import load_backend
from mindref.config import Config
from mindref.errors import RunError, prefix_errors, say
from mindref.experiments import first_hits
from mindref.experiments.arms import PlannedRun
from mindref.experiments.first_hits import FirstHits
from mindref.models.family import check_trainable
from mindref.recommender.evaluate_run import parse_metric
from mindref.recommender.training.plan import TrainingPlan, fit_to_log
from mindref.recommender.training.trainer import REPORT, Trainer
from mindref.run import atomic, checkpoint, files, lock
from mindref.run.checkpoint import check_free
from mindref.run.source import LoadedLog, Source, fingerprint
from mindref.run.stored_json import Count, Finite, decode
from mindref.run.training_data import PreparedLog, prepare_training
from mindref.training.divergence import Diverged
from mindref.training.loop import Hooks

PROGRESS_FILE = "experiment.json"  # in the run directory
CHOOSE_OTHER = "choose another --out, or remove the folder"
Watch = Callable[[Config, int], AbstractContextManager[Hooks]]


class ExperimentStopped(Exception):  # not an error: the user stopped it
    """The experiment was stopped. All completed work is on disk."""


@dataclass(frozen=True)
class RunProgress:
    """The progress of a training, as it is stored."""

    finished: bool = False
    diverged: str = ""  # why the training has no result
    value: Finite | None = None  # best value of the validation metric; None if it diverged
    best_step: Count = 0


class RunListener(NamedTuple):
    """Receives the progress of the runs, and can stop them."""

    print_line: Callable[[str], None] = lambda line: None
    watch: Watch | None = None
    stop: Callable[[], bool] = lambda: False


class ExperimentRuns:
    """All runs on one log, under one protocol."""

    def __init__(
        self,
        source: Source,
        loaded: LoadedLog,
        protocol: str,
        *,
        exclude_seen: bool | None = True,
        device: str = "cpu",
        listener: RunListener | None = None,
    ) -> None:
        self.source, self.loaded, self.protocol = source, loaded, protocol
        self.exclude_seen, self.device = loaded.log.excludes_seen(exclude_seen), device
        self.listener = listener or RunListener()
        self.log = fingerprint(loaded.log)
        self.total = 0  # planned runs
        self.ended: dict[Path, RunProgress] = {}
        self.checked_settings: set[tuple[object, ...]] = set()
        self.fitted: dict[Config, Config] = {}  # settings -> with the numbers that the log gives
        self.last_split: tuple[object, PreparedLog] | None = None  # key of `split_log`, split

    def check_run(self, planned: PlannedRun) -> None:
        """Raise RunError if the directory holds anything but the planned run.

        Raises ConfigError or BackendError for settings that do not fit the log or the machine.
        """
        directory = planned.directory
        with prefix_errors(planned.description):
            self.check_settings(planned.config)
        if not (directory / "config.json").exists():
            check_free(directory)
            return
        config, facts = checkpoint.load_config(directory)
        required = {"protocol": self.protocol, "exclude_seen": self.exclude_seen, "log": self.log}
        expected = {**self.fit_settings(planned.config).to_dict(), **required}
        stored = {**config.to_dict(), **{name: facts[name] for name in required}}
        for name, value in expected.items():
            if stored[name] != value:  # experiments-R16
                if name == "log":
                    raise other_log_error(directory, self.source, facts)
                raise RunError(say(f"{directory}: {name}", str(value), stored[name], CHOOSE_OTHER))

    def check_settings(self, config: Config) -> None:
        """Raise the errors of a training before the first one; equal settings are checked once."""
        features = (config.item_features, config.user_features)
        key = (*features, config.backend, config.metric, config.model)
        if key not in self.checked_settings:
            parse_metric(config.metric)
            check_trainable(load_backend(config.backend, self.device), config)
            self.split_log(config)
            self.checked_settings.add(key)

    def fit_settings(self, config: Config) -> Config:
        """Return settings with the numbers that the log gives; equal settings are fitted once."""
        if config not in self.fitted:
            self.fitted[config] = fit_to_log(config, self.split_log(config))
        return self.fitted[config]

    def split_log(self, config: Config) -> PreparedLog:
        """Return the split log. The last one is kept for settings that split it the same way.

        Raises DataError or ConfigError for settings that do not fit the log.
        """
        of_features = config.dtype, config.item_features, config.user_features
        key = (config.seed, config.basket_histories, *of_features)
        if self.last_split is None or self.last_split[0] != key:
            self.last_split = key, prepare_training(self.loaded, self.protocol, config)
        return self.last_split[1]

    def make_trainer(self, planned: PlannedRun) -> Trainer:
        """Return the trainer of a run with the last state on disk, or before the first step."""
        plan = TrainingPlan(
            planned.config,
            self.source,
            self.protocol,
            exclude_seen=self.exclude_seen,
            run=planned.directory,
            device=self.device,
        )
        self.last_split = None  # the trainer splits the log itself
        trainer = Trainer(plan, self.loaded)
        if (planned.directory / "config.json").exists():
            trainer.restore(planned.directory)  # experiments-R14
        else:
            trainer.create()
        return trainer

    def train_run(self, planned: PlannedRun) -> RunProgress:
        """Train a run unless it is finished. Raises ExperimentStopped, or RunError as check_run."""
        return self._train_run(planned)[0]

    def evaluate_run(self, planned: PlannedRun) -> tuple[RunProgress, FirstHits | None]:
        """Train and evaluate a run unless that is done; no hits (None) if it diverged."""
        run, trainer = self._train_run(planned)
        if run.diverged:
            return run, None
        directory = planned.directory
        hits = first_hits.load_hits(directory)
        if hits is None or not (directory / REPORT).exists():
            trainer = trainer or self.make_trainer(planned)
            if trainer.state.best_step != run.best_step:  # the trained state is lost
                got, todo = trainer.state.best_step, "remove the folder, to train it again"
                expected = f"the state whose best step is {run.best_step}"
                raise RunError(say(str(directory), expected, got, todo))
            with self.run_lock(planned):
                trainer.evaluate()
                hits = first_hits.find_first_hits(trainer)
                first_hits.save_hits(directory, hits)
        return run, hits

    def _train_run(self, planned: PlannedRun) -> tuple[RunProgress, Trainer | None]:
        """Return a trained run, and its trainer if one was created."""
        directory = planned.directory
        if self.listener.stop():
            raise ExperimentStopped
        if directory in self.ended:
            return self.ended[directory], None
        self.check_run(planned)
        title = f"run {len(self.ended) + 1} of {self.total}: {planned.description}"
        progress, trainer = read_progress(directory), None
        if progress.finished:  # experiments-R13
            self.listener.print_line(f"{title}: already trained")
        else:
            with self.run_lock(planned):
                trainer = self.make_trainer(planned)
                step = trainer.state.moments.step
                self.listener.print_line(title + (f": resumed at step {step}" if step else ""))
                progress = self.train_to_end(trainer)
                content = {**asdict(progress), "identity": trainer.identity}
                files.write_sealed(directory / PROGRESS_FILE, content)
        if not progress.finished:
            raise ExperimentStopped
        self.ended[directory] = progress
        return progress, trainer

    @contextmanager
    def run_lock(self, planned: PlannedRun) -> Iterator[None]:
        """Hold the lock of a run directory; `mindref train --resume` uses the same lock."""
        with atomic.explain_errors(planned.directory):
            planned.directory.mkdir(parents=True, exist_ok=True)
        with lock.lock_inside(planned.directory) as warning:  # faults-R4
            if warning:
                self.listener.print_line(warning)
            else:
                names = (PROGRESS_FILE, first_hits.FILE)
                atomic.remove_leftovers(planned.directory, *names)  # faults-R8
            yield

    def train_to_end(self, trainer: Trainer) -> RunProgress:
        """Train to the end or until stopped; return the progress of the run."""
        listener, diverged, finished = self.listener, "", True
        watch = listener.watch or (lambda config, step: nullcontext(Hooks(stop=listener.stop)))
        with watch(trainer.config, trainer.state.moments.step) as hooks:
            try:
                finished = trainer.train(hooks).finished
            except Diverged as error:
                diverged = str(error)  # experiments-R19
        state = trainer.state
        return RunProgress(
            finished=finished,
            diverged=diverged,
            value=None if diverged or not state.best_step else state.best_value,
            best_step=state.best_step,
        )


def other_log_error(run: Path, source: Source, facts: Mapping[str, Any]) -> RunError:
    """Return the error of a folder with a run on another log; facts: of that run."""
    location = facts["source"]["place"]
    got = f"a run on another log, {location}"
    if location == source.location:
        got = "a run on other content of this log, or with other reading options"
    return RunError(say(str(run), f"a run on {source.location}", got, CHOOSE_OTHER))


def read_progress(run: Path) -> RunProgress:
    """Return the progress of a run; that of a new run if it is missing, damaged or of another."""
    stored = files.StoredFile(run / PROGRESS_FILE, "the progress of a run", "")
    try:
        content = stored.unseal(stored.read_json())  # security-R1
        identity = checkpoint.run_identity(*checkpoint.load_config(run))
        is_of_run = content.pop("identity", None) == identity  # security-R2
        progress = decode(content, RunProgress)
    except (OSError, RunError, *files.MALFORMED):
        return RunProgress()  # the checkpoint on disk shows the progress
    lacks_value = progress.finished and not progress.diverged and progress.value is None
    return progress if is_of_run and not lacks_value else RunProgress()
