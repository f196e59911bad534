"""Lists of a request: of users, of histories or of all users, from a run directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mindref.arguments import check_path_argument
from mindref.data.log import Ints
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, RunError, say
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.build import MIN_MEASURED_ITEMS
from mindref.recall.lists import UserList
from mindref.recall.retrieval import limit_per_interest
from mindref.recall.run_index import open_or_build
from mindref.recall.top_n import TopN
from mindref.recommender.serving.item_lists import check_allow_lists
from mindref.recommender.serving.list_request import (
    ListRequest,
    Origin,
    ResolvedRequest,
    resolve_request,
)
from mindref.recommender.serving.rerank import load_reranker, rerank
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import clear_uninformed_lists, recommend_batch
from mindref.run.files import INDEX
from mindref.run.items import Items
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


class TopNBlock(NamedTuple):
    """The lists of a block of users."""

    users: Ints  # (C,) numbers of the users in the request
    ranked: TopN  # (C, n) in dense ids
    interests: Interests | None  # None for a family that has only scores


class RequestedLists:
    """The lists of a request, computed during iteration; `warnings` are lines for the user.

    Users are in blocks of a fixed size, counted from the first user. Rounding and drawn logits
    therefore do not depend on the shard (recall-R35).
    """

    def __init__(
        self,
        served: ServedModel,
        index: Index,
        request: ResolvedRequest,
        reranker: Model | None = None,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.served, self.index, self.request, self.reranker = served, index, request, reranker
        self.rng = rng  # of logits drawn per call; None: one generator for each block
        self.warnings = [*request.warnings, *describe_index(index)]

    def __iter__(self) -> Iterator[UserList]:
        return self.user_lists()

    def user_lists(
        self, start: int = 0, stop: int | None = None, size: int | None = None
    ) -> Iterator[UserList]:
        """Yield the lists of the blocks from `start` to before `stop`, with `size` users each."""
        users, served = self.request.users, self.served
        for block in self.top_n_blocks(start, stop, size):
            num_active = np.zeros(len(block.users), np.int64)
            if block.interests is not None:
                num_active = block.interests.active.sum(axis=1)
            for case, user in enumerate(block.users):
                row = users.histories.row(user)
                yield UserList(
                    user=users.names[user],
                    length=len(row),
                    interests=int(num_active[case]),
                    recent=[served.items.label(int(i)) for i in row[-RECENT:]],
                    unknown=users.unknown[user] if users.unknown else [],
                    items=served.recommendations(block.ranked, case),
                )

    def top_n_blocks(
        self, start: int = 0, stop: int | None = None, size: int | None = None
    ) -> Iterator[TopNBlock]:
        """Yield the lists in dense ids of the blocks from `start` to before `stop`."""
        length, served, users = size or USERS_PER_BLOCK, self.served, self.request.users
        n, limits, reranker = self.request.n, self.request.item_filter, self.reranker
        if reranker is not None:  # din-R25
            limits = limits._replace(per_interest=None)
        stop = count_blocks(len(users.names), length) if stop is None else stop
        for number in range(start, stop):
            which = np.arange(number * length, min((number + 1) * length, len(users.names)))
            rows, profiles = users.histories.take(which), users.profiles[which]
            recalled = n if reranker is None else reranker.config.candidates
            ranked, interests = recommend_batch(
                served.model,
                rows,
                profiles,
                n=min(recalled, len(served.items.ids)),
                item_filter=limits.take(which),
                index=self.index,
                backend=served.backend,
                rng=self.rng or make_rng(served.model.config.seed, "serving", number),  # recall-R35
            )
            ranked = clear_uninformed_lists(ranked, rows)
            if reranker is not None:
                per_interest = self.request.item_filter.per_interest
                cut = n if per_interest is None else None
                ranked = rerank(reranker, ranked, rows, profiles, cut)
                if per_interest is not None:  # recall-R45: in the order of DIN
                    ranked = limit_per_interest(ranked, n, per_interest)
            yield TopNBlock(which, ranked, interests)


def count_blocks(users: int, size: int) -> int:
    """Return the number of blocks of `size` users; the last one may have fewer."""
    return -(-users // size)


def recall_lists(run: Path, request: ListRequest) -> RequestedLists:
    """Return the lists of a request to a run directory, whose messages name options of the command.

    The index is built on first use and stored in the run directory. If it does not match the model,
    it is built again. Lists of items, and the type of the index, are checked before slow work.
    Raises RunError, DataError, ConfigError, or BackendError for a broken plugin.
    """
    check_path_argument("recall_lists: run", run)
    request = replace(request, origin=Origin.COMMAND)
    registry.check_kind(request.index, "--index")
    if request.index not in registry.BUILT_IN:
        registry.load_plugin(request.index)  # a missing plugin is an error before slow work
    only, exclude = request.item_lists("only"), request.item_lists("exclude")
    for lists in (only, exclude):
        if lists is not None and request.histories is not None:
            lists.check_histories()

    def check_items(items: Items) -> None:  # recall-R48: before the parameters
        if only is not None:
            check_allow_lists(only, set(items.ids))

    served = ServedModel.load(
        Path(run), request.backend, request.device, request.data, check_items
    ).load_backend()
    reranker = None if request.reranker is None else load_reranker(request.reranker, run)
    if reranker is not None and request.n > reranker.config.candidates:
        expected = f"at most the {reranker.config.candidates} candidates of the DIN run"
        raise ConfigError(say("--top", expected, request.n))
    resolved = resolve_request(served, replace(request, only=only, exclude=exclude))
    notes: list[str] = []
    index = open_run_index(served, request.index, Path(run), notes)
    resolved.users.warnings.extend(notes)
    return RequestedLists(served, index, resolved, reranker)


def open_run_index(served: ServedModel, kind: str, run: Path | None, notes: list[str]) -> Index:
    """Return the index of a run, opened or built; exact search needs no run directory.

    notes: receives lines for the user. Raises RunError for a kind without a run directory, and as
    `recall.run_index.open_or_build`.
    """
    if served.scores_only:  # an index searches vectors
        if kind not in registry.BUILT_IN:
            got = f"{kind}, and a model that has only scores"
            raise ConfigError(say("--index", "auto or exact", got))
        return ExactIndex(np.zeros((len(served.servable.ids), 0), served.model.config.dtype))
    if kind == "exact" or (run is None and kind == "auto"):
        return ExactIndex(served.item_vectors)  # an index in the folder stays for the next time
    if run is None:
        expected = "a run directory, which keeps the index"
        raise RunError(say(f"index {kind}", expected, "none", "call save, then mindref.load"))
    config = served.model.config
    return open_or_build(
        run / INDEX,
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
    rows = served.draw_histories(rng, np.full(NUM_PROBES, 16))
    profiles = served.unknown_profile(len(rows))
    probed = compute_interests(served.model, rows, profiles, served.backend)
    return probed.vectors[probed.active]
