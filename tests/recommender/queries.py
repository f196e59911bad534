"""Questions to a trained model, and its answers as bytes; workers of any kind import it."""

import signal
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

from mindref.models.servable_items import ServableItems
from tests.runs import loaded, trainer

SERVABLE = ServableItems.of(trainer().served_catalogue).ids
IDS = [loaded().log.item_ids[item] for item in SERVABLE]
HISTORIES = [IDS[3:12], IDS[40:41], IDS[5:60:5], [], IDS[100:90:-1], IDS[7:9] * 3]
QUESTIONS = [(way, n) for n in range(len(HISTORIES)) for way in ("interests", "list", "similar")]


def answer(model: Any, question: tuple[str, int]) -> Any:
    """Return what a model says, every number of it to the bit."""
    way, n = question
    if way == "interests":
        found = model.interests([HISTORIES[n], *HISTORIES])
        return [None if x is None else (x.shape, x.tobytes()) for x in found]
    if way == "similar":
        return [(row.item, row.score.hex()) for row in model.similar_items(IDS[n], 5)]
    rows = model.recommend(HISTORIES[n], 9)
    return [(row.item, row.score.hex(), row.interest) for row in rows]


def serially(model: Any, questions: list[tuple[str, int]]) -> list[Any]:
    return [answer(model, question) for question in questions]


def at_once(model: Any, questions: list[tuple[str, int]], threads: int = 8) -> list[Any]:
    """Return the answers to questions that many threads ask at once."""
    start = Barrier(threads)

    def ask(place):
        start.wait(timeout=60)
        own = range(place, place + len(questions))  # each begins elsewhere, and asks all
        found = {n % len(questions): answer(model, questions[n % len(questions)]) for n in own}
        return [found[n] for n in range(len(questions))]

    with ThreadPoolExecutor(threads) as pool:
        found = list(pool.map(ask, range(threads)))
    if any(other != found[0] for other in found):
        raise AssertionError("the threads have heard different answers")
    return found[0]


known: dict[str, Any] = {}
"""Models that the children of a fork find here."""


def of_known(name: str, questions: list[tuple[str, int]]) -> list[Any]:
    """Return the answers of a model that was known before the fork, to threads that ask at once."""
    signal.alarm(45)  # a child that waits for what has stayed behind would wait for ever
    try:
        return at_once(known[name], questions, 4)
    finally:
        signal.alarm(0)
