"""Rerank the candidates of a recall run with DIN, and measure the gain.

Spec: specs/din.md (Reranking), specs/metrics.md (GAUC).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.batches import pad_histories
from mindref.data.log import Ints, Ragged
from mindref.data.splits import EvaluationCases
from mindref.errors import DataError, RunError, ShapeError, say
from mindref.evaluation import metrics
from mindref.models import din
from mindref.models.parameters import Sizes
from mindref.models.servable_items import ServableItems
from mindref.models.serving import Model
from mindref.recall.top_n import TopN
from mindref.run import checkpoint, files, validate
from mindref.run.array_files import MODEL
from mindref.shapes import Array

PAIRS = 1 << 18  # pairs of behaviour and candidate per block: bounds memory


def rerank(
    model: Model, ranked: TopN, histories: Ragged, profiles: Ints, n: int | None = None
) -> TopN:
    """Return the lists sorted by DIN's scores, with the interests of the items.

    n: number of items returned per list, None for all. histories (C rows) and profiles (C, G) of
    the users. Equal scores keep their order, and empty positions stay last. Raises ShapeError, or
    DataError for a score that is not finite.
    """
    if not len(ranked.items) == len(histories) == len(profiles):
        got = f"{len(ranked.items)}, {len(histories)} and {len(profiles)}"
        raise ShapeError(say("rerank", "as many lists as histories and profiles", got))
    scores = score_lists(model, ranked.items, histories, profiles)
    # din-R18: empty positions have -inf and are last
    order = np.argsort(-scores, axis=1, kind="stable")
    order = order[:, :n]  # din-R25
    items, interests = (np.take_along_axis(x, order, 1) for x in (ranked.items, ranked.interests))
    return TopN(items, np.take_along_axis(scores, order, 1), interests)


def score_lists(model: Model, items: Ints, histories: Ragged, profiles: Ints) -> Array:
    """Return DIN's score of each item of each list (C, n), -inf for an empty position."""
    config = model.config
    servable = ServableItems.of(model.catalogue)
    behaviours = servable.select(histories)
    history, mask = pad_histories(behaviours, config.window)
    is_item = (items >= 0) & servable.is_servable[items]  # model-R43
    candidates = np.where(is_item, items, 0)
    block = max(1, PAIRS // max(1, items.shape[1] * config.window))
    parts = [np.zeros((0, items.shape[1]), config.dtype)]
    for start in range(0, len(items), block):
        cases = slice(start, start + block)
        users = din.histories_without_logits(history[cases], mask[cases], profiles[cases], config)
        scores, _ = din.logits(model.params, users, candidates[cases], model.catalogue, config)
        parts.append(scores)
    scores = np.concatenate(parts)
    if not np.isfinite(scores[is_item]).all():
        raise DataError(say("rerank: scores", "finite numbers", "infinity or NaN"))
    return np.where(is_item, scores, -np.inf)


def rerank_gain(
    before: TopN,
    after: TopN,
    cases: EvaluationCases,
    *,
    list_lengths: Sequence[int] = (10,),
    rng: np.random.Generator,
) -> dict[str, object]:
    """Return the metrics of two orders of the same candidates, and the gain.

    `all`: cases with a target. `within`: cases with a target among the candidates, where the order
    matters. Both have hit_rate@N and ndcg@N of `before` and `after`, and `gain`, the difference
    case by case, with intervals. `within` also has the GAUC; its gain is that of the AUC per case.
    Raises ShapeError for lists of other items, DataError if no candidate is a target.
    """
    if not np.array_equal(np.sort(before.items, axis=1), np.sort(after.items, axis=1)):
        raise ShapeError(say("rerank_gain", "two orders of the same candidates", "other items"))
    relevant = metrics.count_distinct(cases.targets)
    hits_before = metrics.hit_mask(before.items, cases.targets)
    hits_after = metrics.hit_mask(after.items, cases.targets)
    has_target, has_hit = relevant > 0, hits_before.any(axis=1)
    if not has_hit.any():
        raise DataError(say("rerank_gain", "a case with a target among its candidates", "none"))
    report: dict[str, Any] = {"candidates": before.items.shape[1]}
    for name, chosen in (("all", has_target), ("within", has_hit)):  # din-R19
        old = metrics.metrics_per_case(hits_before[chosen], relevant[chosen], list_lengths)
        new = metrics.metrics_per_case(hits_after[chosen], relevant[chosen], list_lengths)
        names = [x for x in old if x.startswith(("hit_rate@", "ndcg@"))]
        tables = {
            "before": {x: old[x] for x in names},
            "after": {x: new[x] for x in names},
            "gain": {x: new[x] - old[x] for x in names},  # case by case
        }
        estimates = {x: metrics.bootstrap_estimates(values, rng) for x, values in tables.items()}
        report[name] = {"cases": int(chosen.sum()), **estimates}
    list_sizes = (before.items >= 0).sum(axis=1)  # equal in both orders
    auc_before = metrics.auc_per_case(before.scores, hits_before, before.items >= 0)
    auc_after = metrics.auc_per_case(after.scores, hits_after, after.items >= 0)
    areas = {"before": auc_before, "after": auc_after, "gain": auc_after - auc_before}  # din-R19
    for name, area in areas.items():
        report["within"][name]["gauc"] = metrics.grouped_auc(area, list_sizes, rng)
    return report


def load_reranker(run: Path, recall_run: Path) -> Model:
    """Return the DIN model of a run, for reranking the items of `recall_run`.

    Raises RunError for a model that is damaged, not trained to its end, or of another recall run.
    """
    config, facts = checkpoint.load_din_config(run)
    check_same_recall_run(run, facts, recall_run)
    identity = checkpoint.run_identity(config, facts)
    stored = checkpoint.load_best(run, identity, config.model)
    sizes = Sizes(**checkpoint.load_config(recall_run)[1]["sizes"])
    validate.check_model(run / MODEL, stored.params, stored.catalogue, config, sizes)
    return Model(stored.params, stored.catalogue, config)


def recall_model_digest(recall_run: Path) -> str:
    """Return the sha256 of the model file of a run. Raises RunError if there is none."""
    todo = "name the recall run with --recall"
    stored = files.StoredFile(recall_run / MODEL, "a trained model", todo)
    with stored.explain_errors(missing="No such file or directory"):
        stored.check_room()
        return files.file_digest(stored.path)


def check_same_recall_run(run: Path, facts: Mapping[str, Any], recall_run: Path) -> None:
    """Raise RunError unless a DIN run was trained on candidates of this recall run."""
    digest, expected_digest = recall_model_digest(recall_run), facts["recall"]["model"]
    if digest != expected_digest:  # din-R24
        expected = f"the run that it was trained for, {facts['recall']['run']} as it was then"
        got = f"{recall_run}, another model"
        raise RunError(say(str(run), expected, got, "train the reranker anew"))
