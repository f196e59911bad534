"""Recommended lists of one user, one history or all users, from a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.data.log import Ints, Ragged
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, say
from mindref.models.serving import Model, compute_interests
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.build import MIN_MEASURED_ITEMS
from mindref.recall.lists import UserList
from mindref.recall.run_index import open_or_build
from mindref.recommender.rerank import rerank
from mindref.recommender.rerank_trainer import load_reranker
from mindref.recommender.serving import ServedModel
from mindref.recommender.top_n_lists import recommend_batch
from mindref.run.files import INDEX
from mindref.shapes import Array

USERS_PER_BLOCK = 1024  # bounds memory; rounding depends on the block size
NUM_PROBES = 256  # drawn histories that tune an index
RECENT = 5  # behaviours printed with a list


def describe_index(index: Index) -> list[str]:
    """Return the notes on an index: choice of `auto`, fallback, approximation."""
    if index.warning:
        return [index.warning]
    if index.kind == "exact":
        measured = index.choice_reason is not None and len(index.items) >= MIN_MEASURED_ITEMS
        return [f"auto takes exact search: {index.choice_reason}"] if measured else []
    share = "an unknown share" if index.recall is None else f"{index.recall:.1%}"
    line = f"approximate search by {index.kind}: it finds {share} of the true neighbours;"
    line += " --index exact is exact"
    return [f"{line}; auto takes it: {index.choice_reason}" if index.choice_reason else line]


class BulkRecall:
    """Lists of users, computed during iteration; `warnings` are lines for the user.

    Users are in blocks of a fixed size, counted from the first user. Rounding and drawn logits
    therefore do not depend on the shard (recall-R35).
    """

    def __init__(
        self,
        served: ServedModel,
        index: Index,
        requested: RequestedUsers,
        n: int,
        exclude: bool,
        reranker: Model | None = None,
    ) -> None:
        self.served, self.index, self.requested = served, index, requested
        self.n, self.exclude, self.reranker = n, exclude, reranker
        self.warnings = [*requested.warnings, *describe_index(index)]

    def __iter__(self) -> Iterator[UserList]:
        return self.blocks(0, count_blocks(len(self.requested.names), USERS_PER_BLOCK))

    def blocks(self, start: int, stop: int, size: int | None = None) -> Iterator[UserList]:
        """Yield the lists of the blocks from `start` to before `stop`, with `size` users each."""
        length = size or USERS_PER_BLOCK
        for number in range(start, stop):
            first = number * length
            last = min(first + length, len(self.requested.names))
            yield from self.block(number, np.arange(first, last))

    def block(self, number: int, which: Ints) -> Iterator[UserList]:
        """Yield the lists of the users of a block."""
        requested, served = self.requested, self.served
        rows = requested.histories.take(which)
        # not the generator of `served`, whose state changes with every request
        rng = make_rng(served.model.config.seed, "serving", number)  # recall-R35
        length = self.n if self.reranker is None else self.reranker.config.candidates  # din-R25
        profiles, exclude = requested.profiles[which], rows if self.exclude else None
        ranked, user_interests = recommend_batch(
            served.model,
            rows,
            profiles,
            n=min(length, len(served.items.ids)),
            exclude=exclude,
            backend=served.backend,
            rng=rng,
            index=self.index,
        )
        if self.reranker is not None:
            ranked = rerank(self.reranker, ranked, rows, profiles, self.n)
        for case, user in enumerate(which):
            recent = [served.items.label(int(i)) for i in rows.row(case)[-RECENT:]]
            yield UserList(
                requested.names[user],
                len(rows.row(case)),
                0 if user_interests is None else int(user_interests.active[case].sum()),
                recent,
                requested.unknown,
                served.recommendations(ranked, case),
            )


def count_blocks(users: int, size: int) -> int:
    """Return the number of blocks."""
    return -(-users // size)


class RequestedUsers(NamedTuple):
    """Users whose lists are requested."""

    names: list[str]
    histories: Ragged
    profiles: Ints
    unknown: list[str]
    warnings: list[str]  # lines about ignored items


def recall_lists(
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
    reranker: Path | None = None,
) -> BulkRecall:
    """Return the lists of these users, of this history, or of every user of the log.

    The index is built on first use and stored in the run directory. If it does not match the model,
    it is built again. reranker: a DIN run that reranks the recalled items.
    Raises RunError, DataError, ConfigError, or BackendError for a broken plugin.
    """
    registry.check_kind(kind, "--index")
    if kind not in registry.BUILT_IN:
        registry.load_plugin(kind)  # a missing plugin is an error before slow work
    served = ServedModel.load(run, backend, device, data).load_backend()
    din = None if reranker is None else load_reranker(reranker, run)
    if din is not None and n > din.config.candidates:
        expected = f"at most the {din.config.candidates} candidates of the DIN run"
        raise ConfigError(say("--top", expected, n))
    requested = resolve_users(served, users, history)
    notes: list[str] = []
    index = open_run_index(served, run / INDEX, kind, notes)
    requested = requested._replace(warnings=[*requested.warnings, *notes])
    return BulkRecall(served, index, requested, n, exclude_seen, din)


def resolve_users(
    served: ServedModel, users: Sequence[str] | None, history: Sequence[str] | None
) -> RequestedUsers:
    """Return histories and profiles of the requested users, in dense ids."""
    if history is not None:
        rows, unknown = served.encode_history(history, "--history")
        listed = ", ".join(map(repr, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        counts = f"{len(unknown)} of {len(history)} items"
        warning = f"{counts} are not in the catalogue or untrained: {listed}"
        warnings, profiles = [warning] if unknown else [], served.unknown_profile(1)
        return RequestedUsers([""], rows, profiles, unknown, warnings)
    names = list(users) if users is not None else list(served.log.user_ids)
    behaviours, profiles, lost = served.encode_users(names)
    rows, warnings = (
        served.servable.select(behaviours),
        log_warnings(served, len(behaviours.values), lost),
    )
    return RequestedUsers(names, rows, profiles, [], warnings)


def log_warnings(served: ServedModel, known_behaviours: int, unknown_behaviours: int) -> list[str]:
    """Return warnings on the log of the users."""
    lines = []
    if not served.has_training_log:
        location = served.source.location
        lines.append(f"{location} is not the log that the run was trained on, or changed")
    if unknown_behaviours:
        counts = f"{unknown_behaviours} of {known_behaviours + unknown_behaviours}"
        text = "behaviours are of items that the run does not know, and are left out"
        lines.append(f"{counts} {text}")
    return lines


def open_run_index(
    served: ServedModel, folder: Path, kind: str, notes: list[str] | None = None
) -> Index:
    """Return the index of a run, opened or built (recall.run_index.open_or_build)."""
    if served.scores_only:  # an index searches vectors
        if kind not in ("auto", "exact"):
            got = f"{kind}, and a model that has only scores"
            raise ConfigError(say("--index", "auto or exact", got))
        return ExactIndex(np.zeros((len(served.servable.ids), 0), served.model.config.dtype))
    config = served.model.config
    return open_or_build(
        folder,
        kind,
        served.item_vectors,
        lambda: probe_interests(served),
        seed=config.seed,
        interests=config.interests,
        notes=notes,
    )


def probe_interests(served: ServedModel) -> Array:
    """Return interests of histories drawn by item counts, for tuning an index."""
    rng = make_rng(served.model.config.seed, "probe")
    draws = rng.choice(len(served.items.ids), (NUM_PROBES, 16), p=served.draw_probabilities())
    rows = Ragged.of(list(draws.astype(np.int64)))
    profiles = served.unknown_profile(len(rows))
    probed = compute_interests(served.model, rows, profiles, served.backend)
    return probed.vectors[probed.active]
