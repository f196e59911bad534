"""Runs of an experiment: made, taken up where they were stopped, or found finished.

Spec: specs/experiments.md, R13 to R16, R19. The log is read once, by whoever makes a `Runs`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from mindref.backend import load
from mindref.config import Config
from mindref.errors import RunError, say, told_of
from mindref.experiments import hits
from mindref.experiments.arms import Asked
from mindref.experiments.clock import Clock
from mindref.experiments.hits import Hits
from mindref.models.families import check
from mindref.recommender.judging import split_metric
from mindref.recommender.prepared import prepare
from mindref.recommender.run import REPORT, Hooks, Trainer
from mindref.run import atomic, checkpoint, files, lock
from mindref.run.folder import check_free
from mindref.run.metadata import is_count, is_number
from mindref.run.source import Loaded, Source, fingerprint
from mindref.training.engine import Diverged

NOTE = "experiment.json"  # in the run directory: how far it is, and what its steps took
FIELDS = ("value", "best_step", "seconds", "timed", "diverged", "curve")
Watch = Callable[[Config, int], AbstractContextManager[Hooks]]


class Stopped(Exception):  # no error: somebody asked for it
    """The experiment was asked to stop; all that was done is on disk."""


class Run(NamedTuple):
    """A training that has ended."""

    asked: Asked
    value: float | None  # the best of the validation metric; None where it diverged
    best_step: int
    seconds: float  # of the steps that were timed, on whatever machine took them
    timed: int  # steps
    diverged: str = ""  # why the training has no result
    curve: Sequence[tuple[int, float]] = ()  # step and validation metric of each epoch


class Listener(NamedTuple):
    """Who hears of the runs, and how they are asked to stop."""

    tell: Callable[[str], None] = lambda line: None
    watch: Watch | None = None
    stop: Callable[[], bool] = lambda: False


class Runs:
    """All runs on one log, under one protocol."""

    def __init__(
        self,
        source: Source,
        loaded: Loaded,
        protocol: str,
        exclude_seen: bool = True,
        device: str = "cpu",
        listener: Listener | None = None,
    ) -> None:
        self.source, self.loaded, self.protocol = source, loaded, protocol
        self.exclude_seen, self.device = exclude_seen, device
        self.listener = listener or Listener()
        self.log = fingerprint(loaded.log)
        self.total = 0  # runs that are going to be asked for
        self.ended: dict[Path, Run] = {}
        self.able: set[tuple[object, ...]] = set()  # settings that were looked at

    def check(self, asked: Asked) -> None:
        """Raise RunError if the place holds anything but the run that is asked for.

        And ConfigError or BackendError for settings that this log or this machine cannot serve.
        """
        with told_of(asked.words):
            self.check_settings(asked.config)
        if not (asked.place / "config.json").exists():
            check_free(asked.place)
            return
        config, facts = checkpoint.load_config(asked.place)
        wanted = {**asked.config.to_dict(), **self.facts()}
        there = {**config.to_dict(), **{name: facts[name] for name in self.facts()}}
        for name, value in wanted.items():
            if there[name] != value:  # experiments-R16
                todo = "choose another --out, or remove the folder"
                raise RunError(say(f"{asked.place}: {name}", str(value), there[name], todo))

    def check_settings(self, config: Config) -> None:
        """Find out before any training what would end one, once for settings that are alike."""
        features = (config.item_features, config.user_features)
        alike = (*features, config.backend, config.metric, config.model)
        if alike not in self.able:
            split_metric(config.metric)
            check(load(config.backend, self.device), config)
            prepare(self.loaded, self.protocol, config)
            self.able.add(alike)

    def identity(self, asked: Asked) -> str:
        """Return the digest of the run that lies there; none lies there yet: the empty text."""
        try:
            return checkpoint.identity(*checkpoint.load_config(asked.place))
        except RunError:
            return ""

    def facts(self) -> dict[str, Any]:
        """Return what a run must have been trained on."""
        return {"protocol": self.protocol, "exclude_seen": self.exclude_seen, "log": self.log}

    def trainer(self, asked: Asked) -> Trainer:
        """Return the trainer of a run at its last state on disk, or at the first step."""
        given = (self.source, self.loaded, self.protocol, asked.config, asked.place)
        trainer = Trainer(*given, self.exclude_seen, self.device)
        if (asked.place / "config.json").exists():
            trainer.restore(asked.place)  # experiments-R14
        else:
            trainer.create()
        return trainer

    def trained(self, asked: Asked) -> Run:
        """Train a run unless it is trained. Raises Stopped, or RunError as `check` does."""
        return self._trained(asked)[0]

    def judged(self, asked: Asked) -> tuple[Run, Hits | None]:
        """Train a run and judge it on the test cases, unless that was done; None if it diverged."""
        run, trainer = self._trained(asked)
        if run.diverged:
            return run, None
        kept = hits.load(asked.place)
        if kept is None or not (asked.place / REPORT).exists():
            trainer = trainer or self.trainer(asked)
            if trainer.state.best_step != run.best_step:  # its state is lost: nothing to judge
                got, todo = trainer.state.best_step, "remove the folder, to train it again"
                expected = f"the state whose best step is {run.best_step}"
                raise RunError(say(str(asked.place), expected, got, todo))
            with self.alone(asked):
                trainer.judge()
                kept = hits.found(trainer)
                hits.save(asked.place, kept)
        return run, kept

    def _trained(self, asked: Asked) -> tuple[Run, Trainer | None]:
        """Return a trained run, and its trainer where it was needed."""
        if self.listener.stop():
            raise Stopped
        if asked.place in self.ended:
            return self.ended[asked.place], None
        self.check(asked)
        head = f"run {len(self.ended) + 1} of {self.total}: {asked.words}"
        note, trainer = read_note(asked.place, self.identity(asked)), None
        if note is not None and note["finished"]:  # experiments-R13
            self.listener.tell(f"{head}: trained before")
        else:
            with self.alone(asked):
                trainer = self.trainer(asked)
                step = trainer.state.moments.step
                self.listener.tell(f"{head}" + (f": going on from step {step}" if step else ""))
                note = self.train(trainer, note or {"seconds": 0.0, "timed": 0})
                whose = {"identity": self.identity(asked)}
                files.write_sealed(asked.place / NOTE, {**note, **whose})
        if not note["finished"]:
            raise Stopped
        run = Run(asked, *(note[name] for name in FIELDS))
        self.ended[asked.place] = run
        return run, trainer

    @contextmanager
    def alone(self, asked: Asked) -> Iterator[None]:
        """Hold the lock of the folder of a run, which `mindref train --resume` may name, too."""
        with atomic.explained(asked.place):
            asked.place.mkdir(parents=True, exist_ok=True)
        with lock.inside(asked.place) as said:  # faults-R4
            if said:
                self.listener.tell(said)
            yield

    def train(self, trainer: Trainer, before: dict[str, Any]) -> dict[str, Any]:
        """Train to the end or to the stop; return the note of the run."""
        listener, clock, diverged, finished = self.listener, Clock(), "", True
        watch = listener.watch or (lambda config, step: nullcontext(Hooks(stop=listener.stop)))
        with watch(trainer.config, trainer.state.moments.step) as hooks:
            try:
                finished = trainer.go(clock.around(hooks)).finished
            except Diverged as error:
                diverged = str(error)  # experiments-R19
        state = trainer.state
        return {
            "finished": finished,
            "diverged": diverged,
            "value": None if diverged or not state.best_step else state.best_value,
            "best_step": state.best_step,
            "seconds": before["seconds"] + clock.seconds,
            "timed": before["timed"] + clock.steps,
            "curve": [[epoch.step, epoch.value] for epoch in trainer.epochs],
        }


def read_note(place: Path, identity: str) -> dict[str, Any] | None:
    """Return the note of a run; None without one, and for one that is damaged or of another run."""
    path, what = place / NOTE, "the note of a run"
    try:
        note = files.unsealed(path, files.read_json(path, what, ""), what, "")  # security-R1
        if note["identity"] != identity:  # security-R2
            return None
        found = {name: note[name] for name in ("finished", *FIELDS)}
        return found if is_note(found) else None
    except (OSError, RunError, *files.MALFORMED):
        return None  # the state on disk says how far the run is


def is_note(found: Mapping[str, Any]) -> bool:
    """Return whether the words of a note are of their types. Raises ValueError for another curve.

    The identity of a run says whose a note is, and not what is in it.
    """
    return (
        isinstance(found["finished"], bool)
        and isinstance(found["diverged"], str)
        and all(is_count(found[name]) for name in ("best_step", "timed"))
        and is_number(found["seconds"])
        and (found["value"] is None or is_number(found["value"]))
        and all(is_count(step) and is_number(value) for step, value in found["curve"])
    )
