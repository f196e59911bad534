"""Training in several processes started by torchrun. Only the first process prints messages."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from mindref.cli.locking import release_locks
from mindref.cli.signals import EndedBySignal, signal_exit_code, stop_on_signals
from mindref.cli.streams import print_stderr, trust_option
from mindref.errors import MindrefError
from mindref.training.distributed import FailedElsewhere, ProcessLost, Ranks

if TYPE_CHECKING:
    from mindref.recommender.training.trainer import Trainer, TrainingRun


def report_in_first_process(work: Callable[[], int]) -> int:
    """Return the exit code of `work`; 2 for an error that another process prints.

    The first process of each machine raises an error of all processes. ProcessLost is raised in
    every process, because it concerns only this one.
    """
    try:
        return work()
    except MindrefError as error:
        first = os.environ.get("LOCAL_RANK", "0") == "0"
        if isinstance(error, ProcessLost) or (first and not isinstance(error, FailedElsewhere)):
            raise
        return 2


def make_trainer(
    ranks: Ranks,
    make: Callable[[], Trainer],
    ready: Callable[[Trainer], None] = lambda trainer: None,
) -> Trainer:
    """Return the trainer that every process creates identically. If one fails, no process starts.

    ready: called in the first process when all processes agree.
    """
    if ranks.several:
        signal.signal(signal.SIGTERM, raise_sigterm)
    try:
        trainer = ranks.together(make)
        trainer.check_alike()
        ranks.broadcast_from_first(lambda: ready(trainer))
        return trainer
    except FailedElsewhere:
        ranks.outlast_first()
        raise
    except (ProcessLost, EndedBySignal) as error:
        if not ranks.several:  # there is no other process: a signal ends this one
            raise
        ignore_sigterm()
        when = "before the first step"
        raise ProcessLost(f"one of the {ranks.world} processes ended {when} ({error})") from error


def ignore_sigterm() -> None:
    """Ignore SIGTERM, which torchrun now sends to each process: the error must be printed."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def resume_hint(trainer: TrainingRun) -> str:
    """Return the command that resumes a stopped training."""
    any_number = ", with any number of processes," if trainer.ranks.several else ""
    words = ["mindref", "train", "--resume", str(trainer.run)]
    command = shlex.join([*words, *trust_option(trainer.backend_name)])
    return f"Resume{any_number} with: {command}"


def lost_process_message(error: BaseException, trainer: Trainer) -> str:
    """Return the error message when another process has ended."""
    message = f"one of the {trainer.ranks.world} processes ended ({error})"
    return f"{message}; only the steps since the last validation are lost. {resume_hint(trainer)}"


def train_silently(trainer: Trainer) -> int:
    """Train in a process other than the first, without output; return the exit code."""
    from mindref.training.divergence import Diverged
    from mindref.training.loop import Hooks

    ranks = trainer.ranks
    try:
        with stop_on_signals() as stop:
            trainer.train(Hooks(stop=stop))
        if trainer.finished:
            return 0
        ranks.outlast_first()
        return stop.code
    except (Diverged, FailedElsewhere):  # the first process reports the same error
        ranks.outlast_first()
        return 2
    except EndedBySignal as error:
        if ranks.rank == 1:  # the process that ended may be the first one
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            print_stderr(f"Error: {lost_process_message(error, trainer)}")
        return signal_exit_code(error)
    except KeyboardInterrupt as error:
        return signal_exit_code(error)
    except MindrefError as error:
        reason = lost_process_message(error, trainer) if isinstance(error, ProcessLost) else error
        print_stderr(f"Error: process {ranks.rank} of {ranks.world}: {reason}")
        return 2


def exit_immediately(code: int) -> NoReturn:
    """End one of several processes at once, with this exit code.

    All files are written. A normal exit would sometimes abort, because communication threads are
    still running; torchrun would report the abort as a failed training.
    """
    release_locks()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def raise_sigterm(number: int, frame: FrameType | None) -> None:
    """Signal handler: raise EndedBySignal with the reason."""
    raise EndedBySignal(number, "by SIGTERM, which torchrun sends to all when one process ends")


@contextmanager
def explain_lost_process(trainer: Trainer) -> Iterator[None]:
    """Add the lost steps, and the command to resume, to ProcessLost; for the first process."""
    try:
        yield
    except ProcessLost as error:
        ignore_sigterm()
        raise ProcessLost(lost_process_message(error, trainer)) from error
