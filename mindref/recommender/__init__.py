"""The Python interface: fit a model to a log, then compute interests and recommendations.

Recommender        the estimator: fit, save, load, interests, recommend, similar_items
                   with_log, evaluate
MIND               the same estimator, whose model is MIND by default
callbacks          objects that receive the events of a training, and may end it; log messages
trackers           TensorBoard and other experiment trackers
training           from a log to a run directory: plan, start, steps, report
evaluate_run       validation metric, report of a model, evaluation of a run on any log
baselines          item_knn, own_counts and popularity beside a model
held_out           whether the evaluation cases of a run are held out
serving            from a trained model to lists: of histories, of users, of similar items
export             a trained model as files for serving without mindref
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np

from mindref.arguments import Count, Natural, check_arguments, check_path_argument
from mindref.config import Config
from mindref.data.frames import id_as_text
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, MindrefError, RunError, say, value_text
from mindref.evaluation import LIST_LENGTHS
from mindref.models.family import family_of
from mindref.models.serving import Interests
from mindref.presets import PRESETS, default_protocol, preset_or_default
from mindref.process.threads import limit_blas_threads
from mindref.recall import Index
from mindref.recall.lists import Recommendation
from mindref.recommender.callbacks import (
    ProgressLog,
    TrainingEvents,
    log_reading,
    send_warnings,
    training_events,
)
from mindref.recommender.evaluate_run import EvaluationRequest, evaluate_served
from mindref.recommender.export.saving import new_run_lock, save_run
from mindref.recommender.held_out import check_has_cases
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import Recommendations, recommend_columns, recommend_one
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.similar import find_similar_items
from mindref.recommender.training.plan import TrainingPlan, plan_fit
from mindref.recommender.training.trainer import Trainer
from mindref.recommender.training.warm_start import WarmStart
from mindref.run import checkpoint, report
from mindref.run.source import IN_MEMORY, open_fit_data, stored_reading
from mindref.settings import COMPUTED

__all__ = ["MIND", "Recommendation", "Recommendations", "Recommender", "load"]


class Recommender:
    """A recommender of any model and preset, from a log to recommendations.

    Spec: specs/model.md. Settings by name as in `mindref train`, for example
    `Recommender("mind", steps=2000)` or `Recommender(model="item_knn")`. The settings that are
    not named are those of the preset; without a preset, of DEFAULT_PRESET of `mindref.presets`. If
    `model` is named without a preset, they are those of the preset "mind".

        model = Recommender(steps=300).fit("ratings.dat")
        model.recommend(["2571", "589"], n=5)   # a history of item ids, oldest first

    `config` has the value of every setting. `get_params`, `set_params` and scikit-learn's `clone`
    work as for its estimators; scikit-learn is not required.
    """

    config: Config  # every setting: of the parameters, or of the last training
    split: str  # splits the log, unless `fit` names another
    _params: dict[str, Any]  # the arguments as passed

    _default_preset: ClassVar[str | None] = None  # of the class

    @check_arguments
    def __init__(self, preset: str | None = None, **settings: object) -> None:
        self._start_untrained({"preset": preset, **settings})

    def _start_untrained(self, params: dict[str, Any]) -> None:
        """Set all parameters of a new estimator, which has no model."""
        self._apply(params)
        self.report: dict[str, Any] = {}
        self._served: ServedModel | None = None
        self._rng: np.random.Generator | None = None  # of logits that are drawn per call
        self._run_settings = frozenset[str]()  # names of parameters that `load` has set
        self._run: Path | None = None  # keeps the indexes of `recommend_many`

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return `preset` and the settings that were passed, with the passed values.

        After `load`, the settings of the run are parameters too. `fit` changes no parameter.
        deep: accepted for scikit-learn, without effect.
        """
        return dict(self._params)

    def set_params(self, **params: object) -> Self:
        """Change `preset` or settings for the next `fit`, and return self.

        Settings that were passed before stay and are applied to the new preset. After `load`, a
        new preset replaces the settings of the run; `epochs` and `dropout_by_density` replace its
        number of steps and its dropout. A trained model is not changed. Raises ConfigError, which
        is a ValueError, for an unknown name or a bad value; then nothing is changed.
        """
        replaced = {number for computed, number in COMPUTED.items() if params.get(computed)}
        of_run = self._run_settings if "preset" in params else self._run_settings & replaced
        old_params = {k: x for k, x in self._params.items() if k not in of_run}  # model-R69
        self._apply({**old_params, **params})
        self._run_settings -= {*of_run, *params}
        return self

    def _apply(self, params: dict[str, Any]) -> None:
        """Set all parameters, unless one is invalid."""
        settings = {name: value for name, value in params.items() if name != "preset"}
        preset = preset_or_default(params["preset"], settings)
        config = Config.of(preset, settings)
        if expected := self._model_instead_of(config.model):
            location, todo = type(self).__name__, "use mindref.Recommender with these arguments"
            raise ConfigError(say(f"{location}: model", expected, config.model, todo))
        self.config, self.split, self._params = config, default_protocol(preset), params

    @classmethod
    def _model_instead_of(cls, model: str) -> str | None:
        """Return the model of the class if the named model is another one, else None."""
        if cls._default_preset is None:
            return None
        expected = Config.of(cls._default_preset).model
        return None if family_of(model) is family_of(expected) else expected  # model-R67

    def __repr__(self) -> str:
        """Return the call that makes this estimator: what differs from the preset.

        After a `fit` with a start, `config` has the settings of the training, not this call.
        """
        preset = self._params["preset"]
        changed = self.config.changes_from(preset_or_default(preset, self._params))
        words = [f"{name}={changed[name]!r}" for name in self._params if name in changed]
        words = [f"preset={preset!r}"] * (preset != self._default_preset) + words
        return f"{type(self).__name__}({', '.join(words)})"

    @check_arguments
    def fit(
        self,
        data: object = None,
        items: Sequence[object] | None = None,
        times: Sequence[object] | None = None,
        *,
        split: str | None = None,
        run: str | Path | None = None,
        exclude_seen: bool | None = None,
        device: str = "cpu",
        start_from: str | Path | Recommender | None = None,
        callbacks: Sequence[object] = (),
        **reading: object,
    ) -> Self:
        """Train, evaluate on the test cases (`self.report`), and return self.

        data: a path, a DataFrame of any library, a mapping of columns, or an InteractionLog. Also
        an array of user ids, together with `items` and `times`. None: the built-in catalogue.
        split: by default that of `start_from`; else paper with the preset "paper", or
        leave_last_out. "none": all interactions train, nothing is evaluated; `steps` is required.
        start_from: a run or a trained model whose parameters are the start. Its settings are used
        unless the constructor named others; `config` has them after the training, `get_params` not.
        reading: names of the columns user, item, time and title if they are not usual names. For a
        path: all options of `read_log` and `Columns`. For arrays: `titles`, `item_features`,
        `user_features`, `keep_duplicates`, `keep_unused_items`, `min_user_interactions`,
        `min_item_interactions` and `min_item_users`.
        exclude_seen: whether lists exclude the items of the history; None: as in `start_from`, or
        unless half of the interactions repeat an item of the user.
        run: a new run directory. device: cpu, cuda or auto. BLAS has one thread during the call;
        with other backends than numba, OPENBLAS_NUM_THREADS threads.
        callbacks: objects with methods of `mindref.recommender.callbacks.Callback`.
        Raises DataError, ConfigError or RunError before the training starts. An error of a callback
        is raised after the state of the training is saved in `run`.
        """
        events = TrainingEvents(callbacks, [ProgressLog()])
        start = None if start_from is None else open_start(start_from)
        settings = self.get_params()
        preset = settings.pop("preset")
        name = type(self).__name__
        config, split = plan_fit(preset, settings, split, start, estimator=name)
        if start is not None and exclude_seen is None:
            exclude_seen = bool(start.served.facts["exclude_seen"])
        source, loaded = open_fit_data(data, items, times, reading, config)
        log_reading(loaded.log, exclude_seen=exclude_seen, protocol=split)
        plan = TrainingPlan(
            config,
            source,
            split,
            exclude_seen=exclude_seen,
            start=start,
            run=None if run is None else Path(run),
            device=device,
        )
        trainer = Trainer(plan, loaded)
        send_warnings(trainer.warnings)
        with new_run_lock(trainer.run), limit_blas_threads(config.backend):
            trainer.create()
            with training_events(trainer, events):
                events.train(trainer)
                self.report = trainer.evaluate()
        self._serve(trainer.served_model(), plan.run)
        self.config = trainer.config  # with a start, also the settings of its run: model-R81
        events.end(self.report)
        return self

    @check_arguments
    def save(self, run: str | Path, *, overwrite: bool = False) -> None:
        """Write a run directory that `load`, `mindref recall` and `mindref evaluate` read.

        If the log was data in memory, the run has it too (`log.safetensors`), for requests for
        users by id. Delete this file to share a run without its users. The optimiser state is not
        saved.
        overwrite: replace a run in this folder, also its index and its state; a folder with other
        files is an error. Raises RunError for a folder in use, MindrefError before `fit` or `load`.
        """
        save_run(self.served, self.report, Path(run), overwrite=overwrite)

    @check_arguments
    def with_log(
        self,
        data: object = None,
        items: Sequence[object] | None = None,
        times: Sequence[object] | None = None,
        **reading: object,
    ) -> Self:
        """Return this model with the users and histories of another log, such as a newer one.

        The parameters are the same, and items that are unknown to the model are left out. `save`
        writes a run with this log. data, items, times, reading: as `fit`. Names of columns and
        minimum counts are those of `fit` unless a reading option is given. Raises DataError or
        ConfigError.
        """
        served, model = self.served, copy.copy(self)
        options = reading or stored_reading(served.source, data, items)
        source, loaded = open_fit_data(data, items, times, options)
        model._served = served.with_log(source, loaded.log)  # recall-R57
        return model

    def _serve(self, served: ServedModel, run: Path | None) -> None:
        """Use a trained model. run: its directory, if any."""
        self._served, self._run = served, run
        self._rng = make_rng(served.model.config.seed, "serving")

    @property
    def served(self) -> ServedModel:
        """The trained model. Raises MindrefError before `fit` or `load`."""
        if self._served is None:
            name, todo = type(self).__name__, "call fit or mindref.load"
            raise MindrefError(say(name, "a trained model", "none", todo))
        return self._served

    @check_arguments
    def interests(self, histories: Iterable[Sequence[str]]) -> Interests:
        """Return the interests of histories of item ids: vectors (C, K, D), active (C, K), ...

        Items that are not in the catalogue or untrained are ignored. Titles are not accepted.
        """
        return self.served.interests(histories, self._rng)

    @check_arguments
    def recommend(
        self,
        history: Sequence[object] | None = None,
        n: Count = 10,
        *,
        user: object = None,
        only: object = None,
        exclude: object = None,
        per_interest: Count | None = None,
        exclude_seen: bool | None = None,
    ) -> list[Recommendation]:
        """Return the top-n items for a history of item ids or titles, or for a user of the log.

        An id has priority over a title. Other arguments: as `recommend_many`. Unknown items of the
        history are ignored, with a warning. Raises DataError if all are unknown, for a title of
        several items, and for an unknown user.
        """
        request = ListRequest(
            users=None if user is None else [user],
            histories=None if history is None else [history],
            n=n,
            only=only,
            exclude=exclude,
            per_interest=per_interest,
            exclude_seen=exclude_seen,
        )
        items, messages = recommend_one(self.served, request, self._rng)
        warn_caller(messages)
        return items

    @check_arguments
    def recommend_many(
        self,
        users_or_histories: Iterable[object],
        n: Count = 10,
        *,
        only: object = None,
        exclude: object = None,
        per_interest: Count | None = None,
        exclude_seen: bool | None = None,
        index: str | Index = "exact",
    ) -> Recommendations:
        """Return the top-n lists of user ids of the log, or of histories, as NumPy columns.

        Spec: recall-R42 to R54. The columns are user, rank, item, title, score and interest, R rows
        each. A history is a list of item ids, not titles, and its user is its number from 0.
        only: item ids that may appear, exclude: item ids that must not. Each is one list for all
        users, a mapping of users to lists, or one list or None for each request. A user without a
        list is not restricted; an empty list of `only` gives an empty list. Unknown ids are
        ignored, with a warning.
        per_interest: at most this many items of a list have the same best interest, from 1. Lists
        may then be shorter than n.
        exclude_seen: leave out the items of the history; None: as in training.
        index: exact, auto or another kind of index; a kind needs a run directory. An Index of
        the vectors of the servable items is also accepted.
        Raises DataError for an unknown user, and if `only` has ids and none is known. Raises
        ConfigError for other types, and RunError for a kind without a run directory.
        """
        request = ListRequest(
            n=n,
            only=only,
            exclude=exclude,
            per_interest=per_interest,
            exclude_seen=exclude_seen,
        )
        columns, messages = recommend_columns(
            self.served, users_or_histories, request, index, self._run
        )
        warn_caller(messages)
        return columns

    @check_arguments
    def similar_items(
        self, item: object, n: Count = 10, *, only: object = None, exclude: object = None
    ) -> list[Recommendation]:
        """Return the n items with the largest cosine to an item, without the item.

        item: an id, or a title. only, exclude: item ids that may or must not appear.
        Raises DataError for an unknown item, with the closest titles.
        """
        request = ListRequest(n=n, only=only, exclude=exclude)
        name = id_as_text(item, "item")
        similar, messages = find_similar_items(self.served, name, request)
        warn_caller(messages)
        return similar.items

    @staticmethod
    def _shortest_params(config: Config) -> dict[str, Any]:
        """Return the preset and the settings that give `config`, with the fewest settings."""
        candidates = [{"preset": name, **config.changes_from(name)} for name in PRESETS]
        return min(candidates, key=len)

    @check_arguments
    def evaluate(
        self,
        data: object = None,
        items: Sequence[object] | None = None,
        times: Sequence[object] | None = None,
        *,
        split: str | None = None,
        which: str = "test",
        exclude_seen: bool | None = None,
        list_lengths: Sequence[int] = LIST_LENGTHS,
        max_cases: Natural | None = None,
        **reading: object,
    ) -> dict[str, Any]:
        """Return the report of `mindref evaluate`: metrics of the model and of baselines.

        data, items, times, reading: a log as in `with_log`; without one, the log of the model.
        split: as in `fit`, None: that of the training. which: "test" or "validation".
        list_lengths: N of the metrics. max_cases: at most this number of cases, drawn with the
        seed; 0: all; None: as in training. Items that the model does not know are removed and
        counted. Raises DataError or ConfigError.
        """
        run = IN_MEMORY if self._run is None else str(self._run)
        protocol = split or self.served.facts["protocol"]
        request = EvaluationRequest(protocol, which, exclude_seen, list_lengths, max_cases)
        check_has_cases(run, protocol, is_command=False)
        model = self
        if reading or any(x is not None for x in (data, items, times)):
            model = self.with_log(data, items, times, **reading)
        served = model.served.load_backend()
        with limit_blas_threads(served.backend_name):  # as `fit`: the number changes rounding
            return evaluate_served(served, served.loaded, request, run)  # recall-R58

    @classmethod
    @check_arguments
    def load(cls, run: str | Path, *, device: str = "cpu", backend: str | None = None) -> Self:
        """Return the model of a run directory, with its `report` if it has one.

        backend: computes on `device`, by default the backend of the run. Raises RunError for a
        damaged run, and for `MIND.load` of a run of another model.
        """
        model, folder = cls(), Path(run)
        model._serve(ServedModel.load(folder, backend, device), folder)
        run_config = model.served.model.config
        if expected := cls._model_instead_of(run_config.model):
            location, todo = f"{cls.__name__}.load: {run}", "use mindref.Recommender.load"
            raise RunError(say(location, f"a run of {expected}", run_config.model, todo))
        model._apply(cls._shortest_params(run_config))
        model._run_settings = frozenset(model._params) - {"preset"}
        identity = checkpoint.run_identity(run_config, model.served.facts)
        with suppress(FileNotFoundError):  # a run may have no report
            model.report = report.load_report(folder, identity, "remove it")
        return model


class MIND(Recommender):
    """MIND, the multi-interest network with dynamic routing: a Recommender with the preset "mind".

    Source: Li et al., CIKM 2019. `MIND(interests=4, window=20)` changes settings;
    `MIND("paper")` follows the paper. Raises ConfigError for the preset or the name of another
    model, which Recommender accepts.
    """

    _default_preset = "mind"

    @check_arguments
    def __init__(self, preset: str = "mind", **settings: object) -> None:
        self._start_untrained({"preset": preset, **settings})


def warn_caller(messages: Iterable[str]) -> None:
    """Issue warnings with the line that calls the method of the estimator."""
    for message in messages:
        warnings.warn(message, UserWarning, stacklevel=4)  # the method is wrapped by its check


def open_start(start: object) -> WarmStart:
    """Return the start of a training from a run or from a trained model. Raises MindrefError."""
    if isinstance(start, str | Path):
        check_path_argument("fit: start_from", start)
        return WarmStart.open(Path(start))
    if not isinstance(start, Recommender):
        expected = "the path of a run, or a trained model"
        raise ConfigError(say("start_from", expected, value_text(start, quoted=True)))
    return WarmStart(start.served)


@check_arguments
def load(run: str | Path, *, device: str = "cpu", backend: str | None = None) -> Recommender:
    """Return the model of a run directory. Raises as `Recommender.load`."""
    return Recommender.load(run, device=device, backend=backend)
