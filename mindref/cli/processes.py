"""Several processes started by torchrun speak with one voice, that of the first."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from mindref.cli.claims import let_go
from mindref.cli.ending import Ended, code_of, listening
from mindref.cli.telling import tell, trusting
from mindref.errors import MindrefError
from mindref.training.distributed import Elsewhere, Lost, Ranks

if TYPE_CHECKING:
    from mindref.recommender.run import Trainer


def one_voice(command: Callable[..., int]) -> Callable[..., int]:
    """Leave an error of the command line, which all meet, to the first process of a machine."""

    @wraps(command)
    def quiet(*arguments: Any, **given: Any) -> int:
        try:
            return command(*arguments, **given)
        except MindrefError as error:
            first = os.environ.get("LOCAL_RANK", "0") == "0"
            if isinstance(error, Lost) or (first and not isinstance(error, Elsewhere)):
                raise
            return 2

    return quiet


def begin(
    ranks: Ranks, make: Callable[[], Trainer], ready: Callable[[Trainer], None] = lambda made: None
) -> Trainer:
    """Return a trainer that every process has made alike; if one cannot, none begins.

    ready: what the first process does once all of them agree.
    """
    if ranks.several:
        signal.signal(signal.SIGTERM, end)
    try:
        trainer = ranks.together(make)
        trainer.check_alike()
        ranks.told(lambda: ready(trainer))
        return trainer
    except Elsewhere:
        ranks.outlast_first()
        raise
    except (Lost, Ended) as error:
        if not ranks.several:  # nobody else can have gone: a signal ends this one
            raise
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the word about it comes first
        when = "before the first step"
        raise Lost(f"one of the {ranks.world} processes has gone {when} ({error})") from error


def how_to_go_on(trainer: Trainer) -> str:
    """Return what to type after a training has stopped."""
    any_number = ", with any number of processes," if trainer.ranks.several else ""
    words = ["mindref", "train", "--resume", str(trainer.run), *trusting(trainer.config.backend)]
    return f"Go on{any_number} with: {shlex.join(words)}"


def what_is_lost(error: BaseException, trainer: Trainer) -> str:
    """Return what is said when another process has gone."""
    ranks = trainer.ranks
    kept = "the running epoch is lost, and no more"
    go_on = how_to_go_on(trainer)
    return f"one of the {ranks.world} processes has gone ({error}); {kept}. {go_on}"


def follow(trainer: Trainer) -> int:
    """Train beside the first process, in silence; return the exit code."""
    from mindref.recommender.run import Hooks
    from mindref.training.engine import Diverged

    ranks = trainer.ranks
    try:
        with listening() as stop:
            outcome = trainer.go(Hooks(stop=stop))
        if outcome.finished:
            return 0
        ranks.outlast_first()
        return stop.code
    except (Diverged, Elsewhere):  # the first process has met or said the same
        ranks.outlast_first()
        return 2
    except Ended as error:
        if ranks.rank == 1:  # the first one may be the one that has gone
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            tell(f"Error: {what_is_lost(error, trainer)}")
        return code_of(error)
    except KeyboardInterrupt as error:
        return code_of(error)
    except MindrefError as error:
        reason = what_is_lost(error, trainer) if isinstance(error, Lost) else error
        tell(f"Error: process {ranks.rank} of {ranks.world}: {reason}")
        return 2


def vanish(code: int) -> NoReturn:
    """End a process that has others beside it at once, with this exit code.

    All is written. The threads that talked to the others would now and then abort the interpreter
    on its way out, and torchrun would take that for a fault of the training.
    """
    let_go()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def end(number: int, frame: FrameType | None) -> None:
    """Leave at once, and say why."""
    raise Ended(number, "by SIGTERM, which torchrun sends to all when one process has gone")


@contextmanager
def accountable(trainer: Trainer) -> Iterator[None]:
    """Let the first process say what is lost and how to go on, whatever ends the others.

    torchrun ends all that are left when one has gone, with SIGTERM.
    """
    try:
        yield
    except Lost as error:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the word about it comes first
        raise Lost(what_is_lost(error, trainer)) from error
