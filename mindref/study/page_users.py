"""The data of the page: for each user the trace and the data of the views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mindref.study.case_study.numbers import open_case_models, study_users
from mindref.study.derived_views import derive_views
from mindref.study.exercises.page_texts import list_page_exercises
from mindref.study.exercises.workspace import Workspace
from mindref.study.overview_users import (
    FIRST,
    default_rules,
    make_overview,
    menu_text,
    select_users,
)
from mindref.study.traced_user import trace_user


class PageUser(NamedTuple):
    """The data of one user, as JSON values."""

    trace: dict[str, Any]
    derived: dict[str, Any]


def make_page_users(
    run: Path | None,
    data: Path | None,
    users: Sequence[str],
    workspace: Workspace,
) -> list[PageUser]:
    """Return the data of users of a run directory; run None: of the built-in model.

    Without users, the first user of the overview is traced; DataError if there is none. If several
    rules choose the same user, the user is in the result once. The data of the overview is in the
    first user. workspace: the learner's exercise files.
    """
    study_model, single = open_case_models(run, data)
    out = []
    selected_users = select_users(study_model, users or default_rules(study_model)[:1] or FIRST[1:])
    for selected in selected_users:
        traced = trace_user(study_model, selected.rules[0])
        derived = derive_views(traced.pair, study_model.titles)
        derived["menu"] = menu_text(study_model, selected)
        study = study_users(study_model, single, [traced.chosen]).to_dict()
        derived["case"] = study["users"][0] | {"notes": study["notes"]}
        derived["exercises"] = list_page_exercises(workspace)
        out.append(PageUser(json.loads(traced.trace.to_json()), derived))
    out[0].derived["overview"] = make_overview(study_model, selected_users)
    return out
