"""The users of the page, if the log has no user for the default rules."""

import pytest

from mindref.data.log import Ragged
from mindref.errors import DataError
from mindref.study import page_users
from mindref.study.exercises.workspace import Workspace
from mindref.study.models.study_model import open_built_in_model


def test_a_log_without_three_interactions_of_a_user_gives_a_message(monkeypatch, tmp_path):
    model = open_built_in_model()
    short = Ragged.of([[1, 2]] * len(model.user_ids))
    models = model._replace(histories=short), None
    monkeypatch.setattr(page_users, "open_case_models", lambda *paths: models)
    with pytest.raises(DataError, match="expected one with 3 behaviours"):
        page_users.make_page_users(None, None, [], Workspace(tmp_path))
