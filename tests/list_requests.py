"""Requests for lists with the defaults of `mindref recall`."""

from pathlib import Path
from typing import Any

from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import RequestedLists, recall_lists


def command_request(**options: Any) -> ListRequest:
    """Return a request: 20 items, by the index that `auto` chooses. history: one history."""
    history = options.pop("history", None)
    histories = None if history is None else [history]
    return ListRequest(**{"n": 20, "index": "auto", "histories": histories, **options})


def recalled(run: Path, **options: Any) -> RequestedLists:
    """Return the lists of a run."""
    return recall_lists(run, command_request(**options))
