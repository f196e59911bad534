"""Several processes of a training played by threads, which may leave before the others."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Condition
from typing import Any

from mindref.training.distributed import Ranks

SECONDS = 20


class Meeting:
    """Words exchanged in rounds; a round that somebody has left raises."""

    def __init__(self, world: int) -> None:
        self.said: list[list[str]] = [[] for _ in range(world)]
        self.gone: set[int] = set()
        self.changed = Condition()

    def exchange(self, rank: int, word: str) -> list[str]:
        with self.changed:
            own = self.said[rank]
            own.append(word)
            turn = len(own)
            self.changed.notify_all()
            assert self.changed.wait_for(lambda: self.whole(turn) or self.left(turn), SECONDS), (
                f"process {rank} waits for words that nobody says"
            )
            if not self.whole(turn):
                raise RuntimeError("the connection is closed")
            return [words[turn - 1] for words in self.said]

    def whole(self, turn: int) -> bool:
        return all(len(words) >= turn for words in self.said)

    def left(self, turn: int) -> bool:
        return any(len(self.said[rank]) < turn for rank in self.gone)

    def leave(self, rank: int) -> None:
        with self.changed:
            self.gone.add(rank)
            self.changed.notify_all()


def meet(world: int, work: Callable[[Ranks], Any]) -> list[Any]:
    """Return what the work of each process returned, or the exception that it ended with."""
    meeting = Meeting(world)

    def one(rank):
        try:
            return work(Ranks(rank, world, lambda word: meeting.exchange(rank, word)))
        except Exception as error:
            return error
        finally:
            meeting.leave(rank)

    with ThreadPoolExecutor(world) as threads:
        return list(threads.map(one, range(world)))
