"""Runs that were trained or saved into a folder, loaded again."""

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import MindrefError, RunError
from tests.runs import SMALL, loaded


def test_a_run_keeps_all_and_is_loaded(tmp_path):
    model = MIND(**SMALL).fit(loaded().log, run=tmp_path / "run")
    for again in (mindref.load(tmp_path / "run"), MIND.load(str(tmp_path / "run"))):
        assert again.config == model.config
        history = loaded().log.item_ids[3:9]
        assert again.recommend(history, 20) == model.recommend(history, 20)
        assert again.similar_items(history[0]) == model.similar_items(history[0])
        for a, b in zip(again.interests([history]), model.interests([history]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_users_of_arrays_are_gone_once_the_run_is_loaded(tmp_path):
    MIND(**SMALL).fit(loaded().log, run=tmp_path / "run")
    with pytest.raises(RunError, match="arrays given in memory; name the log with --data"):
        mindref.load(tmp_path / "run").recommend(user="customer-0001")


def test_a_model_is_saved_and_loaded(tmp_path):
    model = MIND(**SMALL).fit(loaded().log)
    model.save(tmp_path / "run")
    again = mindref.load(tmp_path / "run")
    assert again.config == model.config
    assert again.report == model.report
    history = loaded().log.item_ids[3:9]
    assert again.recommend(history, 20) == model.recommend(history, 20)
    with pytest.raises(RunError, match="arrays given in memory"):
        again.recommend(user="customer-0001")
    with pytest.raises(RunError, match="expected no run there"):
        model.save(tmp_path / "run")
    again.save(tmp_path / "copy")
    for path in (tmp_path / "run").iterdir():
        assert path.read_bytes() == (tmp_path / "copy" / path.name).read_bytes(), path.name
    with pytest.raises(MindrefError, match="a trained model, got none"):
        MIND().save(tmp_path / "none")


def test_a_saved_run_has_what_a_run_that_was_trained_there_has(tmp_path):
    model = MIND(**SMALL).fit(loaded().log, run=tmp_path / "run")
    model.save(tmp_path / "saved")
    for path in (tmp_path / "saved").iterdir():
        assert path.read_bytes() == (tmp_path / "run" / path.name).read_bytes(), path.name
    assert mindref.load(tmp_path / "run").report == model.report


def test_a_damaged_report_is_named(tmp_path):
    MIND(**SMALL).fit(loaded().log).save(tmp_path / "run")
    for text in ("{", "[]"):
        (tmp_path / "run" / "report.json").write_text(text)
        with pytest.raises(RunError, match=r"report\.json: expected a report"):
            mindref.load(tmp_path / "run")
