"""All of it in a few lines: fit a log, ask for interests and recommendations.

source     where a log comes from
features   side features and profiles as rows of tables
prepared   a log made ready: split and laid out
judging    the validation metric, the final report
run        training into a run directory, and resuming it
items      the catalogue of a run as a file
served     a trained model that answers
MIND       the estimator: fit, save, load, interests, recommend, similar_items
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mindref.config import Config
from mindref.data.log import InteractionLog
from mindref.errors import ConfigError, MindrefError, say
from mindref.models.serving import Interests
from mindref.recommender.run import Hooks, Trainer
from mindref.recommender.served import Recommendation, Served
from mindref.recommender.source import IN_MEMORY, Loaded, Source

__all__ = ["MIND", "Recommendation", "load"]


class MIND:
    """The multi-interest network with dynamic routing, from a log to recommendations.

    Spec: specs/model.md. Source: Li et al., CIKM 2019. Settings by name as in `mindref train`, for
    example `MIND(interests=4, window=20, steps=2000)`; `preset="paper"` follows the paper.

        model = MIND(steps=300).fit("ratings.dat")
        model.recommend(["2571", "589"], n=5)   # a history of item ids, oldest first
    """

    def __init__(self, preset: str = "default", **settings: Any) -> None:
        self.config = Config.of(preset, settings)
        self.report: dict[str, Any] = {}
        self._served: Served | None = None

    def fit(
        self,
        data: Any = None,
        items: Sequence[Any] | None = None,
        times: Sequence[Any] | None = None,
        *,
        protocol: str = "leave_last_out",
        run: str | Path | None = None,
        exclude_seen: bool = True,
        hooks: Hooks | None = None,
        **reading: Any,
    ) -> MIND:
        """Train, judge on the test cases (`self.report`), and return self.

        data is a path (`reading` goes to the reader), a DataFrame of any library or a mapping of
        columns (`reading` names them: user, item, time), an InteractionLog, an array of user ids
        with `items` and `times` beside it, or None for the built-in catalogue. `run` keeps all in a
        directory.
        Raises DataError, ConfigError or RunError before the training starts.
        """
        source, loaded = open_data(data, items, times, reading)
        trainer = Trainer(
            source, loaded, protocol, self.config, Path(run) if run else None, exclude_seen
        )
        trainer.create()
        trainer.go(hooks)
        self.report = trainer.judge()
        self._served = Served.of(trainer)
        return self

    @property
    def served(self) -> Served:
        """The trained model that answers. Raises MindrefError before `fit` or `load`."""
        if self._served is None:
            raise MindrefError(say("MIND", "a trained model", "none", "call fit or mindref.load"))
        return self._served

    def interests(self, histories: Iterable[Sequence[str]]) -> Interests:
        """Return the interests of histories of item ids: vectors (C, K, D), active (C, K), more.

        Items that the catalogue does not know are left out.
        """
        return self.served.interests(histories)

    def recommend(
        self,
        history: Sequence[str] | None = None,
        n: int = 10,
        *,
        user: str | None = None,
        exclude_seen: bool = True,
    ) -> list[Recommendation]:
        """Return the n best items for a history of item ids, or for a user of the log."""
        return self.served.recommend(history, n, user=user, exclude_seen=exclude_seen)

    def similar_items(self, item: str, n: int = 10) -> list[Recommendation]:
        """Return the n items nearest to an item by the cosine of their vectors, without itself."""
        return self.served.similar_items(item, n)

    @classmethod
    def load(cls, run: str | Path) -> MIND:
        """Return the model of a run directory. Raises RunError for a damaged or foreign one."""
        model = cls()
        model._served = Served.load(Path(run))
        model.config = model._served.model.config
        return model


def load(run: str | Path) -> MIND:
    """Return the model of a run directory."""
    return MIND.load(run)


def open_data(data: Any, items: Any, times: Any, reading: dict[str, Any]) -> tuple[Source, Loaded]:
    """Return the source and the log of whatever `fit` was given."""
    if data is None and items is not None:
        raise ConfigError(say("fit: data", "users beside the items", "none"))
    if data is None or isinstance(data, str | Path):
        source = Source.of(data, reading)
        return source, source.read()
    if isinstance(data, InteractionLog):
        return Source(IN_MEMORY), Loaded(data)
    from mindref.data.frames import from_arrays, from_dataframe

    if items is not None:
        return Source(IN_MEMORY), Loaded(from_arrays(data, items, times))
    if isinstance(data, Mapping) or hasattr(data, "columns") or hasattr(data, "column_names"):
        return Source(IN_MEMORY), Loaded(from_dataframe(data, **reading))
    expected = "a path, a DataFrame, an InteractionLog, or users with items beside them"
    raise ConfigError(say("fit: data", expected, type(data).__name__))
