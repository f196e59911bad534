"""What is studied: a model, its users, and one training pair of one of them, all in float64.

Spec: specs/model.md (serving, the loss), specs/data.md (negatives). The small model that ships with
the package is trained on an invented film club and opens in a moment; any run directory of
`mindref train` opens the same way. Users are chosen by stated rules, never by hand.

    python -m mindref.study.worlds.world --write    trains the small models again, in seconds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.config import Config
from mindref.data.batches import lay_out_histories
from mindref.data.log import InteractionLog, Ints, Ragged
from mindref.data.negatives import make_sampler
from mindref.data.streams import stream
from mindref.errors import DataError, say
from mindref.models.families import only_mind
from mindref.models.mind import Batch, Histories
from mindref.models.parameters import Catalogue, flatten, unflatten
from mindref.models.serving import Model, serving_logits
from mindref.recommender import features
from mindref.recommender.served import Served
from mindref.run import checkpoint
from mindref.run.source import translate
from mindref.shapes import Array
from mindref.study.close import nearest
from mindref.study.worlds.rules import LEAST, RULES, Chosen, before_last

__all__ = ["Chosen", "Groups", "Pair", "World", "choose", "open_built_in", "open_world", "pair"]

BUILT_IN: Path = Path(__file__).parent / "built_in"
LOG = "log.safetensors"  # of the built-in world; its models lie in folders beside it
SEVERAL, SINGLE = "several", "single"  # the model, and the same settings with one interest
FEW, MANY = 8, 16  # negatives of a pair at the most: of the built-in world, of a run


class Groups(NamedTuple):
    """What the items belong to, where each belongs to exactly one."""

    names: Sequence[str]
    of_item: Ints  # (N,)


class World(NamedTuple):
    """A model and those it was trained on; users and items have dense ids, the index."""

    name: str
    model: Model  # float64, initial logits always keyed
    histories: Ragged  # U rows: all behaviours of each user, oldest first
    profiles: Ints  # (U, G) rows of the profile table
    user_ids: Sequence[str]  # (U,)
    item_ids: Sequence[str]  # (N,)
    titles: Sequence[str]  # (N,) the id where there is no title
    counts: Ints  # (N,) in the training sequences: what the sampler draws by
    groups: Groups | None
    negatives: int  # of a training pair, at the most


class Pair(NamedTuple):
    """A training pair: the behaviours before the user's last one, and that one as the target."""

    user: int
    batch: Batch  # of one sample, float64
    negatives: str  # how they were drawn, in words


def open_world(run: Path | None = None, data: Path | None = None) -> World:
    """Return the world of a run directory, or the built-in one for None.

    data: where the log of the run lies now, if it has moved. A model that draws its logits at each
    call gets keyed ones here: what is studied must be the same tomorrow.
    Raises RunError for a damaged run, DataError for a log that cannot be read.
    """
    if run is None:
        return open_built_in(SEVERAL)
    served = Served.load(run)
    only_mind(served.model.config, f"study {run}")
    if data is not None:
        served.source = served.source.moved(data)
    return world_of(run.resolve().name, served, served.log, MANY)


def open_built_in(which: str = SEVERAL, folder: Path = BUILT_IN) -> World:
    """Return the world that ships with the package: `several` interests, or a `single` one."""
    from mindref.study.worlds.film_club import with_features

    served = Served.load(folder / which)
    arrays, words = checkpoint.load_arrays(folder / LOG)
    offsets, values, ages = (arrays[n].astype(np.int64) for n in ("offsets", "events", "ages"))
    log = with_features(Ragged(offsets, values), ages)
    return world_of(words["name"], served, log, FEW)


def world_of(name: str, served: Served, log: InteractionLog, negatives: int) -> World:
    """Return the world of a model and a log, in the ids of the model's catalogue."""
    histories, _ = translate(log.events, log, served.items.ids)
    users = np.arange(len(log.user_ids))
    ids, counts, _ = served.items
    return World(
        name,
        exact(served.model),
        histories,
        features.profiles(log, served.vocabulary, users),
        log.user_ids,
        ids,
        [served.items.label(item) for item in range(len(ids))],
        np.array(counts, np.int64),
        groups_of(log) if list(log.item_ids) == ids else None,
        negatives,
    )


def exact(model: Model) -> Model:
    """Return the model in float64, with keyed logits in the place of those drawn at each call.

    A third in float32 is none in float64: the shares of an item are made to add up to one again.
    """
    params, (rows, weights), config = model
    named: dict[str, Array] = {name: x.astype(np.float64) for name, x in flatten(params).items()}
    keyed = "keyed" if config.logits == "per_call" else config.logits
    as_float64 = replace(config, dtype="float64", logits=keyed)
    shares = weights.astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    return Model(unflatten(named), Catalogue(rows, shares), as_float64)


def groups_of(log: InteractionLog) -> Groups | None:
    """Return the first item feature of which every item has exactly one value."""
    for feature in log.item_features:
        if (feature.codes.lengths == 1).all():
            return Groups(feature.values, feature.codes.values)
    return None


def choose(world: World, rule: str = "median") -> Chosen:
    """Return the user that a rule of `RULES` or a user id names; `user:ID` is always an id.

    Raises DataError for an id that the log does not have, naming the three closest, and where no
    user fits the rule.
    """
    if rule in RULES:
        users = np.flatnonzero(world.histories.lengths >= LEAST)
        if not len(users):
            raise DataError(say("user", f"one with {LEAST} behaviours", "none in the log"))
        return RULES[rule](world, users)
    name, known = rule.removeprefix("user:"), list(world.user_ids)
    if name not in known:
        near = ", ".join(nearest(name, known))
        todo = f"the closest are {near}; or use a rule: {', '.join(RULES)}"
        raise DataError(say("user", f"one of the {len(known)} users", repr(name), todo))
    user = known.index(name)
    length = int(world.histories.lengths[user])
    if length < 2:
        got = f"{length} that the model knows"
        raise DataError(say(f"user {name}", "at least two behaviours", got, "choose another"))
    return Chosen(user, f"asked for by id, {length} behaviours")


def pair(world: World, user: int) -> Pair:
    """Return the training pair of a user who has at least two behaviours; see `choose`.

    Initial logits are those of serving (routing-R15). Negatives come from the stream of (seed,
    "study", user) alone.
    """
    config, items = world.model.config, len(world.item_ids)
    known, target = before_last(world, np.array([user]))
    history, mask = lay_out_histories(known, config.window)
    logits = serving_logits(config, items, history)
    histories = Histories(history, mask, logits, world.profiles[[user]])
    size = min(config.negatives, world.negatives)
    kind = "unigram" if config.sampler == "in_batch" else config.sampler
    sampler = make_sampler(kind, world.counts, size=size, alpha=config.alpha)
    drawn = sampler.draw(stream(config.seed, "study", user), target)
    batch = Batch(histories, target, drawn.ids, drawn.target_log_expected, drawn.log_expected)
    by = f"{kind}, counts to the power {config.alpha:g}" if kind == "unigram" else kind
    words = (
        f"{size} draws with replacement ({by}) from the stream (seed {config.seed}, study, {user});"
        f" in training {in_training(config)}"
    )
    return Pair(user, batch, words)


def in_training(config: Config) -> str:
    """Return what a sample is compared with in training, in words."""
    if config.loss == "full":
        return "the whole catalogue"
    if config.sampler == "in_batch":
        return f"the targets of its batch of {config.batch}"
    return f"{config.negatives}, shared by a batch of {config.batch}"


if __name__ == "__main__":
    from mindref.study.worlds.making import main

    main()
