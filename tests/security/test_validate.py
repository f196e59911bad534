"""A model or a state that does not fit its run raises, also with a correct digest."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from mindref.errors import RunError
from mindref.recommender import load
from mindref.recommender.training.trainer import resume_run
from mindref.run import array_files
from tests.runs import train_small_run
from tests.security.tampering import edit_metadata, edit_model_arrays, recommend

ROWS, WEIGHTS = "catalogue.rows", "catalogue.weights"
EDITS = {
    "a row beyond the table": lambda x: x[ROWS].__setitem__((0, 0), 10**9),
    "a row before it": lambda x: x[ROWS].__setitem__((3, 0), -1),
    "rows of another type": lambda x: x.update({ROWS: x[ROWS].astype("i4")}),
    "fewer weights": lambda x: x.update({WEIGHTS: x[WEIGHTS][:-1]}),
    "fewer items": lambda x: x.update({n: x[n][:-1] for n in (ROWS, WEIGHTS)}),
    "a table of other width": lambda x: x.update(items=x["items"][:, :3]),
    "a shorter table": lambda x: x.update(items=x["items"][:-1]),
    "another profile": lambda x: x.update(profile=x["profile"][:-1]),
    "a flat array": lambda x: x.update(bilinear=x["bilinear"].ravel()),
    "another type": lambda x: x.update(bilinear=x["bilinear"].astype("f8")),
    "a table that is a number": lambda x: x.update(items=x["items"][0, 0]),
    "a matrix that is a number": lambda x: x.update(bilinear=x["bilinear"][0, 0]),
    "rows that are a number": lambda x: x.update({ROWS: x[ROWS][0, 0]}),
    "a layer less": lambda x: [x.pop(n) for n in ("layers.1.weight", "layers.1.bias")],
}  # fmt: skip


@pytest.mark.rules("security-R10")
@pytest.mark.parametrize("edit", EDITS.values(), ids=list(EDITS))
def test_model_arrays_that_do_not_fit_the_settings_raise(run, edit):
    edit_model_arrays(run, edit)
    with pytest.raises(RunError, match=r"model.safetensors: expected a model of"):
        load(run)


INVALID = [{"step": "x"}, {"step": -5}, {"step": 1 << 62}, {"model": "wals"}, {"model": None}]
INVALID_STATE = [
    {"step": True}, {"model": "none of ours"}, {"best_step": 2.5}, {"best_value": None},
    {"losses": [0.5, -1]}, {"validations": [{}]}, {"waited": "x"},
]  # fmt: skip


@pytest.mark.rules("security-R10")
@pytest.mark.parametrize(
    ("file", "changes"),
    [*((array_files.MODEL, x) for x in INVALID), *((array_files.STATE, x) for x in INVALID_STATE)],
    ids=str,
)
def test_invalid_metadata_raises(run, file, changes):
    edit_metadata(run / file, **changes)
    for use in (load, resume_run) if file == array_files.MODEL else (resume_run,):
        with pytest.raises(RunError, match=rf"{file}: expected a (model of|state of mindref)"):
            use(run)


def wrapping(arrays):
    """Return inner starts of rows that leave a matrix, with no difference in int64 below 0."""
    starts = np.full(len(arrays["indptr"]) - 2, 1 << 62, np.int64)
    starts[-3:] = (1 << 63) - 1, -1 << 63, -1
    return starts


FITTED = {
    "item_knn": {
        "a column beyond": lambda x: x["indices"].__setitem__(0, 10**9),
        "a column before": lambda x: x["indices"].__setitem__(0, -1),
        "rows that run backwards": lambda x: x["indptr"].__setitem__(1, 10**6),
        "rows that wrap around": lambda x: x["indptr"].__setitem__(slice(1, -1), wrapping(x)),
        "fewer numbers": lambda x: x.update(data=x["data"][:-1]),
        "column indices of floats": lambda x: x.update(indices=x["indices"].astype("f8")),
    },
    "own_counts": {"a rank twice": lambda x: x.update(ranks=np.minimum(x["ranks"], 2))},
    "popularity": {"fewer counts": lambda x: x.update(counts=x["counts"][:-1])},
    "random": {
        "a large count": lambda x: x.update(count=np.array(10**12)),
        "a count without end": lambda x: x.update(count=np.array(np.inf)),
    },
    "wals": {"a flat table": lambda x: x.update(items=x["items"][:, 0])},
    "maxmf": {"users that are a number": lambda x: x.update(users=x["users"][0, 0])},
}


@pytest.mark.rules("security-R10")
@pytest.mark.parametrize("model", FITTED)
def test_arrays_of_a_fitted_model_that_do_not_fit_raise(model, tmp_path):
    trained = train_small_run(tmp_path / "whole", model=model)
    assert recommend(trained)
    for number, edit in enumerate(FITTED[model].values()):
        run = Path(shutil.copytree(trained, tmp_path / str(number)))
        edit_model_arrays(run, edit)
        with pytest.raises(RunError, match=r"model.safetensors: expected a model of the run, got"):
            load(run)
