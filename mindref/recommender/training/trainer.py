"""Training of a recall family: train into a run directory, resume, evaluate on test cases."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mindref.backend import Backend, check_installed, load_backend
from mindref.config import Config
from mindref.data.protocols import NO_SPLIT
from mindref.data.splits import EvaluationCases
from mindref.errors import RunError, say
from mindref.evaluation.evaluate import tied_targets
from mindref.models import features
from mindref.models.family import check_trainable
from mindref.models.servable_items import count_untrained
from mindref.recommender.evaluate_run import (
    NOT_SAMPLED,
    EvaluationSet,
    evaluate_model,
    make_validator,
)
from mindref.recommender.held_out import (
    describe_training,
    earlier_trainings,
    start_warnings,
)
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.training.memory_estimate import check_training_memory
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.training_run import TrainingRun
from mindref.recommender.training.warm_start import left_out_warnings, start_state
from mindref.run import checkpoint, report
from mindref.run.items import Items
from mindref.run.source import LoadedLog, Source, fingerprint
from mindref.run.training_data import prepare_training, sample_cases
from mindref.training.distributed import ONE_PROCESS, Ranks
from mindref.training.loop import initial_state

REPORT = report.NAME  # of the test cases, in the run directory


class Trainer(TrainingRun):
    """Training of a family that recalls, with a validation metric and a report."""

    load_config = staticmethod(checkpoint.load_config)
    config: Config

    def __init__(
        self,
        plan: TrainingPlan,
        loaded: LoadedLog,
        config: Config | None = None,
        *,
        backend: Backend | None = None,
        ranks: Ranks = ONE_PROCESS,
        compared: Sequence[Config] | None = None,
    ) -> None:
        """Prepare a training of the log `loaded`, which `plan.source` names.

        config: settings to train with; None: the only settings of the plan. backend: an object that
        has joined the processes, if any. compared: all settings of which a preset is chosen, whose
        memory is estimated; if empty, the memory is not estimated.
        """
        if config is None:
            (config,) = plan.configs.values()
        self.plan, self.backend_name = plan, config.backend
        # empty if the user named the preset
        self.preset_choice: dict[str, object] = plan.resumed.get("preset_choice", {})
        # of a warm start: run, digest and step of its model
        self.start: dict[str, Any] = plan.resumed.get("start_from", {})
        backend = backend or load_backend(config.backend, plan.device)
        check_trainable(backend, config, several=ranks.several)
        start = plan.start
        if start is not None:
            start.check_items(loaded.log)
        prepared = prepare_training(loaded, plan.protocol, config)
        trainings = earlier_trainings(self.start) if start is None else start.trainings()
        is_command = start is None or start.is_command
        # an error comes before tables are made
        leaks = start_warnings(prepared, config.seed, trainings, is_command=is_command)
        compared = [config] if compared is None else compared
        if ranks.first and compared:
            check_training_memory(prepared, compared, backend.name)
        state = initial_state(config, prepared.task.sizes)
        if start is not None:
            state, rows = start_state(start, state, prepared, config)
            self.start = start.facts(rows, prepared.task.sizes.items, loaded.log.num_used_items)
        super().__init__(config, prepared, prepared.task, state, plan.run, backend, ranks)
        self.warnings = [*left_out_warnings(self.start), *leaks]
        if plan.protocol == NO_SPLIT:
            return  # nothing to validate on
        cases = sample_cases(prepared.split.validation, config.validation_users, config.seed)
        self.validate = make_validator(self.model(), self.evaluation_set(cases), self.backend)

    def evaluation_set(self, cases: EvaluationCases) -> EvaluationSet:
        """Return the evaluation set of these cases."""
        log = self.prepared.loaded.log
        profiles = features.user_profiles(log, self.prepared.vocabulary, cases.users)
        tied = tied_targets(log, cases)
        counts, train = self.prepared.counts, self.prepared.split.train
        return EvaluationSet(cases, profiles, counts, train, self.plan.exclude_seen, tied)

    def facts(self) -> dict[str, object]:
        """Return the facts of config.json, which are stored with the settings."""
        common, log = super().facts(), self.prepared.loaded.log
        size = self.plan.source.size()
        return {
            "source": self.plan.source.to_dict(),
            "protocol": self.plan.protocol,
            "exclude_seen": self.plan.exclude_seen,
            "threads": common["threads"],
            "processes": self.ranks.world,  # the number changes rounding
            "log": common["log"],
            "items": common["items"],
            "sizes": {k: n for k, n in self.prepared.task.sizes._asdict().items() if k != "users"},
            "user_features": {k: list(v) for k, v in self.prepared.vocabulary.values.items()},
            **features.item_vocabulary(log, self.config),
            **({"start_from": self.start} if self.start else {}),
            **describe_training(self.prepared),
            **({} if size is None else {"log_bytes": size}),  # model-R62
            **self.reproducibility(),
            **({"preset_choice": self.preset_choice} if self.preset_choice else {}),  # model-R50
        }

    def description(self) -> dict[str, object]:
        """Return what callbacks and trackers receive before the first step."""
        return {
            **super().description(),
            "data": self.plan.source.location,
            "split": self.plan.protocol,
        }

    def current_metric(self) -> float:
        """Return the validation metric of the current parameters."""
        state = self.state
        if self.validations:
            last = self.validations[-1]
            if last.step == state.moments.step and last.value is not None:
                return last.value
        validate: Any = self.validate
        return float(self.ranks.broadcast_from_first(lambda: validate(state.params)))

    def count_time(self, seconds: float) -> None:
        """Count all seconds since the choice of the preset began, if there is a time limit."""
        if self.config.time_limit:
            same = self.ranks.broadcast_from_first(lambda: seconds)
            self.state = self.state._replace(time=self.state.time._replace(seconds=same))

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
            ending = {**self.ending(), "validations": validations, "warnings": self.warnings}
            return self.save_report({**facts, **ending})
        evaluated = self.evaluation_set(
            sample_cases(test, self.config.test_users, self.config.seed)  # model-R31
        )
        words, _ = evaluate_model(
            self.model(), evaluated, self.prepared.loaded, backend=self.backend
        )
        words["notes"][NOT_SAMPLED] = len(test.users) - len(evaluated.cases.users)
        words |= {"exclude_seen": self.plan.exclude_seen, **self.ending()}
        words |= {"best_step": self.state.best_step, "validations": validations}
        words["warnings"] = self.warnings
        if self.preset_choice:
            words["preset_choice"] = self.preset_choice  # model-R50
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
    source = Source.from_metadata(facts["source"])
    if data is not None:
        source = source.moved(data)
    plan = TrainingPlan(
        {"": config},
        source,
        facts["protocol"],
        exclude_seen=facts["exclude_seen"],
        run=run,
        device=device,
        resumed=facts,
    )
    trainer = Trainer(plan, source.again(), backend=backend, ranks=ranks)
    current_facts = trainer.facts()
    for name in ("sizes", "log"):
        if current_facts[name] != facts[name]:
            todo = "the log is another one than that of the run: train anew"
            raise RunError(say(f"{run}: {name}", facts[name], current_facts[name], todo))
    trainer.restore(run, {} if data is None else {"source": source.to_dict()})
    return trainer
