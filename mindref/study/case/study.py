"""The paper's case study, for any run: who holds which behaviour, and what each interest brings.

Source: Li et al., CIKM 2019, Fig. 5 and 6: the coupling coefficients of two users (rows interests,
columns behaviours), and the items each interest recalls against those of a single vector. Here with
what the paper leaves out: the rule that chose the users, and controls (`controls`). Differs:
cosines stand as they are, not scaled to 0 .. 1, which would put the best item of every model at 1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mindref.data.log import Ints
from mindref.errors import ConfigError, say
from mindref.models.serving import item_matrix
from mindref.run import atomic
from mindref.shapes import Array
from mindref.study.case.controls import Controls, controls, routed, units
from mindref.study.worlds.rules import Chosen, before_last, ranks
from mindref.study.worlds.world import SINGLE, World, choose, open_built_in, open_world

RULES = ("most-separated", "least-separated")  # two users, as in the paper
FORMATS = (".svg", ".png", ".json")
NO_BASELINE = (
    "no single-vector model to compare with: train one with the same settings and --interests 1,"
    " and name its run as the baseline"
)


@dataclass(frozen=True)
class Item:
    """An item that a vector brings."""

    title: str
    score: float  # product with the vector
    cosine: float  # with the vector
    group: str  # empty where groups are not known


@dataclass(frozen=True)
class Strip:
    """The unseen items that one vector scores highest, best first."""

    name: str
    items: list[Item]
    alike: float  # mean cosine between these items, in the space of their own model
    commonest: str  # group of most of them, empty where groups are not known
    of_commonest: int  # how many are of it


@dataclass(frozen=True)
class Shown:
    """One user."""

    user: str
    rule: str  # that chose the user
    behaviours: list[str]  # n titles, oldest first, the last `window` before the one asked for
    groups: list[str]  # of the behaviours, empty where not known
    couplings: list[list[float]]  # (K', n) rows interests, columns behaviours
    owners: list[int]  # of each behaviour the interest that holds most of it, from 0
    strips: list[Strip]  # of each interest
    single: Strip | None  # of the single vector
    distinct: int  # different items in `strips`
    target: str  # the behaviour that came next
    place: int  # of it among the unseen items, from 1
    single_place: int | None  # the same by the single vector
    controls: Controls


@dataclass(frozen=True)
class CaseStudy:
    """Everything the figures show, and the words that belong under them."""

    name: str
    settings: dict[str, Any]
    top: int  # items of a strip
    users: list[Shown]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON reads them back."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self), allow_nan=False))
        return plain


def open_worlds(
    run: Path | None, baseline: Path | None = None, data: Path | None = None
) -> tuple[World, World | None]:
    """Return the world of a run, or the built-in one, and that of its single-vector model.

    Raises ConfigError for a baseline of several interests or of another log, RunError, DataError.
    """
    world = open_world(run, data)
    if run is None and baseline is None:
        return world, open_built_in(SINGLE)
    if baseline is None:
        return world, None
    single = open_world(baseline, data)
    check_comparable(world, single, str(baseline))
    return world, single


def check_comparable(world: World, single: World, where: str) -> None:
    """Raise ConfigError unless a world has one interest, and the users and items of the other."""
    count = single.model.config.interests
    if count != 1:
        todo = "name a run that was trained with --interests 1"
        raise ConfigError(say(f"baseline {where}", "one interest", count, todo))
    for what in ("item_ids", "user_ids"):
        if list(getattr(world, what)) != list(getattr(single, what)):
            todo = "train it on the log of the run"
            raise ConfigError(say(f"baseline {where}", "the run's own log", "another", todo))


def case_study(
    world: World, single: World | None = None, rules: Sequence[str] = RULES, top: int = 20
) -> CaseStudy:
    """Return the case study of the users that the rules (or ids) choose.

    top: unseen items that each vector brings. Raises DataError as `choose` does, ConfigError for
    no rule or `top` below 1.
    """
    if not rules or top < 1:
        raise ConfigError(say("case study", "a user and a list", f"{len(rules)} and {top}"))
    return of_users(world, single, [choose(world, rule) for rule in rules], top)


def of_users(
    world: World, single: World | None, chosen: Sequence[Chosen], top: int = 20
) -> CaseStudy:
    """Return the case study of users who have been chosen."""
    notes = [NO_BASELINE] if single is None else differences(world, single)
    users = [show(world, single, user, rule, top) for user, rule in chosen]
    return CaseStudy(world.name, world.model.config.to_dict(), top, users, notes)


def differences(world: World, single: World) -> list[str]:
    """Return a note on settings in which the baseline differs and should not."""
    own, other = (w.model.config.to_dict() for w in (world, single))
    free = {"interests", "backend"}
    names = [name for name in own if name not in free and own[name] != other[name]]
    if not names:
        return ["the single-vector model has the same settings but for interests = 1"]
    pairs = ", ".join(f"{name} {other[name]} instead of {own[name]}" for name in names)
    return [f"the single-vector model differs in more than its interests: {pairs}"]


def show(world: World, single: World | None, user: int, rule: str, top: int) -> Shown:
    """Return what is shown of one user."""
    known, target = before_last(world, np.array([user]))
    history = known.values[-world.model.config.window :]
    found = routed(world, history[None], world.profiles[user])
    couplings = found.couplings[0].T
    strips = [
        strip(world, f"interest {k + 1}", vector, known.values, top)
        for k, vector in enumerate(found.vectors[0])
    ]
    return Shown(
        user=world.user_ids[user],
        rule=rule,
        behaviours=[world.titles[i] for i in history],
        groups=[group(world, i) for i in history] if world.groups else [],
        couplings=couplings.tolist(),
        owners=couplings.argmax(axis=0).tolist(),
        strips=strips,
        single=None if single is None else of_single(single, user, known.values, top),
        distinct=len({item.title for each in strips for item in each.items}),
        target=world.titles[target[0]],
        place=place(world, user),
        single_place=None if single is None else place(single, user),
        controls=controls(world, user, history),
    )


def of_single(single: World, user: int, seen: Ints, top: int) -> Strip:
    """Return what the single vector of a user brings."""
    history = seen[-single.model.config.window :]
    found = routed(single, history[None], single.profiles[user])
    return strip(single, "single vector", found.vectors[0, 0], seen, top)


def place(world: World, user: int) -> int:
    """Return the place, from 1, of the user's last behaviour among the items unseen before it."""
    return int(ranks(world, np.array([user]), item_matrix(world.model))[0]) + 1


def group(world: World, item: int) -> str:
    """Return the group of an item, empty where groups are not known."""
    return "" if world.groups is None else world.groups.names[world.groups.of_item[item]]


def strip(world: World, name: str, vector: Array, seen: Ints, top: int) -> Strip:
    """Return the unseen items that a vector (D,) scores highest; of equals the lower id."""
    items = item_matrix(world.model)
    scores = items @ vector
    scores[seen] = -np.inf
    best = np.argsort(-scores, kind="stable")[:top]
    best = best[np.isfinite(scores[best])]
    directions = units(items[best])
    cosines = directions @ units(vector)
    between = directions @ directions.T
    count = len(best)
    groups = [group(world, i) for i in best]
    commonest = max(dict.fromkeys(groups), key=groups.count, default="")
    listed = zip(best, cosines, groups, strict=True)
    return Strip(
        name,
        [Item(world.titles[i], float(scores[i]), float(cosine), of) for i, cosine, of in listed],
        float((between.sum() - np.trace(between)) / max(count * (count - 1), 1)),
        commonest,
        groups.count(commonest) if commonest else 0,
    )


def write(path: Path, study: CaseStudy) -> None:
    """Write the figures (.svg, .png) or the numbers (.json) of a case study.

    The same study gives the same bytes. Raises ConfigError for another ending and where matplotlib
    is missing (see `check_path`, to be asked before the work), RunError for a place that cannot be
    written.
    """
    check_path(path)
    if path.suffix == ".json":
        atomic.write_json(path, study.to_dict())
        return
    from mindref.study.case.plot import draw

    draw(study, path)


def check_path(path: Path) -> None:
    """Raise ConfigError for an ending that is not known, or a picture that nothing can draw."""
    from importlib.util import find_spec

    if path.suffix not in FORMATS:
        raise ConfigError(say(str(path), f"a name ending in {' or '.join(FORMATS)}", path.suffix))
    if path.suffix != ".json" and find_spec("matplotlib") is None:
        todo = "pip install 'mindref[plot]', or write .json"
        raise ConfigError(say(str(path), "matplotlib", "not installed", todo))
