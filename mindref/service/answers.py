"""The lists of a request, as JSON values. Spec: specs/serving.md.

The lists are those of `MIND.recommend_many`. Messages about unknown ids are part of the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mindref
from mindref.recall.index import Index
from mindref.recall.lists import list_to_json
from mindref.recommender.serving.list_request import (
    ListRequest,
    resolve_request,
    uninformed_warning,
)
from mindref.recommender.serving.recall import RequestedLists, open_run_index
from mindref.recommender.serving.served_model import ServedModel
from mindref.service.request_body import RecommendRequest

LIST_FIELDS = ("interests", "unknown", "items")


class HistoryAnswers:
    """Answers of one model and index. Several threads may call it at once."""

    def __init__(self, served: ServedModel, index: Index) -> None:
        self.served, self.index = served, index

    @classmethod
    def load(
        cls, run: Path, kind: str, backend: str | None, device: str, notes: list[str]
    ) -> HistoryAnswers:
        """Return the answers of a run; what is computed on first use is computed now.

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

        Unknown items are ignored and listed. Raises DataError if no item of any history is known,
        and if `only` has ids and none is known; ConfigError for `per_interest` without interests.
        """
        resolved = resolve_request(self.served, request.lists)
        results = []
        for answer in RequestedLists(self.served, self.index, resolved):  # serving-R9
            values = list_to_json(answer, self.index)
            results.append({name: values[name] for name in LIST_FIELDS})
        counts = [len(values["items"]) for values in results]
        uninformed = uninformed_warning(resolved.users.histories, counts)
        content = {"lists": results} if request.is_batch else results[0]
        return {**content, "warnings": [*resolved.list_warnings, *uninformed]}

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
