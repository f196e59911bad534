"""The lists of a request, as JSON values. Spec: specs/serving.md.

The lists are those of `Recommender.recommend_many`, and the popular items if nothing is known of a
user. Messages about unknown ids are part of the answer.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import mindref
from mindref.errors import DataError, MindrefError, say
from mindref.recall.index import Index
from mindref.recall.lists import list_to_json, similar_to_json
from mindref.recommender.serving.list_request import (
    ListRequest,
    Origin,
    popular_warning,
    resolve_request,
)
from mindref.recommender.serving.recall import RequestedLists, open_run_index
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.similar import find_similar_items
from mindref.service.request_body import RecommendRequest, SimilarRequest

LIST_FIELDS = ("interests", "unknown", "items", "fallback")


class HistoryAnswers:
    """Answers of one model and index. Several threads may call it at once."""

    def __init__(self, served: ServedModel, index: Index) -> None:
        self.served, self.index = served, index
        self.log_lock = threading.Lock()  # the log is read once

    @classmethod
    def load(
        cls, run: Path, kind: str, backend: str | None, device: str, notes: list[str]
    ) -> HistoryAnswers:
        """Return the answers of a run; what is computed on first use is computed now.

        Only the log is read on the first request for a user (security-R14).

        notes: receives lines about the index. Raises RunError for a damaged run.
        """
        served = ServedModel.load(run, backend, device).load_backend()
        answers = cls(served, open_run_index(served, kind, run, notes))
        item = served.items.ids[int(served.servable.ids[0])]
        first_request = ListRequest(histories=[[item]])
        answers(RecommendRequest(first_request, is_batch=False))  # compiles kernels
        _ = served.names.ids, served.names.by_title  # read for an unknown item
        return answers

    def __call__(self, request: RecommendRequest) -> dict[str, Any]:
        """Return the lists of a request.

        Unknown items are ignored and listed. Raises DataError if `only` has ids and none is known;
        ConfigError for `per_interest` without interests.
        """
        lists = replace(request.lists, origin=Origin.SERVICE)
        warnings = list[str]()
        if lists.users is not None and not self.has_user(lists.users[0]):
            warnings.append(f"user: {lists.users[0]!r} is not in the log of the run")
            lists = replace(lists, users=None, histories=[[]])  # serving-R18
        resolved = resolve_request(self.served, lists)
        results = []
        for answer in RequestedLists(self.served, self.index, resolved):  # serving-R9
            values = list_to_json(answer, self.index)
            results.append({name: values[name] for name in LIST_FIELDS if name in values})
        if lists.histories is not None and not len(resolved.users.histories.values):
            warnings += resolved.users.warnings  # about histories without any known item
        warnings += [*resolved.list_warnings, *popular_warning(self.served, resolved.users)]
        content = {"lists": results} if request.is_batch else results[0]
        return {**content, "warnings": warnings}

    def has_user(self, user: str) -> bool:
        """Return whether the log of the run has a user. Raises DataError if it cannot be read."""
        try:
            with self.log_lock:
                return user in self.served.users
        except MindrefError as error:  # its text may have paths
            got, todo = "a log that cannot be read", "send a history"
            raise DataError(say("user", "a run with its log", got, todo)) from error

    def similar(self, request: SimilarRequest) -> dict[str, Any]:
        """Return the items similar to an item. Raises DataError for an unknown item."""
        answer, warnings = find_similar_items(
            self.served, request.item, request.lists, titles=False
        )
        return {**similar_to_json(answer), "warnings": warnings}

    def facts(self) -> dict[str, Any]:
        """Return what /health states about the model."""
        served = self.served
        return {
            "model": served.model.config.model,
            "step": served.step,
            "items": len(served.servable.ids),
            "index": {"kind": self.index.kind, "recall": self.index.recall},
            "exclude_seen": served.facts["exclude_seen"],
            "version": mindref.__version__,
        }
