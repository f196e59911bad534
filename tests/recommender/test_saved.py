"""Models that are saved and loaded, pickled or copied."""

import copy
import pickle

import numpy as np
import pytest

import mindref
from mindref import MIND
from mindref.errors import MindrefError, RunError
from tests.runs import SMALL, loaded


def test_a_model_is_saved_and_loaded_whole(tmp_path):
    run, saved, copied = (tmp_path / name for name in ("run", "saved", "copy"))
    model = MIND(**SMALL).fit(loaded().log, run=run)
    model.save(saved)
    history = loaded().log.item_ids[3:9]
    for again in (mindref.load(run), MIND.load(str(run)), mindref.load(saved)):
        assert again.config == model.config
        assert again.report == model.report
        assert again.recommend(history, 20) == model.recommend(history, 20)
        assert again.similar_items(history[0]) == model.similar_items(history[0])
        np.testing.assert_equal(again.interests([history]), model.interests([history]))
        with pytest.raises(RunError, match="arrays given in memory; name the log with --data"):
            again.recommend(user="customer-0001")
    again.save(copied)
    for path in saved.iterdir():
        for folder in (run, copied):
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name
    with pytest.raises(RunError, match="expected no run there"):
        model.save(saved)
    with pytest.raises(MindrefError, match="a trained model, got none"):
        MIND().save(tmp_path / "none")
    for text in ("{", "[]"):
        (run / "report.json").write_text(text)
        with pytest.raises(RunError, match=r"report\.json: expected a report"):
            mindref.load(run)


HISTORY = list(loaded().log.item_ids[3:12])
WAYS = {
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


@pytest.fixture(scope="module")
def fitted():
    """A model that has answered nobody yet."""
    return pickle.dumps(MIND(**{**SMALL, "steps": 2}).fit(loaded().log))


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_copy_recommends_the_same_before_and_after_it_was_asked(fitted, way):
    model = pickle.loads(fitted)
    assert model.config.backend == "numba"
    early = way(model)
    expected = model.recommend(HISTORY, 20)
    late = way(model)
    for other in (early, late, way(late)):
        assert other is not model
        assert other.recommend(HISTORY, 20) == expected
    assert model.recommend(HISTORY, 20) == expected


@pytest.mark.parametrize("way", list(WAYS.values())[:2], ids=list(WAYS)[:2])
def test_a_copy_has_buffers_of_its_own(fitted, way):
    model = pickle.loads(fitted)
    model.recommend(HISTORY)
    other = way(model)
    other.recommend(HISTORY)
    one, two = (x.served.backend for x in (model, other))
    assert one.cached_workspace is not two.cached_workspace
    assert one.lock is not two.lock
