"""Train into a run directory, and take up again what was stopped."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.backend import Backend, check_installed, load
from mindref.config import Config
from mindref.data.splits import Cases
from mindref.errors import RunError, say
from mindref.evaluation.ties import tied_targets
from mindref.models import families
from mindref.models.parameters import copied
from mindref.models.serving import Model
from mindref.recommender import features
from mindref.recommender.diverging import named
from mindref.recommender.judging import Bench, judged, validator
from mindref.recommender.prepared import Prepared, prepare, some_cases
from mindref.run import atomic, checkpoint, items, report, validate
from mindref.run.atomic import write_text
from mindref.run.folder import WRITTEN, make_folder
from mindref.run.source import Loaded, Source, fingerprint
from mindref.training.batch_loader import Feed
from mindref.training.distributed import ALONE, Ranks
from mindref.training.divergence import Diverged
from mindref.training.engine import engine_of
from mindref.training.loop import Epoch, State, fetched, fit, out_of_patience, start, train

REPORT = report.NAME  # of the test cases, in the run directory


class Hooks(NamedTuple):
    """What a caller wants to hear, and how it asks to stop; nothing by default."""

    on_step: Callable[[int, float], None] = lambda step, loss: None
    on_epoch: Callable[[Epoch], None] = lambda epoch: None
    stop: Callable[[], bool] = lambda: False


class Outcome(NamedTuple):
    """What a training ended with."""

    model: Model  # of the best epoch
    prepared: Prepared
    epochs: list[Epoch]
    finished: bool  # False: stopped before the last step; resume goes on


class Trainer:
    """One training, with or without a run directory behind it."""

    def __init__(
        self,
        source: Source,
        loaded: Loaded,
        protocol: str,
        config: Config,
        run: Path | None = None,
        exclude_seen: bool = True,
        device: str = "cpu",
        ranks: Ranks = ALONE,
        backend: Backend | None = None,
    ) -> None:
        self.source, self.protocol, self.config = source, protocol, config
        self.run, self.exclude_seen, self.device = run, exclude_seen, device
        self.ranks = ranks
        self.backend = backend or load(config.backend, device)  # that which has joined, if any
        families.check(self.backend, config, several=ranks.several)
        self.prepared = prepare(loaded, protocol, config)
        self.epochs: list[Epoch] = []
        self.identity = ""  # of the run on disk
        self.state = start(config, self.prepared.task.sizes)
        self.best: Any = copied(self.state.params)
        cases = some_cases(self.prepared.split.validation, config.validation_users, config.seed)
        self.validate = validator(self.model(), self.bench(cases), self.backend)

    def model(self) -> Model:
        """Return the model of the best epoch so far."""
        return Model(self.best, self.prepared.task.catalogue, self.config)

    def bench(self, cases: Cases) -> Bench:
        """Return what is needed to judge a model on these cases."""
        log = self.prepared.loaded.log
        profiles = features.profiles(log, self.prepared.vocabulary, cases.users)
        tied = tied_targets(log, cases)
        return Bench(cases, profiles, self.prepared.counts, self.exclude_seen, tied)

    def create(self) -> None:
        """Make the run directory. Raises RunError if it holds a run already."""
        if self.run is None:
            return
        make_folder(self.run)
        self.write_items(self.run)
        facts = self.facts()
        self.identity = checkpoint.identity(self.config, facts)
        checkpoint.save_config(self.run, self.config, facts)

    def write_items(self, run: Path) -> None:
        """Write the catalogue."""
        write_text(run / "items.tsv", self.catalogue)

    @cached_property
    def catalogue(self) -> str:
        """The catalogue as it is written."""
        log = self.prepared.loaded.log
        return items.text(log.item_ids, self.prepared.counts, log.titles)

    def facts(self) -> dict[str, Any]:
        """Return what the run needs to know beside its settings."""
        return {
            "source": self.source.to_dict(),
            "protocol": self.protocol,
            "exclude_seen": self.exclude_seen,
            "threads": os.environ.get("OPENBLAS_NUM_THREADS", ""),  # their number moves last bits
            "processes": self.ranks.world,  # theirs, too
            "log": fingerprint(self.prepared.loaded.log),
            "items": items.digest(self.catalogue),
            "sizes": {k: n for k, n in self.prepared.task.sizes._asdict().items() if k != "users"},
            "user_features": {k: list(v) for k, v in self.prepared.vocabulary.values.items()},
        }

    def restore(self, run: Path) -> None:
        """Take up the last state on disk; without one, training starts from the first step."""
        config, facts = checkpoint.load_config(run)
        self.identity = checkpoint.identity(config, facts)
        if self.ranks.first:
            atomic.sweep(run, *WRITTEN)
            found = items.mend(run / "items.tsv", self.catalogue, facts["items"])
            if found != facts["items"]:  # titles have changed in the log since
                checkpoint.save_config(run, config, {**facts, "items": found})
        if (run / checkpoint.STATE).exists():
            fresh, whose = self.state, (self.identity, self.config.model)
            self.state, self.epochs = checkpoint.load_state(run, *whose)
            if not families.is_fitted(self.config.model):
                checkpoint.check_fits(run, self.state, fresh)
            if self.ranks.first:
                checkpoint.write_copies(run, self.state, self.epochs)
            if self.ranks.first and self.state.best_step:
                self.best = self.best_on_disk(run)

    def best_on_disk(self, run: Path) -> Any:
        """Return the parameters of the epoch that the state calls the best one.

        A kill after the state was written and before its model was: they are those of the state.
        """
        state, path = self.state, run / checkpoint.MODEL
        step, is_last = 0, state.best_step == state.moments.step
        whole = self.prepared.task.catalogue, self.config, self.prepared.task.sizes
        validate.check(run / checkpoint.STATE, state.params, *whole)
        if path.exists() or not is_last:
            params, _, step = checkpoint.load_best(run, self.identity, self.config.model)
            validate.check(path, params, *whole)
        if step == state.best_step:
            return params
        if not is_last:
            todo = checkpoint.anew(run)
            raise RunError(say(str(path), f"the model of step {state.best_step}", step, todo))
        params = copied(state.params)
        known = (self.prepared.task.catalogue, state.best_step)
        given = (*known, self.config.model, self.identity)
        checkpoint.save_model(run, params, *given)
        return params

    def go(self, hooks: Hooks | None = None) -> Outcome:
        """Train to the end, or until the hooks say stop; every epoch is on disk when reported."""
        heard, ranks = hooks or Hooks(), self.ranks

        def on_epoch(state: State, epoch: Epoch) -> None:
            self.epochs.append(epoch)
            if epoch.is_best and ranks.first:  # nobody else asks for it, and it is large
                self.best = copied(state.params)
            self.check_same(state)
            ranks.told(lambda: self.save(state, epoch.is_best))
            heard.on_epoch(epoch)

        task, state, config = self.prepared.task, self.state, self.config
        if families.is_fitted(config.model):
            if state.moments.step == 0:
                self.state = fit(task, config, validate=self.validate, on_epoch=on_epoch)
            return Outcome(self.model(), self.prepared, self.epochs, True)
        given = (self.backend, state.params, state.moments, task.catalogue, config)
        engine = engine_of(*given)
        self.state = fetched(state, engine)  # the tables are large: none is kept that none needs
        self.check_same(self.state)
        try:
            self.state = train(
                task,
                self.state,
                config,
                engine,
                validate=lambda params: ranks.told(lambda: self.validate(params)),
                on_step=heard.on_step,
                on_epoch=on_epoch,
                stop=ranks.polled(heard.stop),
            )
        except Diverged as error:
            rows = Feed(task, config).rows(error.step - 1)
            kept = max([state.moments.step, *(epoch.step for epoch in self.epochs)])
            raise named(error, self.prepared, rows, self.run, kept) from error
        if self.state.losses[1]:  # stopped within an epoch
            self.save(self.state, False)
        step = self.state.moments.step
        finished = step >= self.config.steps or out_of_patience(self.state, self.config)
        return Outcome(self.model(), self.prepared, self.epochs, finished)

    def save(self, state: State, is_best: bool) -> None:
        """Write the state, then the model of the epoch that it calls the best one, if new."""
        if self.run is None or not self.ranks.first:
            return
        whose = self.config.model, self.identity
        checkpoint.save_state(self.run, state, self.epochs, *whose)
        if is_best:
            catalogue = self.prepared.task.catalogue
            checkpoint.save_model(self.run, self.best, catalogue, state.best_step, *whose)

    def check_alike(self) -> None:
        """Raise MindrefError unless all processes have the same settings and the same log."""
        if self.ranks.several:
            words = self.config.to_dict().items()
            settings = {f"--{name.replace('_', '-')}": x for name, x in words}
            log = fingerprint(self.prepared.loaded.log)
            self.ranks.same({**settings, "--split": self.protocol, "log": log})

    def check_same(self, state: State) -> None:
        """Raise MindrefError unless all processes have the same bytes (backend-R17)."""
        if self.ranks.several:
            arrays = {
                f"{part}.{name}": np.ascontiguousarray(x)
                for part, table in enumerate(checkpoint.tables(state))
                for name, x in table.items()
            }
            found = checkpoint.digest(arrays, {})
            self.ranks.same({f"parameters and moments after step {state.moments.step}": found})

    def judge(self) -> dict[str, Any]:
        """Return the final report on the test cases, as plain values."""
        bench = self.bench(self.prepared.split.test)
        words, _, _ = judged(self.model(), bench, self.prepared.loaded, backend=self.backend)
        epochs = [epoch._asdict() for epoch in self.epochs]
        summary = {**words, "best_step": self.state.best_step, "epochs": epochs}
        if self.run is not None:
            report.save(self.run, summary, self.identity)
        return summary


def resume(
    run: Path,
    data: Path | None = None,
    device: str = "cpu",
    ranks: Ranks = ALONE,
    backend: Backend | None = None,
) -> Trainer:
    """Return the trainer of a run directory at its last state on disk, the log read again.

    data: where the log lies now, if it has moved; device: where it is computed from now on;
    backend: the object that has joined the processes. Raises RunError if it is not the same log.
    """
    config, facts = checkpoint.load_config(run)
    if backend is None:
        check_installed(config.backend, f"{run}: backend")
        backend = load(config.backend, device)
    families.check(backend, config, several=ranks.several)  # before the log is read
    source = Source(**facts["source"])
    if data is not None:
        source = source.moved(data)
    given = facts["protocol"], config, run, facts["exclude_seen"], device, ranks, backend
    trainer = Trainer(source, source.again(), *given)
    found = trainer.facts()
    for name in ("sizes", "log"):
        if found[name] != facts[name]:
            todo = "the log is another one than that of the run: train anew"
            raise RunError(say(f"{run}: {name}", facts[name], found[name], todo))
    trainer.restore(run)
    if data is not None and ranks.first:  # from now on the log is looked for where it lies
        facts = {**checkpoint.load_config(run)[1], "source": source.to_dict()}
        checkpoint.save_config(run, config, facts)
    return trainer
