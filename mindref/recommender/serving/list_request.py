"""A request for top-n lists: as it is made, and in dense ids of a trained model.

`recommend`, `recommend_many`, `mindref recall`, shards and `mindref serve` make a `ListRequest`,
which `resolve_request` resolves. Spec: specs/recall.md, recall-R42 to R55.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.arguments import Count, check_arguments, check_path_argument
from mindref.data.frames import id_as_text
from mindref.data.log import Ints, Ragged
from mindref.data.quoting import join_names
from mindref.recall.retrieval import ItemFilter
from mindref.recommender.serving.item_lists import (
    ItemLists,
    parse_item_lists,
    read_item_lists,
    resolve_lists,
)
from mindref.recommender.serving.served_model import ServedModel


class Origin(Enum):
    """Where a request is made. It determines the messages, and whether titles are accepted."""

    COMMAND = "command"  # typed: ids or titles; messages name options
    PERSON = "person"  # typed in Python: ids or titles
    PROGRAM = "program"  # ids only

    def subject(self, name: str) -> str:
        """Return the name of an argument in messages."""
        return f"--{name.replace('_', '-')}" if self is Origin.COMMAND else name


@dataclass(frozen=True)
class ListRequest:
    """A request for the top-n lists of users or of histories, before any id is resolved.

    Without users and histories: the lists of all users of the log. only, exclude: item lists, or
    values of `parse_item_lists`; of a command, also the path of a file. `index` and the
    fields after `origin` are used for a run directory. Raises ConfigError for a value of another
    type.
    """

    users: Sequence[Any] | None = None  # user ids of the log
    histories: Sequence[Any] | None = None  # each a list of item ids
    n: Count = 10
    only: Any = None  # items that may appear
    exclude: Any = None  # items that must not appear
    per_interest: Count | None = None  # most items of a list with the same best interest
    exclude_seen: bool | None = None  # leave out the items of the history; None: as in training
    index: str = "exact"  # kind
    origin: Origin = Origin.PROGRAM
    data: Path | None = None  # new path of the log, if it has moved
    backend: str | None = None  # None: that of the run
    device: str = "cpu"
    reranker: Path | None = None  # DIN run that reranks the recalled items

    def item_lists(self, name: str) -> ItemLists | None:
        """Return the lists `only` or `exclude`. Raises ConfigError or DataError."""
        value, subject = getattr(self, name), self.origin.subject(name)
        if isinstance(value, Path) and self.origin is Origin.COMMAND:
            check_path_argument(subject, value)
            return read_item_lists(value, subject)
        return parse_item_lists(subject, value)


ListRequest.__init__ = check_arguments(ListRequest.__init__)  # type: ignore[method-assign]


class RequestedUsers(NamedTuple):
    """Users whose lists are requested."""

    names: Sequence[Any]  # user ids, or the numbers of the histories; of a command, ""
    histories: Ragged  # in dense ids of servable items
    profiles: Ints
    unknown: Sequence[list[str]]  # unknown items of each history; empty for users of the log
    warnings: list[str]  # lines about ignored items


class ResolvedRequest(NamedTuple):
    """A request in dense ids of a trained model."""

    users: RequestedUsers
    n: int
    item_filter: ItemFilter  # for these users; includes the items of their histories
    list_warnings: Sequence[str]  # lines about ignored ids of item lists

    @property
    def warnings(self) -> list[str]:
        """Lines about ignored items and users."""
        return [*self.users.warnings, *self.list_warnings]


def resolve_request(served: ServedModel, request: ListRequest) -> ResolvedRequest:
    """Return a request in dense ids of a trained model.

    Options are checked before the log is read. Raises ConfigError for an invalid option, DataError
    for an unknown user, if no item of any history is known, and if `only` names ids and none is
    known.
    """
    origin = request.origin
    only, exclude = request.item_lists("only"), request.item_lists("exclude")
    if request.per_interest is not None:
        served.require_vectors(origin.subject("per_interest"), "a model with interests")
    if request.histories is None:
        users = find_users(served, request.users, origin.subject("user"))
        user_ids = users.names
    else:
        users, user_ids = encode_histories(served, request.histories, origin), None
    item_filter, list_warnings = resolve_lists(served, only, exclude, user_ids, len(users.names))
    excludes_seen = request.exclude_seen
    if excludes_seen is None:
        excludes_seen = bool(served.facts["exclude_seen"])  # recall-R52
    n = min(request.n, len(served.items.ids))
    limits = item_filter._replace(
        exclude=join_rows(users.histories if excludes_seen else None, item_filter.exclude),
        per_interest=None if request.per_interest is None else min(request.per_interest, n),
    )
    return ResolvedRequest(users, n, limits, list_warnings)


def encode_histories(
    served: ServedModel, histories: Sequence[Any], origin: Origin
) -> RequestedUsers:
    """Return histories of item ids, or of titles too, in dense ids.

    Raises DataError if items are named and none is known.
    """
    subject, titles = origin.subject("history"), origin is not Origin.PROGRAM
    rows, unknown = served.encode(histories, subject, titles=titles)
    names = [name for row in unknown for name in row]
    warnings = []
    if names:
        hint = ""
        if origin is Origin.COMMAND:
            hint = served.names.comma_hint([id_as_text(x, subject) for x in histories[0]])
        if not len(rows.values):  # serving-R10, recall-R54
            raise served.names.unknown_error(names, subject, titles=titles, hint=hint)
        if origin is not Origin.PERSON:  # recall-R50: to find close titles is slow
            hint = hint or served.names.hint(names, titles=titles)
        counts = f"{subject}: {len(names)} of {len(names) + len(rows.values)} behaviours"
        text = "have items that are not in the catalogue or untrained"
        line = f"{counts} {text}: {join_names(dict.fromkeys(names), quoted=True)}"
        warnings = [f"{line}; {hint}" if hint else line]
    profiles = served.unknown_profile(len(rows))
    numbers = [""] * len(rows) if origin is Origin.COMMAND else range(len(rows))
    return RequestedUsers(numbers, rows, profiles, unknown, warnings)


def find_users(
    served: ServedModel, users: Sequence[Any] | None, subject: str = "--user"
) -> RequestedUsers:
    """Return histories and profiles of users of the log, by default of all, in dense ids."""
    names = served.log.user_ids if users is None else [id_as_text(x, subject) for x in users]
    behaviours, profiles, lost = served.encode_users(names, subject)
    warnings = []
    if not served.has_training_log:
        location = served.source.location
        warnings.append(f"{location} is not the log that the run was trained on, or changed")
    if lost:
        counts = f"{lost} of {lost + len(behaviours.values)}"
        text = "behaviours are of items that the run does not know, and are left out"
        warnings.append(f"{counts} {text}")
    return RequestedUsers(names, served.servable.select(behaviours), profiles, (), warnings)


def uninformed_warning(histories: Ragged, counts: Sequence[int] | Ints) -> list[str]:
    """Return one line on the requests without behaviours whose lists (C,) are empty, or nothing."""
    empty = int(((histories.lengths == 0) & (np.asarray(counts) == 0)).sum())
    if not empty:
        return []
    text = "have no known behaviour, and the model gives no allowed item a score"
    return [f"{empty} of {len(histories)} requests {text}: their lists are empty"]


def join_rows(first: Ragged | None, second: Ragged | None) -> Ragged | None:
    """Return rows with the values of the first, then those of the second. None has no values."""
    if first is None or second is None:
        return second if first is None else first
    rows = [np.repeat(np.arange(len(x)), x.lengths) for x in (first, second)]
    order = np.argsort(np.concatenate(rows), kind="stable")
    values = np.concatenate([first.values, second.values])[order]
    return Ragged(first.offsets + second.offsets, values)
