"""Lists of a request: of users, of histories or of all users.

Spec: specs/recall.md. `recall_lists` is for a run directory; `recommend_one` and
`recommend_columns` are for the Python interface and return messages about ignored ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from mindref.arguments import check_path_argument, is_iterable
from mindref.data.log import Ints, Ragged
from mindref.data.rng import make_rng
from mindref.errors import ConfigError, RunError, say, value_text
from mindref.models.serving import Interests, Model, compute_interests
from mindref.process.requirements import install_libraries
from mindref.recall import ExactIndex, Index, registry
from mindref.recall.build import MIN_MEASURED_ITEMS
from mindref.recall.lists import Recommendation, UserList
from mindref.recall.retrieval import limit_per_interest
from mindref.recall.run_index import open_or_build
from mindref.recall.top_n import TopN
from mindref.recommender.serving.list_request import (
    ListRequest,
    Origin,
    ResolvedRequest,
    check_allow_lists,
    popular_warning,
    resolve_request,
)
from mindref.recommender.serving.rerank import load_reranker, rerank
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import fill_popular_lists, recommend_batch
from mindref.run.files import INDEX
from mindref.run.items import Items
from mindref.shapes import Array

IdArray: TypeAlias = npt.NDArray[np.object_] | Ints
REQUESTS = "user ids of the log, or histories (lists of item ids)"
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

    Users are in blocks of a fixed size, counted from the first user (recall-R35).
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
        """Yield the lists in the order of the users."""
        users, served = self.request.users, self.served
        for block in self.top_n_blocks():
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

    def top_n_blocks(self) -> Iterator[TopNBlock]:
        """Yield the lists in dense ids, block by block."""
        served, users = self.served, self.request.users
        num_recalled, limits = self.request.n, self.request.item_filter
        if self.reranker is not None:  # din-R25: `rerank_block` limits the lists
            num_recalled = self.reranker.config.candidates
            limits = limits._replace(per_interest=None)
        for number, first in enumerate(range(0, len(users.names), USERS_PER_BLOCK)):
            which = np.arange(first, min(first + USERS_PER_BLOCK, len(users.names)))
            rows, profiles = users.histories.take(which), users.profiles[which]
            ranked, interests = recommend_batch(
                served.model,
                rows,
                profiles,
                n=min(num_recalled, len(served.items.ids)),
                item_filter=limits.take(which),  # recall-R49
                index=self.index,
                backend=served.backend,
                rng=self.rng or make_rng(served.model.config.seed, "serving", number),  # recall-R35
            )
            if self.reranker is not None:
                ranked = self.rerank_block(self.reranker, ranked, rows, profiles)
            ranked = fill_popular_lists(  # recall-R51
                ranked,
                np.flatnonzero(served.is_unknown_user(rows, profiles)),
                served.popular_items,
                limits.take(which),
                served.servable,
            )
            yield TopNBlock(which, ranked, interests)

    def rerank_block(self, reranker: Model, recalled: TopN, rows: Ragged, profiles: Ints) -> TopN:
        """Return the first n items of each list in the order of DIN."""
        n, per_interest = self.request.n, self.request.item_filter.per_interest
        if per_interest is None:
            return rerank(reranker, recalled, rows, profiles, n)
        ranked = rerank(reranker, recalled, rows, profiles, None)
        return limit_per_interest(ranked, n, per_interest)  # recall-R45


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


def recommend_one(
    served: ServedModel, request: ListRequest, rng: np.random.Generator | None = None
) -> tuple[list[Recommendation], list[str]]:
    """Return the top-n items of a history or a user by exact search, best first, and warnings.

    Items of the history may be named by title. rng: generator of logits drawn per call. Raises
    ConfigError for invalid options, DataError if all items of the history are unknown, and for an
    unknown user.
    """
    if (request.histories is None) == (request.users is None):
        raise ConfigError(say("recommend", "a history or a user", "both or neither"))
    resolved = resolve_request(served, replace(request, origin=Origin.PERSON))
    (answer,) = RequestedLists(served, open_run_index(served, "exact", None, []), resolved, rng=rng)
    popular = popular_warning(served, resolved.users)
    return answer.items, [*resolved.warnings, *popular]


def recommend_columns(
    served: ServedModel,
    users_or_histories: Iterable[object],
    request: ListRequest,
    index: str | Index,
    run: Path | None = None,
) -> tuple[Recommendations, list[str]]:
    """Return the top-n lists of users or histories as columns, and warnings.

    index: a kind, whose index is in the directory `run`, or an index of the servable items. Raises
    as `recommend_one`, also if no item of all histories is known, and RunError for a kind without a
    run directory.
    """
    users, histories = split_requests(users_or_histories)
    check_index(served, index)
    resolved = resolve_request(served, replace(request, users=users, histories=histories))
    notes: list[str] = []
    searched = open_run_index(served, index, run, notes) if isinstance(index, str) else index
    lists = RequestedLists(served, searched, resolved)
    blocks = (block.ranked for block in lists.top_n_blocks())
    dtype = np.float64 if served.scores_only else served.model.config.dtype
    columns = list_columns(resolved.users.names, blocks, served, dtype)
    return columns, [*resolved.warnings, *notes, *popular_warning(served, resolved.users)]


def split_requests(requests: Iterable[object]) -> tuple[list[object] | None, list[object] | None]:
    """Return the user ids, or the histories, of `recommend_many`; None for the other kind."""
    subject = "recommend_many"
    if hasattr(requests, "columns") or hasattr(requests, "column_names"):  # iterates over names
        todo = "pass one column, such as frame['user'].unique()"
        raise ConfigError(say(subject, REQUESTS, "a table", todo))
    if isinstance(requests, Mapping):
        raise ConfigError(say(subject, REQUESTS, value_text(requests, quoted=True)))
    entries = list(requests)
    if len({is_iterable(entry) for entry in entries}) > 1:
        raise ConfigError(say(subject, f"only {REQUESTS}", "both"))
    if entries and not is_iterable(entries[0]):
        return entries, None
    return None, entries


def check_index(served: ServedModel, index: object) -> None:
    """Raise ConfigError unless an index is a kind, or an Index of as many and as wide vectors."""
    if isinstance(index, str):
        registry.check_kind(index, "index")
    elif not isinstance(index, Index):
        kinds = " or ".join(registry.index_kinds())
        got = value_text(index, quoted=True)
        raise ConfigError(say("index", f"{kinds}, or an Index", got))
    elif not served.scores_only:
        expected, shape = served.item_vectors.shape, np.shape(index.items)
        if shape != expected:  # recall-R46
            todo = "build it over the vectors of the servable items"
            raise ConfigError(say("index", f"vectors of shape {expected}", shape, todo))


class Recommendations(NamedTuple):
    """Columns of R rows: the lists one after the other, each from rank 1 on.

    Ids are int64 if they were integers in the data of `fit`, and str objects otherwise.
    """

    user: IdArray  # (R,) user ids, or numbers of histories, int64 from 0
    rank: Ints  # (R,) int64, from 1
    item: IdArray  # (R,) item ids
    title: npt.NDArray[np.object_]  # (R,) titles as str objects, empty where unknown
    score: Array  # (R,) floats, not rising within a list
    interest: Ints  # (R,) int64, from 0; -1: a popular item, as nothing is known of the user

    def to_pandas(self) -> Any:
        """Return a pandas.DataFrame. Raises ConfigError if pandas is not installed."""
        return import_library("pandas").DataFrame(self._asdict())

    def to_polars(self) -> Any:
        """Return a polars.DataFrame. Raises ConfigError if polars is not installed."""
        polars = import_library("polars")
        columns = self._asdict().items()
        text = {name: polars.String for name, x in columns if x.dtype == object}
        values = {name: x.tolist() if x.dtype == object else x for name, x in columns}
        return polars.DataFrame(values, schema_overrides=text)


def import_library(name: str) -> Any:
    """Return an optional library. Raises ConfigError if it is not installed."""
    try:
        return import_module(name)
    except ImportError as error:
        todo = f"{install_libraries(name)}, or use the NumPy columns"
        raise ConfigError(say(f"to_{name}", f"the library {name}", "none", todo)) from error


def list_columns(
    names: Sequence[object], blocks: Iterable[TopN], served: ServedModel, dtype: Any
) -> Recommendations:
    """Return the columns of the lists of all blocks.

    names: of the users, in the order of the lists. dtype: of the scores.
    """
    none = np.zeros(0, np.int64)  # without blocks, the columns are empty arrays
    lengths, ids, scores, interests = [none], [none], [np.zeros(0, dtype)], [none]
    for block in blocks:
        is_item = block.items >= 0  # recall-R46
        lengths.append(is_item.sum(axis=1))
        ids.append(block.items[is_item])
        scores.append(block.scores[is_item])
        interests.append(block.interests[is_item])
    counts, rows = np.concatenate(lengths), np.concatenate(ids)
    first_rows = np.cumsum(counts) - counts  # of each list in the columns
    users = id_column(names)
    return Recommendations(
        user=users[np.repeat(np.arange(len(users)), counts)],
        rank=np.arange(len(rows)) - np.repeat(first_rows, counts) + 1,
        item=id_column(served.item_ids)[rows],
        title=as_objects(served.items.titles)[rows],
        score=np.concatenate(scores),
        interest=np.concatenate(interests),
    )


def id_column(ids: Sequence[object]) -> IdArray:
    """Return integers as int64, and texts as objects."""
    are_integers = len(ids) > 0 and not isinstance(ids[0], str)
    return np.array(ids, np.int64) if are_integers else as_objects(ids)


def as_objects(values: Sequence[object]) -> npt.NDArray[np.object_]:
    """Return texts as an array of objects."""
    column = np.empty(len(values), object)
    column[:] = list(values)
    return column
