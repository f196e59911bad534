"""Everything that `fit` takes, and what it says of what it does not take."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import polars as pl
import pytest

from mindref import MIND
from mindref.data.log import Ragged
from mindref.data.readers.columns import Columns
from mindref.errors import RunError
from mindref.recommender.training.trainer import resume_run
from mindref.run.source import Source, fingerprint
from tests.runs import SMALL, SOURCE, loaded, write_shop


@pytest.fixture(scope="module")
def table():
    """The small log as columns, an event a row."""
    log = loaded().log
    users = np.repeat(np.arange(len(log.user_ids)), log.interactions.lengths)
    return {
        "user": [log.user_ids[u] for u in users],
        "item": [log.item_ids[i] for i in log.interactions.values],
        "time": np.asarray(log.times).tolist(),
    }


@pytest.fixture
def shop(tmp_path):
    write_shop(tmp_path)
    return tmp_path / "shop.inter"


@pytest.fixture(scope="module")
def expected():
    """What a model of the log says; every way to hand the same log over must say the same."""
    return recommended(MIND(**SMALL).fit(loaded().log))


def recommended(model):
    return [x.item for x in model.recommend(user="customer-0001", n=8)]


def test_arrays_and_tables_of_the_same_log_give_the_same_lists(table, expected):
    arrays = [np.array(x) for x in table.values()]
    assert recommended(MIND(**SMALL).fit(*arrays)) == expected
    assert recommended(MIND(**SMALL).fit(pl.DataFrame(table), time="time")) == expected


def test_the_built_in_catalogue_is_there_without_any_data():
    model = MIND(**SMALL).fit(users=60)
    assert model.report["cases"] == 60
    assert all(x.title for x in model.recommend(user="customer-0001"))
    # with one behaviour in the window nobody has two groups to tell apart
    model = MIND(**{**SMALL, "window": 1, "interest_count": "fixed"}).fit(users=60)
    assert model.report["interests"]["users"] == 60
    assert "recovery" not in model.report["interests"]


def test_a_file(shop, expected):
    assert recommended(MIND(**SMALL).fit(str(shop))) == expected
    run, item_file = shop.with_name("run"), shop.with_suffix(".item")
    options = {"format": "recbole", "item_file": item_file, "columns": Columns()}
    assert recommended(MIND(**SMALL).fit(shop, run=run, **options)) == expected
    words = json.loads((run / "config.json").read_text())
    assert words["source"]["options"]["item_file"] == str(item_file)
    assert resume_run(run).train().finished


@pytest.mark.rules("recall-R56")
def test_a_run_of_data_in_memory_resumes_from_its_log_or_from_a_file(shop, tmp_path):
    MIND(**SMALL).fit(Source.of(shop).read().log, run=tmp_path / "run")
    assert resume_run(tmp_path / "run").train().finished
    (tmp_path / "run" / "log.safetensors").write_bytes(b"damaged")
    with pytest.raises(RunError, match=r"log\.safetensors"):
        MIND.load(tmp_path / "run").save(tmp_path / "damaged")
    (tmp_path / "run" / "log.safetensors").unlink()
    model, message = MIND.load(tmp_path / "run"), "log of the run: expected a file, got data in mem"
    assert model.recommend(loaded().log.item_ids[3:9])
    model.save(tmp_path / "saved")
    assert not (tmp_path / "saved" / "log.safetensors").exists()
    for read in (
        lambda: model.recommend(user="customer-0001"),
        lambda: resume_run(tmp_path / "run"),
    ):
        with pytest.raises(RunError, match=message):
            read()
    assert resume_run(tmp_path / "run", shop).train().finished


def test_a_log_that_has_changed_is_refused(shop, tmp_path):
    MIND(**SMALL).fit(shop, run=tmp_path / "run")
    lines = shop.read_text().splitlines(keepends=True)
    one, other = lines[1].split("\t"), lines[2].split("\t")
    one[1], other[1] = other[1], one[1]  # two items change places: no count is another
    shop.write_text("".join([lines[0], "\t".join(one), "\t".join(other), *lines[3:]]))
    with pytest.raises(RunError, match=r"log: expected .*; the log is another one than that of"):
        resume_run(tmp_path / "run")
    write_shop(tmp_path, items=140)
    with pytest.raises(RunError, match=r"run: log: expected .*; the log is another one than that"):
        resume_run(tmp_path / "run")


def test_all_that_training_sees_of_a_log_is_in_its_fingerprint():
    log = loaded().log
    assert fingerprint(log) == fingerprint(SOURCE.read().log)
    feature = log.item_features[0]
    others = [
        replace(log, times=None),
        replace(log, user_ids=[*log.user_ids[1:], log.user_ids[0]]),
        replace(log, item_ids=[*log.item_ids[1:], log.item_ids[0]]),
        replace(log, interactions=Ragged(log.interactions.offsets, log.interactions.values[::-1])),
        replace(log, item_features=()),
        replace(log, user_features=()),
        replace(log, item_features=[replace(feature, values=[*feature.values[1:], "other"])]),
    ]
    assert len({fingerprint(some) for some in [log, *others]}) == 1 + len(others)
    assert fingerprint(replace(log, titles=None)) == fingerprint(log), "titles are not trained on"


def test_columns_of_a_table_or_a_file_are_named(tmp_path, table, expected):
    named = {"user": "who", "item": "what", "time": "when"}
    frame = pd.DataFrame(table).rename(columns=named)
    frame.to_csv(tmp_path / "log.csv", index=False)
    assert recommended(MIND(**SMALL).fit(frame, **named)) == expected
    both = {"columns": Columns(user="who", time="when"), "item": "what"}
    assert recommended(MIND(**SMALL).fit(tmp_path / "log.csv", **both)) == expected
