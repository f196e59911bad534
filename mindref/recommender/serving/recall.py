"""Recommended lists of one user, one history or all users, from a run directory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mindref.arguments import Count, check_arguments
from mindref.data.frames import id_as_text
from mindref.data.log import Ints, Ragged
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, say
from mindref.models.serving import Interests, Model, compute_interests
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.build import MIN_MEASURED_ITEMS
from mindref.recall.item_filter import limit_per_interest
from mindref.recall.lists import UserList
from mindref.recall.run_index import open_or_build
from mindref.recall.top_n import TopN
from mindref.recommender.serving.item_lists import check_allow_lists, parse_item_lists
from mindref.recommender.serving.list_request import ListOptions, ListRequest, resolve_request
from mindref.recommender.serving.rerank import rerank
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import clear_uninformed_lists, recommend_batch
from mindref.recommender.training.rerank_trainer import load_reranker
from mindref.run import checkpoint
from mindref.run.files import INDEX
from mindref.run.items import Items, read_items
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
    """Lists of a request, computed during iteration; `warnings` are lines for the user.

    Users are in blocks of a fixed size, counted from the first user. Rounding and drawn logits
    therefore do not depend on the shard (recall-R35).
    """

    def __init__(
        self,
        served: ServedModel,
        index: Index,
        request: ListRequest,
        reranker: Model | None = None,
    ) -> None:
        self.served, self.index, self.request, self.reranker = served, index, request, reranker
        self.requested = request.requested
        self.warnings = [*request.warnings, *describe_index(index)]

    def __iter__(self) -> Iterator[UserList]:
        return self.blocks(0, count_blocks(len(self.requested.names), USERS_PER_BLOCK))

    def blocks(self, start: int, stop: int, size: int | None = None) -> Iterator[UserList]:
        """Yield the lists of the blocks from `start` to before `stop`, with `size` users each."""
        length = size or USERS_PER_BLOCK
        for number in range(start, stop):
            first = number * length
            last = min(first + length, len(self.requested.names))
            yield from self.block(number, np.arange(first, last))

    def top_n_blocks(self) -> Iterator[tuple[TopN, Interests | None]]:
        """Yield the lists of all users in dense ids, and the interests, in blocks of users."""
        users = len(self.requested.names)
        for number in range(count_blocks(users, USERS_PER_BLOCK)):
            first = number * USERS_PER_BLOCK
            which = np.arange(first, min(first + USERS_PER_BLOCK, users))
            yield self.top_n_of_block(number, which)

    def block(self, number: int, which: Ints) -> Iterator[UserList]:
        """Yield the lists of the users of a block."""
        requested, served = self.requested, self.served
        ranked, user_interests = self.top_n_of_block(number, which)
        for case, user in enumerate(which):
            row = requested.histories.row(user)
            yield UserList(
                requested.names[user],
                len(row),
                0 if user_interests is None else int(user_interests.active[case].sum()),
                [served.items.label(int(i)) for i in row[-RECENT:]],
                requested.unknown[user] if requested.unknown else [],
                served.recommendations(ranked, case),
            )

    def top_n_of_block(self, number: int, which: Ints) -> tuple[TopN, Interests | None]:
        """Return the lists of the users of a block in dense ids, and the interests."""
        request, served = self.request, self.served
        rows = request.requested.histories.take(which)
        profiles = request.requested.profiles[which]
        # not the generator of `served`, whose state changes with every request
        rng = make_rng(served.model.config.seed, "serving", number)  # recall-R35
        length = request.n if self.reranker is None else self.reranker.config.candidates  # din-R25
        ranked, user_interests = recommend_batch(
            served.model,
            rows,
            profiles,
            n=min(length, len(served.items.ids)),
            exclude=request.excluded_items(which),
            backend=served.backend,
            rng=rng,
            index=self.index,
            item_filter=request.lists.item_filter.take(which),
            per_interest=request.per_interest if self.reranker is None else None,
        )
        ranked = clear_uninformed_lists(ranked, rows)
        if self.reranker is not None:
            cut = request.n if request.per_interest is None else None
            ranked = rerank(self.reranker, ranked, rows, profiles, cut)
            if request.per_interest is not None:  # recall-R45: in the order of DIN
                ranked = limit_per_interest(ranked, request.n, request.per_interest)
        return ranked, user_interests


def count_blocks(users: int, size: int) -> int:
    """Return the number of blocks."""
    return -(-users // size)


@check_arguments
def recall_lists(
    run: Path,
    *,
    users: Sequence[str] | None = None,
    history: Sequence[str] | None = None,
    data: Path | None = None,
    n: Count = 20,
    kind: str = "auto",
    only: Any = None,
    exclude: Any = None,
    per_interest: Count | None = None,
    exclude_seen: bool | None = None,
    backend: str | None = None,
    device: str = "cpu",
    reranker: Path | None = None,
) -> BulkRecall:
    """Return the lists of these users, of this history, or of every user of the log.

    The index is built on first use and stored in the run directory. If it does not match the model,
    it is built again. only, exclude, per_interest, exclude_seen: as `MIND.recommend_many`.
    reranker: a DIN run that reranks the recalled items.
    Raises RunError, DataError, ConfigError, or BackendError for a broken plugin.
    """
    registry.check_kind(kind, "--index")
    if kind not in registry.BUILT_IN:
        registry.load_plugin(kind)  # a missing plugin is an error before slow work
    history = None if history is None else [id_as_text(x, "--history") for x in history]
    allow, deny = parse_item_lists("--only", only), parse_item_lists("--exclude", exclude)
    for lists_of_option in (allow, deny):
        if lists_of_option is not None and history is not None:
            lists_of_option.check_histories()
    served = ServedModel.load(  # recall-R48: lists are checked before the parameters are read
        run, backend, device, data, lambda items: check_allow_lists(allow, items.ids)
    ).load_backend()
    din = None if reranker is None else load_reranker(reranker, run)
    if din is not None and n > din.config.candidates:
        expected = f"at most the {din.config.candidates} candidates of the DIN run"
        raise ConfigError(say("--top", expected, n))
    options = ListOptions(n, allow, deny, per_interest, exclude_seen)
    histories = None if history is None else [history]
    request = resolve_request(
        served,
        options,
        users=users,
        histories=histories,
        is_typed=True,
        require_known=True,
        is_command=True,
    )
    notes: list[str] = []
    index = open_run_index(served, run / INDEX, kind, notes)
    requested = request.requested
    requested = requested._replace(warnings=[*requested.warnings, *notes])
    if history is not None:
        requested = requested._replace(names=[""])
    return BulkRecall(served, index, request._replace(requested=requested), din)


def catalogue_of_run(run: Path) -> Items:
    """Return the catalogue of a run, without the model."""
    return read_items(run / "items.tsv", checkpoint.load_config(run)[1]["items"])


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
