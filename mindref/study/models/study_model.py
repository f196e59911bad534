"""The model of the study with its users, and one training pair of a user, all in float64.

Spec: specs/model.md (serving, the loss), specs/data.md (negatives). The built-in model was trained
on a synthetic film club; a run directory of `mindref train` opens the same way.

    python -m mindref.study.models.study_model --write    trains the built-in models again
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.batches import pad_histories
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.negatives import make_sampler
from mindref.data.rng import make_rng
from mindref.errors import DataError, say
from mindref.models import features
from mindref.models.family import require_contract_family
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, flatten, unflatten
from mindref.models.serving import Model, serving_logits
from mindref.recommender.serving.served_model import ServedModel
from mindref.run import array_files
from mindref.run.files import real_path
from mindref.run.source import translate_items
from mindref.shapes import Array
from mindref.study.models.user_rules import (
    MIN_BEHAVIOURS,
    RULES,
    ChosenUser,
    history_text,
    split_last,
)
from mindref.study.suggest import nearest_names

BUILT_IN: Path = Path(__file__).parent / "built_in"
LOG = "log.safetensors"  # log of the built-in model, in the folder of its models
SEVERAL_INTERESTS = "several"
SINGLE_INTEREST = "single"  # a model with the same settings and one interest
BUILT_IN_NEGATIVES, RUN_NEGATIVES = 8, 16  # largest number of negatives: built-in model, run


class ItemGroups(NamedTuple):
    """Groups of items; each item has exactly one group."""

    names: Sequence[str]
    of_item: Ints  # (N,)


class StudyModel(NamedTuple):
    """A model with the users and items of its log; indices are dense ids."""

    name: str
    model: Model  # float64, initial logits keyed
    histories: Ragged  # U rows: all behaviours of each user, oldest first
    profiles: Ints  # (U, G) rows of the profile table
    user_ids: Sequence[str]  # (U,)
    item_ids: Sequence[str]  # (N,)
    titles: Sequence[str]  # (N,) the id for an item without title
    counts: Ints  # (N,) frequency in the training sequences, for the sampler
    groups: ItemGroups | None
    negatives: int  # largest number for a training pair


class SampledPair(NamedTuple):
    """A training pair of a user: the last behaviour is the target."""

    user: int
    batch: Batch  # one example, float64
    negatives: str  # how they were drawn, as text


def open_study_model(run: Path | None = None, data: Path | None = None) -> StudyModel:
    """Return the model of a run directory; None: the built-in model.

    data: path of the log, if it has moved. If the model draws new logits in each call, the study
    uses keyed logits, so that a trace is reproducible.
    Raises RunError for a damaged run, DataError for a log that cannot be read.
    """
    if run is None:
        return open_built_in_model(SEVERAL_INTERESTS)
    served = ServedModel.load(run)
    require_contract_family(served.model.config, f"study {run}")
    if data is not None:
        served.source = served.source.moved(data)
    return make_study_model(run_name(run, served), served, served.log, RUN_NEGATIVES)


def run_name(run: Path, served: ServedModel) -> str:
    """Return the family, the run and its folder: "mind, run 001 of shop"."""
    path = real_path(run)
    return f"{served.model.config.model}, run {path.name} of {path.parent.name}"


def open_built_in_model(which: str = SEVERAL_INTERESTS, folder: Path = BUILT_IN) -> StudyModel:
    """Return the built-in model with "several" interests or a "single" interest."""
    from mindref.study.models.film_club import make_film_log

    served = ServedModel.load(folder / which)
    arrays, words = array_files.load_arrays(folder / LOG)
    offsets, values, ages = (arrays[n].astype(np.int64) for n in ("offsets", "events", "ages"))
    log = make_film_log(Ragged(offsets, values), ages)
    return make_study_model(words["name"], served, log, BUILT_IN_NEGATIVES)


def make_study_model(
    name: str, served: ServedModel, log: InteractionLog, negatives: int
) -> StudyModel:
    """Return the study model of a served model and a log, with the dense ids of the model."""
    behaviours, _ = translate_items(log.interactions, log, served.items.ids)
    histories = served.servable.select(behaviours)
    users = np.arange(len(log.user_ids))
    ids, counts, _ = served.items
    return StudyModel(
        name,
        model_to_float64(served.model),
        histories,
        features.user_profiles(log, served.vocabulary, users),
        log.user_ids,
        ids,
        [served.items.label(item) for item in range(len(ids))],
        np.array(counts, np.int64),
        find_item_groups(log) if list(log.item_ids) == ids else None,
        negatives,
    )


def model_to_float64(model: Model) -> Model:
    """Return the model in float64, with keyed logits instead of logits drawn per call.

    The weights of the rows of an item are normalised again, because 1/3 in float32 is not 1/3 in
    float64.
    """
    params, (rows, weights), config = model.params, model.catalogue, model.config
    arrays: dict[str, Array] = {name: x.astype(np.float64) for name, x in flatten(params).items()}
    keyed = "keyed" if config.logits == "per_call" else config.logits
    as_float64 = replace(config, dtype="float64", logits=keyed)
    shares = weights.astype(np.float64)
    totals = shares.sum(axis=1, keepdims=True)
    shares /= np.where(totals > 0, totals, 1)  # model-R42: an item without a vector
    return Model(unflatten(arrays), Catalogue(rows, shares), as_float64)


def find_item_groups(log: InteractionLog) -> ItemGroups | None:
    """Return the first item feature with exactly one value for every item."""
    for feature in log.item_features:
        if (feature.codes.lengths == 1).all():
            return ItemGroups(feature.values, feature.codes.values)
    return None


def choose_user(study_model: StudyModel, rule: str = "median") -> ChosenUser:
    """Return the user of a rule of `RULES` or of a user id; `user:ID` is always an id.

    Raises DataError for an unknown id, with the three closest ids, and if no user fits the rule.
    """
    if rule in RULES:
        users = np.flatnonzero(study_model.histories.lengths >= MIN_BEHAVIOURS)
        if not len(users):
            raise DataError(say("user", f"one with {MIN_BEHAVIOURS} behaviours", "none in the log"))
        return RULES[rule](study_model, users)
    name, user_names = rule.removeprefix("user:"), list(study_model.user_ids)
    if name not in user_names:
        near = ", ".join(nearest_names(name, user_names))
        todo = f"the closest are {near}; or use a rule: {', '.join(RULES)}"
        raise DataError(say("user", f"one of the {len(user_names)} users", repr(name), todo))
    user = user_names.index(name)
    length = int(study_model.histories.lengths[user])
    if length < 2:
        got = f"{length} in the catalogue of the model"
        raise DataError(say(f"user {name}", "at least two behaviours", got, "choose another"))
    return ChosenUser(user, f"chosen by id: {history_text(study_model, length)}")


def sample_pair(study_model: StudyModel, user: int) -> SampledPair:
    """Return the training pair of a user who has at least two behaviours; see `choose_user`.

    Initial logits are those of serving (routing-R15). Negatives come from the stream of (seed,
    "study", user).
    """
    config, items = study_model.model.config, len(study_model.item_ids)
    user_names, target = split_last(study_model, np.array([user]))
    history, mask = pad_histories(user_names, config.window)
    logits = serving_logits(config, items, history)
    histories = Histories(history, mask, logits, study_model.profiles[[user]])
    size = min(config.negatives, study_model.negatives)
    kind = "unigram" if config.sampler == "in_batch" else config.sampler
    sampler = make_sampler(kind, study_model.counts, size=size, alpha=config.alpha)
    drawn = sampler.draw(make_rng(config.seed, "study", user), target)
    batch = Batch(histories, target, drawn.ids, drawn.target_log_expected, drawn.log_expected)
    by = f"{kind}, counts to the power {config.alpha:g}" if kind == "unigram" else kind
    words = (
        f"{size} draws with replacement ({by}) from the stream (seed {config.seed}, study, {user});"
        f" in training {training_sampler_text(config)}"
    )
    return SampledPair(user, batch, words)


def training_sampler_text(config: Config) -> str:
    """Return a text about the negatives in training."""
    if config.loss == "full":
        return "the whole catalogue"
    if config.sampler == "in_batch":
        return f"the targets of its batch of {config.batch}"
    return f"{config.negatives}, shared by a batch of {config.batch}"


if __name__ == "__main__":
    from mindref.study.models.built_in_training import main

    main()
