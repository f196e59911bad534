"""Recall from a run directory: one user, one history, or everybody, by an index that is checked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.data.splits import slices
from mindref.data.streams import stream
from mindref.errors import ConfigError, say
from mindref.recall import Index, registry
from mindref.recall.build import MEASURED_FROM
from mindref.recommender.kept_index import index_of
from mindref.recommender.ranked import best
from mindref.recommender.ranker import Ranker
from mindref.recommender.ranking_files import load_ranker
from mindref.recommender.rerank import rerank
from mindref.recommender.served import Recommendation, Served
from mindref.run.files import INDEX

USERS_AT_ONCE = 1024  # bounds the memory of --all-users; the last bits depend on who is in a block
RECENT = 5  # behaviours shown beside a list


class Answer(NamedTuple):
    """The list of one user."""

    user: str  # empty for a history
    length: int  # behaviours known to the catalogue
    interests: int  # active ones
    recent: list[str]  # titles of the last behaviours
    unknown: list[str]  # items of the history that the catalogue lacks
    items: list[Recommendation]


def about(index: Index) -> list[str]:
    """Return what must be said of an index: what `auto` measured, stand-ins, and approximation."""
    if index.warning:
        return [index.warning]
    if index.kind == "exact":
        measured = index.why is not None and len(index.items) >= MEASURED_FROM
        return [f"auto takes exact search: {index.why}"] if measured else []
    share = "an unknown share" if index.recall is None else f"{index.recall:.1%}"
    line = f"approximate search by {index.kind}: it finds {share} of the true neighbours;"
    line += " --index exact is exact"
    return [f"{line}; auto takes it: {index.why}" if index.why else line]


class Answers:
    """Lists, made while they are read from `index`; `warnings` are lines for the user.

    Users are answered in blocks of a fixed size, counted from the first of all: neither the last
    bits nor the draws of logits depend on which of them are asked for (recall-R35).
    """

    def __init__(
        self,
        served: Served,
        index: Index,
        asked: Asked,
        n: int,
        exclude: bool,
        stage: Ranker | None = None,
    ) -> None:
        self.served, self.index, self.asked = served, index, asked
        self.n, self.exclude, self.stage = n, exclude, stage
        self.warnings = [*asked.warnings, *about(index)]

    def __iter__(self) -> Iterator[Answer]:
        return self.blocks(0, blocks_of(len(self.asked.names), USERS_AT_ONCE))

    def blocks(self, start: int, stop: int, size: int | None = None) -> Iterator[Answer]:
        """Yield the lists of the blocks from `start` to before `stop`, of `size` users each."""
        length = size or USERS_AT_ONCE
        for number in range(start, stop):
            first = number * length
            last = min(first + length, len(self.asked.names))
            yield from self.block(number, np.arange(first, last))

    def block(self, number: int, which: Ints) -> Iterator[Answer]:
        """Yield the lists of the users of a block."""
        asked, served = self.asked, self.served
        lengths = asked.histories.lengths[which]
        rows = slices(asked.histories, which, np.zeros_like(lengths), lengths)
        # not the generator of `served`, which moves on with every request
        rng = stream(served.model.config.seed, "serving", number)  # recall-R35
        wanted = self.n if self.stage is None else self.stage.config.depth  # din-R25
        ranked, found = best(
            served.model,
            rows,
            asked.profiles[which],
            n=min(wanted, len(served.items.ids)),
            exclude=rows if self.exclude else None,
            backend=served.backend,
            rng=rng,
            index=self.index,
        )
        if self.stage is not None:
            ranked = rerank(self.stage, ranked, rows, asked.profiles[which], self.n)
        for case, user in enumerate(which):
            recent = [served.items.label(int(i)) for i in rows.row(case)[-RECENT:]]
            yield Answer(
                asked.names[user],
                int(lengths[case]),
                0 if found is None else int(found.active[case].sum()),
                recent,
                asked.unknown,
                served.listed(ranked, case),
            )


def blocks_of(users: int, size: int) -> int:
    """Return how many blocks so many users make."""
    return -(-users // size)


class Asked(NamedTuple):
    """Who is asked for."""

    names: list[str]
    histories: Ragged
    profiles: Ints
    unknown: list[str]
    warnings: list[str]  # lines about what is left out


def recall(
    run: Path,
    *,
    users: Sequence[str] | None = None,
    history: Sequence[str] | None = None,
    data: Path | None = None,
    n: int = 20,
    kind: str = "auto",
    exclude_seen: bool = True,
    backend: str | None = None,
    device: str = "cpu",
    stage: Path | None = None,
) -> Answers:
    """Return the lists of these users, of this history, or of every user of the log.

    The index is built on first use and kept in the run directory; one that does not fit the model
    any more is built again. stage: of a ranking stage, which puts in order what is recalled.
    Raises RunError, DataError, ConfigError, or BackendError for a broken plugin.
    """
    registry.check_kind(kind, "--index")
    if kind not in registry.OURS:
        registry.load(kind)  # before all that is slow
    served = Served.load(run, backend, device).ready()
    ranker = None if stage is None else load_ranker(stage, run)
    if ranker is not None and n > ranker.config.depth:
        expected = f"at most the {ranker.config.depth} candidates of the ranking stage"
        raise ConfigError(say("--top", expected, n))
    if data is not None:
        served.source = served.source.moved(data)
    asked = who(served, users, history)
    told: list[str] = []
    index = index_of(served, run / INDEX, kind, told)
    asked = asked._replace(warnings=[*asked.warnings, *told])
    return Answers(served, index, asked, n, exclude_seen, ranker)


def who(served: Served, users: Sequence[str] | None, history: Sequence[str] | None) -> Asked:
    """Return who is asked for, in dense ids."""
    if history is not None:
        rows, unknown = served.known(history, "--history")
        named = ", ".join(map(repr, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        told = [f"{len(unknown)} of {len(history)} items are not in the catalogue: {named}"]
        return Asked([""], rows, served.unknown_profile(1), unknown, told if unknown else [])
    names = list(users) if users is not None else list(served.log.user_ids)
    rows, profiles, lost = served.of_users(names)
    return Asked(names, rows, profiles, [], about_log(served, len(rows.values), lost))


def about_log(served: Served, known: int, unknown: int) -> list[str]:
    """Return what must be said of the log that users were looked up in."""
    lines = []
    if not served.is_trained_on:
        lines.append(
            f"{served.source.place} is not the log that the run was trained on, or changed"
        )
    if unknown:
        lines.append(
            f"{unknown} of {known + unknown} behaviours are of items that the run does not"
            " know, and are left out"
        )
    return lines
