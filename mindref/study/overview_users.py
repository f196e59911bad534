"""The users of the overview, with the inputs of routing.

The page recomputes routing from these inputs. A user takes a few kilobytes, a trace more than a
hundred. Thus the overview shows users that the page does not trace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.errors import DataError
from mindref.models import mind
from mindref.models.logits import keyed_table
from mindref.study import json_arrays
from mindref.study.models.study_model import StudyModel, choose_user
from mindref.study.models.user_rules import SHORT_NAMES, split_last

FIRST = ("most-separated", "median")  # the clear case and the hard case
MOST_INTERESTS = 8  # colours of the page; keyed logits exist for any number of interests


class SelectedUser(NamedTuple):
    """A user, and every rule that chooses this user."""

    user: int
    rules: list[str]  # at least one rule or id


def select_users(study_model: StudyModel, rules: Sequence[str]) -> list[SelectedUser]:
    """Return the users of rules or ids, each user once, in the order of the rules."""
    selected: dict[int, SelectedUser] = {}
    for rule in rules:
        user = choose_user(study_model, rule).user
        entry = selected.setdefault(user, SelectedUser(user, []))
        if rule not in entry.rules:
            entry.rules.append(rule)
    return list(selected.values())


def menu_text(study_model: StudyModel, selected: SelectedUser) -> str:
    """Return the text of a menu: the user id and the rules that chose the user."""
    user_id = str(study_model.user_ids[selected.user])
    names = [SHORT_NAMES[rule] for rule in selected.rules if rule in SHORT_NAMES]
    return f"{user_id}: {', '.join(names)}" if names else user_id


def make_overview(study_model: StudyModel, traced: Sequence[SelectedUser]) -> list[dict[str, Any]]:
    """Return the users of the overview as JSON values: the clear case, the hard case, others.

    If a traced user is chosen by another rule than these two, the traced users are first.
    """
    rules = [rule for selected in traced for rule in selected.rules]
    defaults = default_rules(study_model)
    requested_first = not set(rules) <= set(FIRST)
    order = [*rules, *defaults] if requested_first else [*defaults, *rules]
    pages = {selected.user: index for index, selected in enumerate(traced)}
    return [
        overview_user(study_model, selected, pages)
        for selected in select_users(study_model, list(dict.fromkeys(order)))
    ]


def default_rules(study_model: StudyModel) -> list[str]:
    """Return the rules of the first users of the overview."""
    return [rule for rule in FIRST if has_user(study_model, rule)]


def has_user(study_model: StudyModel, rule: str) -> bool:
    """Return whether a rule chooses a user; no user has separate interests if K is 1."""
    try:
        choose_user(study_model, rule)
    except DataError:
        return False
    return True


def overview_user(
    study_model: StudyModel, selected: SelectedUser, pages: Mapping[int, int]
) -> dict[str, Any]:
    """Return titles, groups, item vectors and initial logits of the films of a user.

    pages: index of the trace of each traced user.
    """
    model = study_model.model
    params, catalogue, config = model.params, model.catalogue, model.config
    history, _ = split_last(study_model, np.array([selected.user]))
    films = history.values[-config.window :]
    vectors, _ = mind.item_vectors(params, films, catalogue)
    groups = study_model.groups
    columns = max(config.interests, MOST_INTERESTS)
    sigma = 0.0 if config.routing == "uniform" else config.sigma  # model-R12: logits of zero
    table = keyed_table(config.seed, len(study_model.item_ids), columns, sigma, config.dtype)
    return {
        "menu": menu_text(study_model, selected),
        "trace": pages.get(selected.user),
        "titles": [study_model.titles[film] for film in films],
        "groups": [groups.names[groups.of_item[film]] for film in films] if groups else [],
        "e": json_arrays.array_to_json(vectors, ("behaviour", "width")),
        "b": json_arrays.array_to_json(table[films], ("behaviour", "interest")),
    }
