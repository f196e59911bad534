"""Training into a run directory: one training, and that of a recall family.

Spec: specs/model.md, specs/optimiser.md. rerank_trainer.py has the training of DIN.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from mindref.backend import Backend, check_installed, load_backend
from mindref.config import Config
from mindref.data.protocols import NO_SPLIT
from mindref.data.splits import EvaluationCases
from mindref.errors import MindrefError, RunError, say
from mindref.evaluation.evaluate import tied_targets
from mindref.models import features
from mindref.models.family import FamilyConfig, check_trainable, family_of
from mindref.models.parameters import NO_TERMS, Catalogue, ScoreTerms, copy_params
from mindref.models.registry import describe_model
from mindref.models.servable_items import count_untrained, find_trained_items, mask_untrained_rows
from mindref.models.serving import Model
from mindref.process.background import compile_in_background
from mindref.recall import exact
from mindref.recommender.evaluate_run import (
    NOT_SAMPLED,
    EvaluationSet,
    Validator,
    describe_terms,
    evaluate_model,
)
from mindref.recommender.held_out import describe_training, earlier_trainings, start_warnings
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.memory_estimate import check_training_memory
from mindref.recommender.training.plan import TrainingPlan, fit_to_log
from mindref.recommender.training.warm_start import left_out_warnings, start_state
from mindref.run import array_files, atomic, checkpoint, items, report, validate
from mindref.run.checkpoint import WRITTEN, make_folder
from mindref.run.items import Items
from mindref.run.source import LoadedLog, Source, fingerprint, is_in_memory
from mindref.run.stored_log import save_log
from mindref.run.training_data import PreparedLog, prepare_training, sample_cases
from mindref.training.batch_loader import Task
from mindref.training.distributed import ONE_PROCESS, Ranks
from mindref.training.divergence import Diverged, add_advice
from mindref.training.engine import make_engine
from mindref.training.loop import (
    Hooks,
    TrainingState,
    Validate,
    Validation,
    end_reason,
    fetch_arrays,
    fit_model,
    initial_state,
    train_steps,
)

REPORT = report.NAME  # of the test cases, in the run directory
NOT_CHOSEN = (
    "the scores have {}: without validation, only an earlier run gives such a term"
    " (--steps-of; in Python: start_from)"
)


class TrainingRun:
    """One training, with or without a run directory."""

    load_config: ClassVar[Any]
    """(run) -> settings and facts of config.json."""
    config: Any  # Config or DinConfig
    backend_name: str  # whose code the user trusts by naming it (security-R9)

    def __init__(
        self,
        config: FamilyConfig,
        prepared: PreparedLog,
        task: Task,
        state: TrainingState,
        run: Path | None,
        backend: Backend,
        ranks: Ranks = ONE_PROCESS,
    ) -> None:
        self.config, self.prepared, self.task, self.state = config, prepared, task, state
        self.run, self.backend, self.ranks = run, backend, ranks  # run: the planned directory
        self.family = family_of(config.model)
        self.validations: list[Validation] = []
        self.identity = ""  # digest of the run on disk
        self.warnings: list[str] = []  # about the meaning of the metrics
        self.stopped_by = ""  # why a training ended that has steps left
        self.finished = False  # after `train`; False: stopped before the last step
        self.best: Any = copy_params(state.params)  # after `train`: without validation, the last
        self.terms = NO_TERMS  # of the best parameters
        self.validate: Validate | None = None

    @property
    def made_run(self) -> Path | None:
        """The run directory; None before `create` or `restore`, and for a training without one."""
        return self.run if self.identity else None

    def facts(self) -> dict[str, object]:
        """Return the facts of config.json, stored with the settings; subclasses add facts."""
        return {
            "threads": os.environ.get("OPENBLAS_NUM_THREADS", ""),  # the number changes rounding
            "log": fingerprint(self.prepared.loaded.log),
            "items": items.text_digest(self.catalogue),
        }

    def description(self) -> dict[str, object]:
        """Return what callbacks and trackers receive before the first step."""
        return {"run": str(self.run or ""), "settings": self.config.family_settings()}

    def ending(self) -> dict[str, object]:
        """Return the entries of a report that describe the end of the training."""
        if not self.family.by_steps:
            return {}
        ended_by = end_reason(self.state, self.config) or self.stopped_by
        return {"steps": self.state.moments.step, "ended_by": ended_by}

    @cached_property
    def catalogue(self) -> str:
        """Text of items.tsv."""
        log = self.prepared.loaded.log
        return items.items_text(log.item_ids, self.prepared.counts, log.titles)

    @cached_property
    def served_catalogue(self) -> Catalogue:
        """The catalogue of the model in evaluation and serving: without untrained rows."""
        task = self.task
        is_trained = find_trained_items(
            task.sequences,
            task.sizes.items,
            by_steps=self.family.by_steps,
            history_lengths=task.history_lengths,
        )
        return mask_untrained_rows(task.catalogue, is_trained)

    def model(self) -> Model:
        """Return the model of the best validation so far; for a reranker, of the last step."""
        model = Model(self.best, self.served_catalogue, self.config)
        return model.with_terms(self.terms, self.prepared.counts)

    def create(self) -> None:
        """Make the run directory; save the state if an earlier run gave the parameters.

        Raises RunError if the folder has a run already.
        """
        if self.run is None:
            return
        make_folder(self.run)
        atomic.write_text(self.run / "items.tsv", self.catalogue)
        facts = self.facts()
        self.identity = checkpoint.run_identity(self.config, facts)
        if is_in_memory(facts):
            save_log(self.run, self.prepared.loaded.log, self.identity)  # recall-R56
        try:
            checkpoint.save_config(self.run, self.config, facts)  # last: it makes the folder a run
            self.load_config(self.run)  # model-R65: what cannot be read again is an error now
        except MindrefError:
            (self.run / "config.json").unlink(missing_ok=True)
            raise
        if "start_from" in facts:  # model-R59: the parameters are those of an earlier run
            self.save(self.state, is_best=False)

    def evaluate(self) -> dict[str, object]:
        """Return the report on the test cases, as plain values, and write it."""
        raise NotImplementedError

    def save_report(self, summary: dict[str, object]) -> dict[str, object]:
        """Write a report into the run directory, if any, and return it."""
        if self.run is not None:
            report.save_report(self.run, summary, self.identity)
        return summary

    def restore(self, run: Path, moved: Mapping[str, object] | None = None) -> None:
        """Load the last state on disk; without one, training starts from the first step.

        moved: entries of config.json that replace those of the run, because a path has changed.
        """
        _, facts = self.load_config(run)
        self.identity = checkpoint.run_identity(self.config, facts)
        if self.ranks.first:
            atomic.remove_leftovers(run, *WRITTEN)
            digest = items.repair_items(run / "items.tsv", self.catalogue, facts["items"])
            if digest != facts["items"]:  # titles in the log have changed since the training
                facts["items"] = digest
                checkpoint.save_config(run, self.config, facts)
        if (run / array_files.STATE).exists():
            fresh, name = self.state, self.config.model
            self.state, self.validations = checkpoint.load_state(run, self.identity, name)
            if self.family.by_steps:
                checkpoint.check_fits(run, self.state, fresh)
            if self.ranks.first:
                checkpoint.write_copies(run, self.state, self.validations)
            if self.ranks.first and self.state.best_step:
                self.best = self.best_on_disk(run)
        elif "start_from" in facts:  # model-R59
            todo = f"train anew with --start-from {facts['start_from']['run']}"
            raise RunError(say(str(run / array_files.STATE), "the start of the run", "none", todo))
        if self.ranks.first and moved:
            checkpoint.save_config(run, self.config, {**facts, **moved})

    def best_on_disk(self, run: Path) -> Any:
        """Return the parameters of the best validation of the state.

        After a kill between the writes of state and model, they are the parameters of the state.
        """
        state, path = self.state, run / array_files.MODEL
        step, is_last = 0, state.best_step == state.moments.step
        expected = self.task.catalogue, self.config, self.task.sizes
        validate.check_model(run / array_files.STATE, state.params, *expected)
        if path.exists() or not is_last:
            stored = checkpoint.load_best(run, self.identity, self.config.model)
            validate.check_model(path, stored.params, *expected)
            step = stored.step
            if step == state.best_step:
                self.terms = stored.terms
                return stored.params
        if not is_last:
            todo = array_files.retrain_hint(run)
            raise RunError(say(str(path), f"the model of step {state.best_step}", step, todo))
        params = copy_params(state.params)
        if self.validate is not None:
            self.validate(params)
            self.terms = self.validated_terms()
        self.write_model(params, state.best_step)
        return params

    def write_model(self, params: Any, step: int) -> None:
        """Write the parameters that are served, if the run directory is made."""
        if (run := self.made_run) is not None:
            catalogue, name = self.served_catalogue, self.config.model
            checkpoint.save_model(
                run,
                params,
                catalogue,
                step,
                model=name,
                identity=self.identity,
                terms=self.terms,
            )

    def train(self, hooks: Hooks | None = None) -> Self:
        """Train to the last step or until the hooks stop it, and return self (see `finished`).

        Every checkpoint is on disk before `on_validation` is called.
        """
        hooks, config = hooks or Hooks(), self.config
        if self.family.by_steps:
            self.take_steps(hooks)
            if self.state.losses[1]:  # optimiser-R18: stopped between validations
                self.save(self.state, is_best=False)
        elif self.state.moments.step == 0:
            self.state, validation = fit_model(self.task, config, self.validate)
            self.save_validation(self.state, validation)
            hooks.on_validation(validation)
        self.finished = end_reason(self.state, config) != ""
        if self.finished:
            self.choose_terms()
        if self.validate is None:
            self.best, step = self.state.params, self.state.moments.step  # model-R52
            if self.finished and self.run is not None:
                self.ranks.broadcast_from_first(lambda: self.write_model(self.best, step))
        return self

    def take_steps(self, hooks: Hooks) -> None:
        """Take the steps. Raises Diverged with advice about the run directory."""
        task, before, config, ranks = self.task, self.state, self.config, self.ranks
        engine = make_engine(self.backend, before.params, before.moments, task.catalogue, config)
        self.state = fetch_arrays(before, engine)  # tables are large: keep no second copy
        self.check_same(self.state)

        try:
            self.state = train_steps(
                task,
                self.state,
                config,
                engine,
                hooks._replace(stop=ranks.polled(hooks.stop)),
                validate=self.validate and self.validate_on_first,
                save=self.save_validation,
            )
        except Diverged as error:
            saved_step = max([before.moments.step, *(x.step for x in self.validations)])
            raise add_advice(error, self.made_run, saved_step) from error

    def validated_terms(self) -> ScoreTerms:
        """Return the terms of the score that the last validation chose."""
        return NO_TERMS

    def choose_terms(self) -> None:
        """Choose the terms of the score that are chosen once, at the end of the training."""

    def validate_on_first(self, params: Any) -> float:
        """Return the validation metric of these parameters, computed by the first process."""
        validate: Any = self.validate
        return float(self.ranks.broadcast_from_first(lambda: validate(params)))

    def save_validation(self, state: TrainingState, validation: Validation) -> None:
        """Save the state after a validation, and keep the best parameters."""
        self.validations.append(validation)
        if validation.is_best and self.ranks.first:  # only the first process needs the large copy
            self.best = copy_params(state.params)
            self.terms = self.validated_terms()
        self.check_same(state)
        self.ranks.broadcast_from_first(lambda: self.save(state, is_best=validation.is_best))

    def save(self, state: TrainingState, *, is_best: bool) -> None:
        """Write the state, then the model if the validation is the best one."""
        run = self.made_run
        if run is None or not self.ranks.first:
            return
        checkpoint.save_state(run, state, self.validations, self.config.model, self.identity)
        if is_best:
            self.write_model(self.best, state.best_step)

    def check_same(self, state: TrainingState) -> None:
        """Raise MindrefError unless all processes have the same arrays (backend-R17)."""
        if self.ranks.several:
            arrays = {
                f"{part}.{name}": np.ascontiguousarray(x)
                for part, table in enumerate(checkpoint.state_tables(state))
                for name, x in table.items()
            }
            digest = array_files.arrays_digest(arrays, {})
            name = f"parameters and moments after step {state.moments.step}"
            self.ranks.check_same({name: digest})


class Trainer(TrainingRun):
    """Training of a family that recalls, with a validation metric and a report."""

    load_config = staticmethod(checkpoint.load_config)
    config: Config

    def __init__(
        self,
        plan: TrainingPlan,
        loaded: LoadedLog,
        *,
        backend: Backend | None = None,
        ranks: Ranks = ONE_PROCESS,
    ) -> None:
        """Prepare a training of the log `loaded`, which `plan.source` names.

        backend: an object that has joined the processes, if any.
        """
        config = plan.config
        self.plan, self.backend_name = plan, config.backend
        self.exclude_seen = loaded.log.excludes_seen(plan.exclude_seen)
        self.earlier_terms = NO_TERMS  # of a training without validation
        # of a warm start: run, digest and step of its model
        self.start_facts: dict[str, Any] = plan.resumed.get("start_from", {})

        # what can be wrong is checked before tables are made
        backend = backend or load_backend(config.backend, plan.device)
        check_trainable(backend, config, several=ranks.several)
        start = plan.start
        if start is not None:
            start.check_items(loaded.log)
        prepared = prepare_training(loaded, plan.protocol, config)
        config = fit_to_log(config, prepared)
        trainings = earlier_trainings(self.start_facts) if start is None else start.trainings()
        is_command = start is None or start.is_command
        leaks = start_warnings(prepared, config.seed, trainings, is_command=is_command)
        if ranks.first:
            check_training_memory(prepared, config, backend.name)

        # the state before the first step
        state = initial_state(config, prepared.task.sizes)
        if start is not None:
            state, rows = start_state(start, state, prepared, config)
            self.start_facts = start.facts(
                rows, prepared.task.sizes.items, loaded.log.num_used_items
            )
        super().__init__(config, prepared, prepared.task, state, plan.run, backend, ranks)

        self.warnings = [*left_out_warnings(self.start_facts), *leaks]
        if plan.protocol == NO_SPLIT:  # nothing to validate on
            self.terms = self.earlier_terms = self.terms_without_validation()
            return
        cases = sample_cases(prepared.split.validation, config.validation_users, config.seed)
        self.validator = Validator(self.model(), self.evaluation_set(cases), self.backend)
        self.validate = self.validator

    def take_steps(self, hooks: Hooks) -> None:
        """Take the steps, while a second process compiles functions that are called later."""
        search = partial(exact.request_compilation, self.config.dtype)
        with compile_in_background(then=search):
            super().take_steps(hooks)

    def terms_without_validation(self) -> ScoreTerms:
        """Return the terms of the earlier run that the settings have; warn of missing terms."""
        terms, missing = self.plan.earlier_terms(), []
        if self.exclude_seen or not self.config.own_counts_term:
            terms = terms._replace(own_counts=0.0, decay=1.0)
        elif not terms.own_counts:
            missing.append("no term of the user's own counts")
        if not self.config.popularity_term:
            terms = terms._replace(popularity=0.0)
        elif not (self.plan.steps_of or self.plan.start or self.plan.resumed):
            missing.append("no term of popularity")
        if missing:
            self.warnings.append(NOT_CHOSEN.format(" and ".join(missing)))
        return terms

    def validated_terms(self) -> ScoreTerms:
        """Return the terms of the score that the last validation chose."""
        return self.validator.terms

    def choose_terms(self) -> None:
        """Choose the exponent of popularity for the best parameters, and write the model."""
        if self.config.popularity_term and self.validate is not None:
            self.ranks.broadcast_from_first(self.choose_popularity)

    def choose_popularity(self) -> None:
        """Choose the exponent of popularity in this process."""
        self.terms = self.validator.choose_popularity(self.best, self.terms)
        self.write_model(self.best, self.state.best_step)

    def evaluation_set(self, cases: EvaluationCases) -> EvaluationSet:
        """Return the evaluation set of these cases."""
        log = self.prepared.loaded.log
        profiles = features.user_profiles(log, self.prepared.vocabulary, cases.users)
        tied = tied_targets(log, cases)
        counts, train = self.prepared.counts, self.prepared.split.train
        seen = self.exclude_seen
        return EvaluationSet(cases, profiles, counts, train, exclude_seen=seen, tied=tied)

    def facts(self) -> dict[str, object]:
        """Return the facts of config.json, which are stored with the settings."""
        common, log = super().facts(), self.prepared.loaded.log
        size = self.plan.source.size()
        return {
            "source": self.plan.source.to_dict(),
            "protocol": self.plan.protocol,
            "exclude_seen": self.exclude_seen,
            "threads": common["threads"],
            "processes": self.ranks.world,  # the number changes rounding
            "log": common["log"],
            "items": common["items"],
            "sizes": {k: n for k, n in self.prepared.task.sizes._asdict().items() if k != "users"},
            "user_features": {k: list(v) for k, v in self.prepared.vocabulary.values.items()},
            **features.item_vocabulary(log, self.config),
            **({"start_from": self.start_facts} if self.start_facts else {}),
            **describe_training(self.prepared),
            **({} if size is None else {"log_bytes": size}),  # model-R62
            **(
                {checkpoint.TERMS: self.earlier_terms._asdict()}
                if self.earlier_terms != NO_TERMS
                else {}
            ),
            **({"integer_ids": list(log.integer_ids)} if log.integer_ids else {}),
        }

    def description(self) -> dict[str, object]:
        """Return what callbacks and trackers receive before the first step."""
        return {
            **super().description(),
            "data": self.plan.source.location,
            "split": self.plan.protocol,
        }

    def served_model(self) -> ServedModel:
        """Return the model of this training, which serves with the log in memory."""
        log, state = self.prepared.loaded.log, self.state
        titles = list(log.titles) if log.titles is not None else [""] * len(log.item_ids)
        return ServedModel(
            model=self.model(),
            items=Items(list(log.item_ids), self.prepared.counts.tolist(), titles),
            vocabulary=self.prepared.vocabulary,
            source=self.plan.source,
            facts=self.facts(),
            step=state.best_step or state.moments.step,  # without validation, the last step
            training_log=log,
            chosen_backend=self.config.backend,
            device=self.plan.device,
        )

    def check_alike(self) -> None:
        """Raise MindrefError unless all processes have the same settings and the same log."""
        if self.ranks.several:
            settings = self.config.to_dict().items()
            options = {f"--{name.replace('_', '-')}": value for name, value in settings}
            log = fingerprint(self.prepared.loaded.log)
            self.ranks.check_same({**options, "--split": self.plan.protocol, "log": log})

    def evaluate(self) -> dict[str, object]:
        """Return the report on the test cases, as plain values, and write it.

        With the split none, no metric is in the report.
        """
        test = self.prepared.split.test
        validations = [x._asdict() for x in self.validations]
        if self.plan.protocol == NO_SPLIT:  # model-R52
            untrained = count_untrained(self.served_catalogue, test.targets)
            counts = {name: untrained[name] for name in ("items", "item_share", "with_features")}
            facts = {"split": NO_SPLIT, "metrics": {}, "cases": 0, "untrained": counts}
            facts |= describe_model(self.config.model) | describe_terms(self.terms)
            ending = {**self.ending(), "validations": validations, "warnings": self.warnings}
            return self.save_report({**facts, **ending})
        evaluated = self.evaluation_set(
            sample_cases(test, self.config.test_users, self.config.seed)  # model-R31
        )
        words, _ = evaluate_model(
            self.model(), evaluated, self.prepared.loaded, backend=self.backend
        )
        words["notes"][NOT_SAMPLED] = len(test.users) - len(evaluated.cases.users)
        words |= {"exclude_seen": self.exclude_seen, **self.ending()}
        words |= {"best_step": self.state.best_step, "validations": validations}
        words["warnings"] = self.warnings
        return self.save_report(words)


def resume_run(
    run: Path,
    data: Path | None = None,
    device: str = "cpu",
    ranks: Ranks = ONE_PROCESS,
    backend: Backend | None = None,
) -> Trainer:
    """Return the trainer of a run directory at its last state on disk. The log is read again.

    data: new path of the log, if it has moved; device: device of the backend from now on;
    backend: an object that has joined the processes. Raises RunError for another log.
    """
    config, facts = checkpoint.load_config(run)
    if backend is None:
        check_installed(config.backend, f"{run}: backend")
        backend = load_backend(config.backend, device)
    check_trainable(backend, config, several=ranks.several)  # before the log is read
    source = Source.of_run(run, config, facts)
    if data is not None:
        source = source.moved(data)
    plan = TrainingPlan(
        config,
        source,
        facts["protocol"],
        exclude_seen=facts["exclude_seen"],
        run=run,
        device=device,
        resumed=facts,
    )
    loaded = source.again()
    digest = fingerprint(loaded.log)
    if digest != facts["log"]:
        todo = "the log is another one than that of the run: train anew"
        raise RunError(say(f"{run}: log", facts["log"], digest, todo))
    trainer = Trainer(plan, loaded, backend=backend, ranks=ranks)
    trainer.restore(run, {} if data is None else {"source": source.to_dict()})
    return trainer
