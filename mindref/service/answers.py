"""The lists of a request, as JSON values. Spec: specs/serving.md.

The lists are those of `MIND.recommend_many`. Messages about unknown ids are part of the answer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mindref
from mindref.data.log import Ragged
from mindref.errors import say
from mindref.recall.index import Index
from mindref.recall.lists import list_to_json
from mindref.recommender.bulk import BulkRecall, RequestedUsers, open_run_index
from mindref.recommender.item_lists import parse_item_lists, resolve_lists
from mindref.recommender.item_names import quote_ids
from mindref.recommender.requests import uninformed_warning
from mindref.recommender.serving import ServedModel
from mindref.run.files import INDEX
from mindref.service.requests import RecommendRequest, RequestError

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
        answers = cls(served, open_run_index(served, run / INDEX, kind, notes))
        item = served.items.ids[int(served.servable.ids[0])]
        answers(RecommendRequest([[item]], is_batch=False))  # compiles kernels
        _ = served.names.ids, served.names.by_title  # read for an unknown item
        return answers

    def __call__(self, request: RecommendRequest) -> dict[str, Any]:
        """Return the lists of a request.

        Unknown items are ignored and listed. Raises RequestError if no item of any history is
        known; DataError if no id of `only` is known, and for a title of several items; ConfigError
        for `per_interest` without interests.
        """
        served = self.served
        served.check_limit(request.per_interest, "per_interest")
        encoded = [served.encode([history]) for history in request.histories]
        unknown = [names for _, names in encoded]
        rows = Ragged.of([row.values for row, _ in encoded])
        if not len(rows.values) and any(unknown):
            names = [name for row in unknown for name in row]
            expected, got = "an item of the catalogue", quote_ids(names)
            raise RequestError(422, say("history", expected, got))  # serving-R10
        only = parse_item_lists("only", request.only)
        exclude = parse_item_lists("exclude", request.exclude)
        lists = resolve_lists(served, only, exclude, None, len(rows))
        requested = RequestedUsers(
            range(len(rows)), rows, served.unknown_profile(len(rows)), [], []
        )
        answers = BulkRecall(
            served,
            self.index,
            requested,
            request.n,
            served.excludes_seen(request.exclude_seen),
            lists=lists,
            per_interest=request.per_interest,
        )  # serving-R9
        results = []
        for answer, names in zip(answers, unknown, strict=True):
            values = list_to_json(answer, self.index)
            results.append({name: values[name] for name in LIST_FIELDS} | {"unknown": names})
        counts = [len(values["items"]) for values in results]
        notes = [*lists.warnings, *uninformed_warning(rows, counts)]
        content = {"lists": results} if request.is_batch else results[0]
        return {**content, "warnings": notes}

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
