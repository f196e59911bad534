"""Requests for lists with the defaults of `mindref recall`."""

from pathlib import Path
from typing import Any

from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import RequestedLists, recall_lists
from mindref.recommender.sharding import recall_all


def command_request(**options: Any) -> ListRequest:
    """Return a request: 20 items, by the index that `auto` chooses. history: one history."""
    history = options.pop("history", None)
    histories = None if history is None else [history]
    return ListRequest(**{"n": 20, "index": "auto", "histories": histories, **options})


def recalled(run: Path, **options: Any) -> RequestedLists:
    """Return the lists of a run."""
    return recall_lists(run, command_request(**options))


def write_lists(run: Path, output: Path, **options: Any) -> list[str]:
    """Write the lists of all users of a run; return the messages."""
    names = ("form", "shard", "block")
    writing = {name: options.pop(name) for name in names if name in options}
    return recall_all(run, output, command_request(**options), **writing)
