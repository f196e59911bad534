"""The estimate of the largest memory of a training."""

import numpy as np
import pytest

from mindref.config import Config
from mindref.errors import ConfigError
from mindref.models.family import family_of
from mindref.models.parameters import flatten
from mindref.process import memory
from mindref.process.announcements import listen
from mindref.recommender.training import memory_estimate
from mindref.recommender.training.memory_estimate import count_parameters, estimate_memory
from mindref.run.training_data import prepare_training
from tests import runs, spec_pages


def prepared(protocol="leave_last_out", **changes):
    config = Config.of("mind", {**runs.SMALL, **changes})
    return prepare_training(runs.loaded(), protocol, config), config


@pytest.mark.rules("faults-R20")
@pytest.mark.parametrize(
    "changes",
    [{}, {"item_features": ["shelf"]}, {"model": "maxmf", "hidden": []}, {"model": "mind_plus"},
     {"model": "youtube_dnn", "width": 5}],
    ids=str,
)  # fmt: skip
def test_the_parameters_are_counted(changes):
    log, config = prepared(**changes)
    sizes = log.task.sizes
    drawn = flatten(family_of(config.model).init(np.random.default_rng(0), config, sizes))
    assert count_parameters(config, sizes) == sum(x.size for x in drawn.values())


@pytest.mark.rules("faults-R20")
def test_each_part_grows_with_its_counts():
    log, config = prepared()
    small = estimate_memory(log, config, "numba")
    wide = estimate_memory(log, prepared(width=800)[1], "numba")
    assert wide.parameters > 50 * small.parameters
    assert wide._replace(parameters=small.parameters) == small
    torch = estimate_memory(log, config, "torch")
    assert torch.parameters > 1.4 * small.parameters
    few = estimate_memory(log, prepared(test_users=2, validation_users=2)[1], "numba")
    assert few.evaluation < small.evaluation / 2
    test = estimate_memory(log, prepared(validation_users=2)[1], "numba")
    validation = estimate_memory(log, prepared(test_users=2)[1], "numba")
    assert few.evaluation < validation.evaluation < test.evaluation == small.evaluation
    assert small.total == sum(small)
    assert small.program == memory.PROGRAM_BYTES


@pytest.mark.rules("faults-R20")
def test_special_cases_have_fewer_parts():
    log, config = prepared("none")
    assert estimate_memory(log, config, "numba").evaluation == 0
    log, config = prepared(model="item_knn", hidden=[])
    knn = estimate_memory(log, config, "numba").parameters
    assert knn == 16 * config.neighbours * log.task.sizes.items
    log, config = prepared(model="popularity", hidden=[])
    assert estimate_memory(log, config, "numba").parameters == 0


@pytest.mark.rules("faults-R20")
def test_a_training_that_may_not_fit_is_announced_before_its_parameters_exist(monkeypatch):
    lines = []
    monkeypatch.setattr(memory, "usable_memory", lambda: memory.PROGRAM_BYTES)
    monkeypatch.setattr(
        "mindref.recommender.training.trainer.initial_state", lambda *_: pytest.fail(lines[0])
    )
    with listen(lines.append), pytest.raises(pytest.fail.Exception, match="will probably not fit"):
        runs.trainer()


def test_lists_that_do_not_fit_are_rejected(monkeypatch):
    monkeypatch.setattr(memory_estimate, "usable_memory", lambda: 10**9)
    memory_estimate.check_list_memory(1000, 10_000)
    with pytest.raises(ConfigError, match="expected lists that fit the memory, got 1,001"):
        memory_estimate.check_list_memory(1001, 10_000)


@pytest.mark.rules("faults-R20")
def test_the_estimates_of_the_page_are_within_a_factor_of_the_truth():
    text = spec_pages.text("scale")
    rows = text[text.index("<!-- memory: begin") : text.index("<!-- memory: end")].splitlines()[3:]
    ratios = [float(row.rstrip("| ").rpartition("|")[2]) for row in rows if row.startswith("|")]
    assert len(ratios) == 5
    assert all(1 / memory.ACCURACY <= ratio <= memory.ACCURACY for ratio in ratios)
