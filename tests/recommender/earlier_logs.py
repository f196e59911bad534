"""Logs of the first interactions of the small log, as an earlier day would have them."""

from functools import cache

import numpy as np

from mindref.data.frames import from_arrays
from mindref.data.log import InteractionLog
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.recommender.training.warm_start import WarmStart
from mindref.run.source import LoadedLog, Source
from tests.runs import SMALL, loaded

MEMORY = Source("memory")


@cache
def log_until(share: float, begin: float = 0.0) -> InteractionLog:
    """Return the log between two shares of the interactions by time, with all features."""
    log = loaded().log
    assert log.times is not None
    users = np.repeat(np.arange(len(log.user_ids)), log.interactions.lengths)
    order = np.argsort(log.times, kind="stable")
    order = order[int(begin * len(users)) : int(share * len(users))]

    def values(features, ids):
        return {
            feature.name: {
                name: [feature.values[code] for code in feature.codes.row(i)]
                for i, name in enumerate(ids)
            }
            for feature in features
        }

    return from_arrays(
        [log.user_ids[u] for u in users[order]],
        [log.item_ids[i] for i in log.interactions.values[order]],
        log.times[order],
        item_features=values(log.item_features, log.item_ids),
        user_features=values(log.user_features, log.user_ids),
    )


def trainer_of(
    log: InteractionLog, start: WarmStart | None = None, run=None, protocol="none", **changes
) -> Trainer:
    """Return a trainer of a log, with the settings of the start if there is one."""
    from mindref.config import Config

    settings = SMALL if start is None else start.config.family_settings()
    config = Config.of("mind", {**settings, "backend": "numpy", **changes})
    plan = TrainingPlan(config, MEMORY, protocol, start=start, run=run)
    made = Trainer(plan, LoadedLog(log))
    made.create()
    return made
