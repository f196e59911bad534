"""From a log to samples and cases: whose profile a row carries, and which cases validate."""

from dataclasses import replace

import numpy as np
import pytest

from mindref.config import Config
from mindref.data.log import Feature, Ragged
from mindref.data.splits import EvaluationCases
from mindref.models import serving
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.run.source import IN_MEMORY, LoadedLog, Source
from mindref.run.training_data import sample_cases
from mindref.training.batch_loader import BatchLoader
from tests.data.logs import log_of
from tests.runs import SMALL

USERS, LENGTH = 40, 6
NAMES = np.random.default_rng(5).permutation(USERS)  # user u has value NAMES[u] of the feature


def town(protocol):
    """A trainer of users who share no item and no value of their feature."""
    log = log_of(np.arange(USERS * LENGTH).reshape(USERS, LENGTH).tolist())
    feature = Feature("name", [f"n{n}" for n in range(USERS)], Ragged.of([[n] for n in NAMES]))
    changes = {**SMALL, "user_features": ("name",), "interest_count": "fixed"}
    config = Config.of("mind", changes)
    loaded = LoadedLog(replace(log, user_features=[feature]))
    return Trainer(TrainingPlan(config, Source(IN_MEMORY), protocol), loaded)


def of_users(users):
    """Return the profile rows that these users must have; row 0 is the unknown value."""
    return NAMES[users][:, None] + 1


@pytest.mark.rules("model-R30")
@pytest.mark.parametrize("protocol", ["paper", "leave_last_out"])
def test_a_sample_carries_the_profile_of_its_own_user(protocol):
    made = town(protocol)
    assert protocol != "paper" or len(made.prepared.split.train_users) == USERS - 4
    feed = BatchLoader(made.prepared.task, made.config)
    for step in range(3):
        batch = feed.batch(step)
        users = batch.target // LENGTH
        assert (np.diff(users) < 0).any(), "samples stand in no order"
        np.testing.assert_array_equal(batch.histories.profile, of_users(users))
        np.testing.assert_array_equal(batch.histories.items[:, 0] // LENGTH, users)


@pytest.mark.rules("model-R16", "model-R30")
@pytest.mark.parametrize("protocol", ["paper", "leave_last_out"])
def test_a_case_carries_the_profile_of_its_own_user(protocol, monkeypatch):
    monkeypatch.setattr(serving, "BLOCK", 2)  # cases come in blocks, each with its own profiles
    made = town(protocol)
    for cases in (made.prepared.split.validation, made.prepared.split.test):
        profiles = made.evaluation_set(cases).profiles
        np.testing.assert_array_equal(profiles, of_users(cases.users))
        found = serving.compute_interests(made.model(), cases.histories, profiles).vectors
        for c in range(len(cases.users)):
            history = Ragged.of([cases.histories.row(c)])
            for user in cases.users[:4]:
                alone = serving.compute_interests(made.model(), history, of_users(np.array([user])))
                same = np.allclose(alone.vectors[0], found[c], rtol=1e-4, atol=1e-6)
                assert same == (user == cases.users[c]), "and of nobody else"


def cases_of(count):
    rows = Ragged.of([[c] * (c % 3) for c in range(count)])
    return EvaluationCases(
        np.arange(count) * 2, rows, Ragged.of([[c, 50 + c] for c in range(count)])
    )


@pytest.mark.rules("model-R31")
@pytest.mark.parametrize("most", [1, 6, 7, 19])
def test_validation_evaluates_as_many_cases_as_it_may(most):
    whole = cases_of(20)
    sample = sample_cases(whole, most, seed=3)
    assert len(sample.users) == len(sample.histories) == len(sample.targets) == most
    assert (np.diff(sample.users) > 0).all(), "in their order"
    for row, user in enumerate(sample.users):
        case = user // 2
        assert sample.histories.row(row).tolist() == whole.histories.row(case).tolist()
        assert sample.targets.row(row).tolist() == [case, 50 + case]


@pytest.mark.rules("model-R31")
def test_the_seed_alone_chooses_the_cases_and_few_are_all_evaluated():
    whole = cases_of(20)
    chosen = [sample_cases(whole, 6, seed).users.tolist() for seed in (3, 3, 4)]
    assert chosen[0] == chosen[1] != chosen[2]
    assert chosen[0] != list(range(0, 12, 2)), "not the first ones"
    assert all(sample_cases(whole, most, seed=3) is whole for most in (0, 20, 21))
