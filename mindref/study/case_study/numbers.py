"""The numbers of the paper's case study for any run.

Source: Li et al., CIKM 2019, Fig. 5 and 6: coupling weights of two users (rows interests, columns
behaviours), and the top items of each interest and of a single vector. Added: the rule that chose
the users, and controls (`controls`). Difference: cosines are not rescaled to 0 .. 1, because the
best item of every model would then be at 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import Ints
from mindref.errors import ConfigError, say
from mindref.models.servable_items import ServableItems
from mindref.models.serving import item_matrix
from mindref.process.requirements import install_extra
from mindref.run import atomic
from mindref.shapes import Array
from mindref.study.case_study.controls import (
    Controls,
    compute_controls,
    route_histories,
    unit_vectors,
)
from mindref.study.models.study_model import (
    SINGLE_INTEREST,
    StudyModel,
    choose_user,
    open_built_in_model,
    open_study_model,
)
from mindref.study.models.user_rules import ChosenUser, split_last, target_ranks

RULES = ("most-separated", "least-separated")  # two users, as in the paper
LIST_LENGTH = 5  # unseen items of a list; the built-in model has ten films of each genre
FORMATS = (".svg", ".png", ".json")
NO_SINGLE = "only the built-in model has a single-vector model for comparison"
SAME_SETTINGS = "the single-vector model has the same settings except interests = 1"


@dataclass(frozen=True)
class RetrievedItem:
    """A top item of a vector."""

    title: str
    score: float  # inner product with the vector
    cosine: float  # with the vector
    group: str  # empty without groups


@dataclass(frozen=True)
class ItemList:
    """The unseen items with the largest scores for one vector, best first."""

    name: str
    items: list[RetrievedItem]
    seen: list[RetrievedItem]  # items of the history with a score above the last of `items`
    mean_cosine: float  # between these items, in the space of their model
    commonest: str  # most frequent group, empty without groups
    commonest_count: int  # items in this group


@dataclass(frozen=True)
class UserStudy:
    """The case study of one user."""

    user: str
    rule: str  # how the user was chosen
    behaviours: list[str]  # n titles, oldest first, the last `window` before the target
    groups: list[str]  # of the behaviours, empty without groups
    couplings: list[list[float]]  # (K', n) rows interests, columns behaviours
    strongest_interests: list[int]  # largest coupling weight of each behaviour, from 0
    lists: list[ItemList]  # one for each interest
    single: ItemList | None  # of the single-vector model
    distinct: int  # different items in `strips`
    target: str  # title of the next behaviour
    rank: int  # of the target among the unseen items, from 1
    single_rank: int | None  # the rank by the single-vector model
    controls: Controls


@dataclass(frozen=True)
class CaseStudy:
    """The numbers and the texts of the figures."""

    name: str
    settings: dict[str, Any]
    top: int  # items of a list
    users: list[UserStudy]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain


def open_case_models(
    run: Path | None, data: Path | None = None
) -> tuple[StudyModel, StudyModel | None]:
    """Return the model of a run, or the built-in model and its single-vector model.

    Raises RunError, DataError.
    """
    single = None if run else open_built_in_model(SINGLE_INTEREST)
    return open_study_model(run, data), single


def make_case_study(
    study_model: StudyModel,
    single: StudyModel | None = None,
    rules: Sequence[str] = RULES,
    top: int = LIST_LENGTH,
) -> CaseStudy:
    """Return the case study of the users that the rules (or ids) choose.

    top: length of each list. Raises DataError as `choose_user` does, ConfigError for no rule or
    `top` below 1.
    """
    if not rules or top < 1:
        raise ConfigError(say("case study", "a user and a list", f"{len(rules)} and {top}"))
    return study_users(study_model, single, [choose_user(study_model, rule) for rule in rules], top)


def study_users(
    study_model: StudyModel,
    single: StudyModel | None,
    chosen: Sequence[ChosenUser],
    top: int = LIST_LENGTH,
) -> CaseStudy:
    """Return the case study of chosen users."""
    notes = [NO_SINGLE if single is None else SAME_SETTINGS]
    users = [study_user(study_model, single, user, rule, top) for user, rule in chosen]
    return CaseStudy(study_model.name, study_model.model.config.to_dict(), top, users, notes)


def study_user(
    study_model: StudyModel, single: StudyModel | None, user: int, rule: str, top: int
) -> UserStudy:
    """Return the case study of one user."""
    history_rows, target = split_last(study_model, np.array([user]))
    history = history_rows.values[-study_model.model.config.window :]
    routed = route_histories(study_model, history[None], study_model.profiles[user])
    couplings = routed.couplings[0].T
    strips = [
        make_item_list(study_model, f"interest {k + 1}", vector, history_rows.values, top)
        for k, vector in enumerate(routed.vectors[0])
    ]
    return UserStudy(
        user=study_model.user_ids[user],
        rule=rule,
        behaviours=[study_model.titles[i] for i in history],
        groups=[item_group(study_model, i) for i in history] if study_model.groups else [],
        couplings=couplings.tolist(),
        strongest_interests=couplings.argmax(axis=0).tolist(),
        lists=strips,
        single=None
        if single is None
        else single_vector_list(single, user, history_rows.values, top),
        distinct=len({item.title for each in strips for item in each.items}),
        target=study_model.titles[target[0]],
        rank=target_rank(study_model, user),
        single_rank=None if single is None else target_rank(single, user),
        controls=compute_controls(study_model, user, history),
    )


def single_vector_list(single: StudyModel, user: int, seen: Ints, top: int) -> ItemList:
    """Return the list of the single vector of a user."""
    history = seen[-single.model.config.window :]
    routed = route_histories(single, history[None], single.profiles[user])
    return make_item_list(single, "single vector", routed.vectors[0, 0], seen, top)


def target_rank(study_model: StudyModel, user: int) -> int:
    """Return the rank, from 1, of the user's last behaviour among the items unseen before."""
    return int(target_ranks(study_model, np.array([user]), item_matrix(study_model.model))[0]) + 1


def item_group(study_model: StudyModel, item: int) -> str:
    """Return the group of an item, empty without groups."""
    groups = study_model.groups
    return "" if groups is None else groups.names[groups.of_item[item]]


def make_item_list(
    study_model: StudyModel, name: str, vector: Array, seen: Ints, top: int
) -> ItemList:
    """Return the unseen items with the largest scores for a vector (D,); ties: the lower id."""
    items = item_matrix(study_model.model)
    scores = items @ vector
    scores[~ServableItems.of(study_model.model.catalogue).is_servable] = -np.inf
    order = np.argsort(-scores, kind="stable")
    order = order[np.isfinite(scores[order])]
    is_seen = np.isin(order, seen)
    best = order[~is_seen][:top]
    above = order[is_seen & (np.cumsum(~is_seen) < top)]
    directions = unit_vectors(items[best])
    between = directions @ directions.T
    count = len(best)
    groups = [item_group(study_model, i) for i in best]
    commonest = max(dict.fromkeys(groups), key=groups.count, default="")
    return ItemList(
        name,
        list_items(study_model, best, scores, vector),
        list_items(study_model, above, scores, vector),
        float((between.sum() - np.trace(between)) / max(count * (count - 1), 1)),
        commonest,
        groups.count(commonest) if commonest else 0,
    )


def list_items(
    study_model: StudyModel, ids: Ints, scores: Array, vector: Array
) -> list[RetrievedItem]:
    """Return items with their scores (N,) and their cosines with a vector (D,)."""
    cosines = unit_vectors(item_matrix(study_model.model)[ids]) @ unit_vectors(vector)
    return [
        RetrievedItem(study_model.titles[i], float(scores[i]), float(cosine), group)
        for i, cosine in zip(ids, cosines, strict=True)
        for group in [item_group(study_model, i)]
    ]


def write_case_study(path: Path, study: CaseStudy) -> None:
    """Write the figures (.svg, .png) or the numbers (.json) of a case study.

    The output is reproducible. Raises ConfigError for another ending and without matplotlib (call
    `check_figure_path` before the computation), RunError if the file cannot be written.
    """
    check_figure_path(path)
    if path.suffix == ".json":
        atomic.write_json(path, study.to_dict())
        return
    from mindref.study.case_study.plot import draw_figure

    draw_figure(study, path)


def check_figure_path(path: Path) -> None:
    """Raise ConfigError for an unknown ending, or for a figure without matplotlib."""
    from importlib.util import find_spec

    if path.suffix not in FORMATS:
        raise ConfigError(say(str(path), f"a name ending in {' or '.join(FORMATS)}", path.suffix))
    if path.suffix != ".json" and find_spec("matplotlib") is None:
        todo = f"{install_extra('plot')}, or write .json"
        raise ConfigError(say(str(path), "matplotlib", "not installed", todo))
