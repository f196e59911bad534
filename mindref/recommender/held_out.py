"""Whether a model was trained on the targets of evaluation cases: checks, errors and warnings.

Spec: specs/model.md, model-R54, R60 to R62, R71, R72, R76 to R80. A model that starts from an
earlier run was also trained on the interactions of that run. The same holds for the runs before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.log import InteractionLog, Ints
from mindref.data.protocols import EVALUATION_PROTOCOLS, NO_SPLIT
from mindref.data.rng import make_rng
from mindref.data.splits import EvaluationCases, Split, make_split
from mindref.errors import ConfigError, say
from mindref.run import checkpoint
from mindref.run.metadata import EarlierTraining
from mindref.run.source import IN_MEMORY, fingerprint
from mindref.run.training_data import PreparedLog


def run_label(run: str) -> str:
    """Return the name of an earlier run in messages."""
    return "the model in memory" if run == IN_MEMORY else run


Kind = Literal["certain", "possible", "unknown"]
"""certain: the log is the same; possible: counted by times; unknown: times are missing."""


class TrainedTargets(NamedTuple):
    """Cases whose first target an earlier training used, or may have used."""

    training: EarlierTraining
    cases: str  # test or validation
    num_trained: int  # or may have been
    total: int
    kind: Kind

    def error(self, *, is_command: bool) -> ConfigError:
        """Return the error of a training whose evaluation would be on trained targets."""
        run, split = run_label(self.training.run), self.training.split
        share = f"{self.num_trained:,} of {self.total:,}"
        got = f"{share} that it was trained on with the split {split} of the same log"
        none, same = ("--split none", "--split") if is_command else ("split='none'", "split")
        seed = "--seed" if is_command else "seed"
        todo = f"train with {none}, or start from a run with the same {same} and {seed}"
        expected = f"{self.cases} targets that are held out from its training"
        return ConfigError(say(f"start from {run}", expected, got, todo))

    def warning(self) -> str:
        """Return the warning, without a prefix."""
        run = run_label(self.training.run)
        share = f"{self.num_trained:,} of {self.total:,} {self.cases} targets"
        if self.kind == "certain":
            split = f"{run} (split {self.training.split})"
            return f"{share} are training interactions of {split}. The metrics are too high."
        if self.kind == "possible":
            reason = f"{share} are not later than the training interactions of {run}"
        else:
            reason = f"the {self.cases} targets cannot be compared with the training of {run}"
        return f"{reason}. The model may be trained on them; then the metrics are too high."


def describe_training(prepared: PreparedLog) -> dict[str, object]:
    """Return the entries of config.json about the log and its training interactions."""
    log, split = prepared.loaded.log, prepared.split
    facts: dict[str, object] = {"interactions": len(log.interactions.values)}  # model-R62
    if log.times is None:
        return facts
    lengths = split.train.lengths
    # training sequences begin at the first interaction of a user, and times ascend
    last = log.interactions.offsets[split.train_users] + lengths - 1
    return {**facts, "last_time": float(log.times[last[lengths > 0]].max())}


def list_trainings(
    run: str, model: str, config: Config, facts: Mapping[str, Any]
) -> list[EarlierTraining]:
    """Return the training data of a run and of all runs before it, the latest first.

    model: digest of the parameters. config, facts: of config.json.
    """
    counted = facts.get("interactions", 0), facts.get("last_time")
    latest = EarlierTraining(run, model, facts["protocol"], config.seed, facts["log"], *counted)
    return [latest, *earlier_trainings(facts.get("start_from", {}))]


def earlier_trainings(start: Mapping[str, Any]) -> list[EarlierTraining]:
    """Return the trainings that the entry `start_from` of config.json lists; it may be empty."""
    return [EarlierTraining(**record) for record in start.get("trained_on", ())]


def check_start_split(run: Path, facts: Mapping[str, Any], protocol: str) -> None:
    """Raise ConfigError if held-out interactions of a new training were trained on in the run.

    Called before the log is read, if the new training has the log of the run. facts: of config.json
    of the run; protocol: of the new training.
    """
    if facts["protocol"] == NO_SPLIT and protocol != NO_SPLIT:  # model-R76
        got = f"{protocol} on the log of {run}, which trained on all interactions"
        todo = "give a later log with --data, or leave --split out"
        raise ConfigError(say("--split", f"{NO_SPLIT} with --start-from {run}", got, todo))


def check_evaluated(run: Path, protocol: str | None) -> None:
    """Raise ConfigError, before model and log are loaded, for a run without held-out interactions.

    protocol: of the evaluation, None for that of the run.
    """
    if protocol is None:
        _, facts = checkpoint.load_config(run)
        protocol = facts["protocol"]
    check_has_cases(str(run), protocol)


def check_has_cases(run: str, protocol: str, *, is_command: bool = True) -> None:
    """Raise ConfigError for the split none, which holds out nothing.

    run: a path or IN_MEMORY. is_command: the error names options.
    """
    if protocol == NO_SPLIT:  # model-R54
        got = f"{NO_SPLIT}, with which a run is trained on all interactions of its log"
        todo = "give a later log with --data, and the --split of that log"
        if not is_command:
            todo = "pass a later log, and split for that log"
        raise ConfigError(
            say(f"{run_label(run)}: split", " or ".join(EVALUATION_PROTOCOLS), got, todo)
        )


def start_warnings(
    prepared: PreparedLog,
    seed: int,
    trainings: Sequence[EarlierTraining],
    *,
    is_command: bool = True,
) -> list[str]:
    """Return warnings if earlier runs may have been trained on validation or test targets.

    seed: of the split. is_command: the error names options. Raises ConfigError if an earlier run
    was trained on a target of the log.
    """
    if not trainings:
        return []
    split, log = prepared.split, prepared.loaded.log
    warnings: list[str] = []
    for name, cases in (("validation", split.validation), ("test", split.test)):
        for trained in find_trained_targets(log, cases, name, (split.protocol, seed), trainings):
            if trained.kind == "certain":
                raise trained.error(is_command=is_command)  # model-R60
            warnings.append(trained.warning())  # model-R61, R79
    return warnings


def find_trained_targets(
    log: InteractionLog,
    cases: EvaluationCases,
    name: str,
    split: tuple[str, int],
    trainings: Sequence[EarlierTraining],
) -> list[TrainedTargets]:
    """Return which earlier trainings used targets of the cases; [] if none did.

    If trainings certainly used targets, the result is the training with the most. Otherwise it is
    the training that may have used the most, and one that cannot be compared, if there are such.
    name: test or validation. split: protocol and seed of the cases.
    """
    protocol, _ = split
    digest, total = fingerprint(log), len(cases.users)
    if protocol == NO_SPLIT:
        return []
    used: list[TrainedTargets] = []
    for training in trainings:
        if training.log != digest:
            count, kind = count_possible(log, cases, protocol, training)
        elif (training.split, training.seed) != split:
            count, kind = count_trained(log, cases, training), "certain"
        else:
            continue
        if count:
            used.append(TrainedTargets(training, name, count, total, kind))
    used.sort(key=lambda x: -x.num_trained)
    most = {x.kind: x for x in reversed(used)}  # the first of equals
    if "certain" in most:
        return [most["certain"]]
    return [most[kind] for kind in ("possible", "unknown") if kind in most]


def count_possible(
    log: InteractionLog, cases: EvaluationCases, protocol: str, training: EarlierTraining
) -> tuple[int, Kind]:
    """Return how many cases have a first target that a training on another log may have had.

    protocol: of the cases. If times are missing, the kind is unknown.
    """
    is_later_state = extends(log, protocol, training)
    if log.times is None or training.last_time is None:
        if not is_later_state:
            return len(cases.users), "unknown"
        # a target after one behaviour; see `count_trained_validation_targets`
        return int(np.count_nonzero(cases.histories.lengths == 1)), "unknown"
    if is_later_state:
        return count_trained_validation_targets(log, cases, training), "possible"
    first_targets = log.interactions.offsets[cases.users] + cases.histories.lengths
    return int(np.count_nonzero(log.times[first_targets] <= training.last_time)), "possible"


def extends(log: InteractionLog, protocol: str, training: EarlierTraining) -> bool:
    """Return whether a log can be a later state of the log of a training, both leave_last_out.

    Then the log is assumed to have only later interactions in addition. Interactions that options
    of the earlier run left out of its log are not detected.
    """
    is_larger = 0 < training.interactions <= len(log.interactions.values)
    is_later = log.times is None or float(log.times.max()) >= (training.last_time or -np.inf)
    is_same_split = protocol == training.split == "leave_last_out"
    return is_same_split and is_larger and is_later  # model-R71


def count_trained(log: InteractionLog, cases: EvaluationCases, training: EarlierTraining) -> int:
    """Return the number of cases whose first target was in the training on the same log."""
    split: Split = make_split(training.split, log, make_rng(training.seed, "split"))
    lengths: Ints = np.zeros(len(log.interactions), np.int64)
    lengths[split.train_users] = split.train.lengths  # each a beginning of the user's row
    return int(np.count_nonzero(cases.histories.lengths < lengths[cases.users]))


def count_trained_validation_targets(
    log: InteractionLog, cases: EvaluationCases, training: EarlierTraining
) -> int:
    """Return how many validation targets may be in the training on an earlier state of the log.

    These are the second of three interactions of a user. If the earlier log had only two, they were
    both trained (data-R28). If it had three or more, the last two were left out.
    """
    assert log.times is not None
    starts = log.interactions.offsets[cases.users[cases.histories.lengths == 1]]
    second, third = log.times[starts + 1], log.times[starts + 2]
    # the earlier log has the earliest interactions of this log (see `extends`)
    last = training.interactions - 1
    end = np.partition(log.times, last)[last]  # the largest time of the earlier log
    # an interaction at this time may be in the earlier log, or not
    return int(np.count_nonzero((second <= training.last_time) & (third >= end)))  # model-R72
