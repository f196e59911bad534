"""A request for lists: its options, its users or histories, and its item lists in dense ids.

`recommend`, `recommend_many`, `mindref recall` and `mindref serve` resolve their requests here.
Spec: specs/recall.md, recall-R42 to R55.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from mindref.data.frames import id_as_text
from mindref.data.log import Ints, Ragged
from mindref.recall.checks import check_count
from mindref.recommender.serving.item_lists import ResolvedLists, parse_item_lists, resolve_lists
from mindref.recommender.serving.item_names import unknown_behaviours_line
from mindref.recommender.serving.served_model import ServedModel
from mindref.recommender.serving.top_n_lists import join_rows


class ListOptions(NamedTuple):
    """The options of a request for lists, as in `MIND.recommend_many`, before they are checked."""

    n: int = 10
    only: Any = None  # item lists, or values of `parse_item_lists`
    exclude: Any = None
    per_interest: int | None = None
    exclude_seen: bool | None = None  # None: as in training


class RequestedUsers(NamedTuple):
    """Users whose lists are requested."""

    names: Sequence[Any]  # user ids, or the numbers of the histories
    histories: Ragged  # in dense ids of servable items
    profiles: Ints
    unknown: Sequence[list[str]]  # unknown items of each history; empty for users of the log
    warnings: list[str]  # lines about ignored items


class ListRequest(NamedTuple):
    """A checked request, in dense ids of the run."""

    requested: RequestedUsers
    n: int
    lists: ResolvedLists
    per_interest: int | None
    excludes_seen: bool

    @property
    def warnings(self) -> list[str]:
        """Lines about ignored items and users."""
        return [*self.requested.warnings, *self.lists.warnings]

    def excluded_items(self, users: Ints) -> Ragged | None:
        """Return the items that must not appear in the lists of some users, None for no item."""
        seen = self.requested.histories.take(users) if self.excludes_seen else None
        denied = self.lists.exclude
        return join_rows(seen, None if denied is None else denied.take(users))


def resolve_request(
    served: ServedModel,
    options: ListOptions,
    *,
    users: Sequence[Any] | None = None,
    histories: Sequence[Any] | None = None,
    is_typed: bool = False,
    require_known: bool = False,
    is_command: bool = False,
) -> ListRequest:
    """Return the request for these users, or these histories, or by default all users of the log.

    is_typed: a person types the items, so that titles are accepted, and proposed in an error.
    require_known: an error if no item of any history is known. is_command: messages name options,
    the history is a CSV row, and a warning proposes titles too.
    Options are checked before the log is read. Raises ConfigError for an invalid option, DataError
    for an unknown user, an unknown history, and if `only` names ids and none is known.
    """

    def subject(name: str) -> str:
        return f"--{name.replace('_', '-')}" if is_command else name

    check_count(options.n, subject("top" if is_command else "n"))
    only = parse_item_lists(subject("only"), options.only)
    exclude = parse_item_lists(subject("exclude"), options.exclude)
    served.check_limit(options.per_interest, subject("per_interest"))
    excludes_seen = served.excludes_seen(options.exclude_seen)
    if histories is None:
        requested = find_users(served, users, subject("user"))
        known_users = requested.names
    else:
        requested = encode_histories(
            served,
            histories,
            subject("history"),
            is_typed=is_typed,
            require_known=require_known,
            is_command=is_command,
        )
        known_users = None
    lists = resolve_lists(served, only, exclude, known_users, len(requested.names))
    n = min(int(options.n), len(served.items.ids))
    per_interest = None if options.per_interest is None else min(int(options.per_interest), n)
    return ListRequest(requested, n, lists, per_interest, excludes_seen)


def encode_histories(
    served: ServedModel,
    histories: Sequence[Any],
    subject: str,
    *,
    is_typed: bool,
    require_known: bool,
    is_command: bool,
) -> RequestedUsers:
    """Return histories of item ids, or of titles too if `is_typed`, in dense ids."""
    rows, unknown = served.encode(histories, subject, titles=is_typed)
    names = [name for row in unknown for name in row]
    warnings = []
    if names:
        hint = served.names.comma_hint(histories[0]) if is_command else ""
        if require_known and not len(rows.values):  # serving-R10, recall-R54
            raise served.names.unknown_error(names, subject, titles=is_typed, hint=hint)
        if is_command or not is_typed:  # recall-R50: titles are compared slowly
            hint = hint or served.names.hint(names, titles=is_typed)
        warnings = [unknown_behaviours_line(subject, names, len(names) + len(rows.values), hint)]
    profiles = served.unknown_profile(len(rows))
    return RequestedUsers(range(len(rows)), rows, profiles, unknown, warnings)


def find_users(
    served: ServedModel, users: Sequence[Any] | None, subject: str = "--user"
) -> RequestedUsers:
    """Return histories and profiles of users of the log, by default of all, in dense ids."""
    names = served.log.user_ids if users is None else [id_as_text(x, subject) for x in users]
    behaviours, profiles, lost = served.encode_users(names, subject)
    rows = served.servable.select(behaviours)
    warnings = log_warnings(served, len(behaviours.values), lost)
    return RequestedUsers(names, rows, profiles, (), warnings)


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


def uninformed_warning(histories: Ragged, counts: Sequence[int] | Ints) -> list[str]:
    """Return one line on the requests without behaviours whose lists (C,) are empty, or nothing."""
    empty = int(((histories.lengths == 0) & (np.asarray(counts) == 0)).sum())
    if not empty:
        return []
    text = "have no known behaviour, and the model gives no allowed item a score"
    return [f"{empty} of {len(histories)} requests {text}: their lists are empty"]
