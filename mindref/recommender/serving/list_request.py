"""A request for top-n lists: as it is made, and in dense ids of a trained model.

`recommend`, `recommend_many`, `mindref recall` and `mindref serve` make a `ListRequest`, which
`resolve_request` resolves. Its allow lists and deny lists are from a file or from values;
they become a filter in dense ids. Spec: specs/recall.md, recall-R42 to R55.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.arguments import Count, check_arguments, check_path_argument, is_iterable
from mindref.data.frames import id_as_text
from mindref.data.log import Ints, Ragged
from mindref.data.quoting import join_names
from mindref.errors import ConfigError, DataError, say, value_text
from mindref.recall.retrieval import AllowLists, ItemFilter
from mindref.recommender.serving.served_model import ServedModel
from mindref.run.items import typed_ids
from mindref.run.source import IN_MEMORY
from mindref.run.tsv import unescape
from mindref.run.user_files import LONGEST_INPUT, open_input

LIST_LINES = "one item id a line, or a user id, a tab and an item id in every line"
LIST_VALUES = "item ids, a mapping of users to item ids, or one list for each request"


class ItemLists(NamedTuple):
    """Lists of item ids. One of the fields after `subject` is set."""

    subject: str  # of messages: an option, an argument or a file
    shared: list[str] | None = None  # for all requests
    by_user: Mapping[str, list[str]] | None = None
    by_request: Sequence[list[str] | None] | None = None  # None: no list

    def all_ids(self) -> Iterable[str]:
        """Yield the ids of all lists, with repetitions."""
        if self.shared is not None:
            yield from self.shared
        for row in self.by_user.values() if self.by_user is not None else self.by_request or ():
            yield from row or ()

    def check_histories(self) -> None:
        """Raise ConfigError for lists by user, because histories have no user id."""
        if self.by_user is not None:
            todo = "a history has no user id: give item ids without users"
            raise ConfigError(say(self.subject, "lists for histories", "lists by user", todo))

    def rows(self, users: Sequence[str] | None, count: int) -> list[list[str] | None]:
        """Return the list of each of `count` requests. users: their ids, None for histories.

        Raises ConfigError for lists by user of histories, which have no user id.
        """
        if self.by_request is not None:
            if len(self.by_request) != count:
                raise ConfigError(say(self.subject, f"{count} lists", len(self.by_request)))
            return list(self.by_request)
        if users is None:
            self.check_histories()
        by_user = self.by_user or {}
        return [by_user.get(user) for user in users or ()]


def parse_item_lists(subject: str, value: object) -> ItemLists | None:
    """Return lists from ids for all requests, a mapping of users, or one list for each request.

    Raises ConfigError for other values, DataError for an invalid id.
    """
    if value is None or isinstance(value, ItemLists):
        return value
    if isinstance(value, Mapping):
        users = (id_as_text(user, f"{subject}: user") for user in value)
        rows = (parse_ids(subject, row) for row in value.values())
        return ItemLists(subject, by_user=dict(zip(users, rows, strict=True)))
    entries = list_values(subject, value)
    if any(entry is None or is_iterable(entry) for entry in entries):
        lists = [None if entry is None else parse_ids(subject, entry) for entry in entries]
        return ItemLists(subject, by_request=lists)
    return ItemLists(subject, shared=parse_ids(subject, entries))


def list_values(subject: str, value: Any) -> list[Any]:
    """Return an iterable as a list. Raises ConfigError for a text or another value."""
    if not is_iterable(value):
        raise ConfigError(say(subject, LIST_VALUES, value_text(value, quoted=True)))
    return list(value)


def parse_ids(subject: str, values: object) -> list[str]:
    """Return ids as text."""
    return [id_as_text(value, subject) for value in list_values(subject, values)]


def read_item_lists(path: Path, option: str) -> ItemLists:
    """Return the lists of a UTF-8 file with one or two columns, escaped as in a TSV output.

    Empty lines are skipped. Raises DataError for a file that cannot be read or has no ids.
    """
    subject, shared, by_user = f"{option} {path}", list[str](), dict[str, list[str]]()
    texts = dict[str, str]()  # one object for each distinct id
    try:
        raw = open_input(option, path)
        with io.TextIOWrapper(raw, encoding="utf-8-sig", newline="\n") as stream:
            for number, line in enumerate(iter(partial(stream.readline, LONGEST_INPUT), ""), 1):
                if len(line) == LONGEST_INPUT and not line.endswith("\n"):
                    raise DataError(say(f"{subject}, line {number}", LIST_LINES, "a longer line"))
                fields = line.removesuffix("\n").removesuffix("\r").split("\t")
                if fields == [""]:
                    continue
                has_user = len(fields) == 2
                is_mixed = bool(shared) if has_user else bool(by_user)  # other lines before it
                if len(fields) > 2 or not all(fields) or is_mixed:
                    got = repr(line[:80].rstrip("\r\n"))
                    raise DataError(say(f"{subject}, line {number}", LIST_LINES, got))
                item = unescape(fields[-1])
                item = texts.setdefault(item, item)
                if has_user:
                    by_user.setdefault(unescape(fields[0]), []).append(item)
                else:
                    shared.append(item)
    except (OSError, UnicodeDecodeError) as error:
        is_missing = isinstance(error, FileNotFoundError)
        got = "no file" if is_missing else getattr(error, "strerror", None) or str(error)
        raise DataError(say(subject, f"a UTF-8 file with {LIST_LINES}", got)) from error
    if not texts:
        raise DataError(say(subject, LIST_LINES, "an empty file"))
    return ItemLists(subject, by_user=by_user) if by_user else ItemLists(subject, shared=shared)


class Origin(Enum):
    """Where a request is made. It determines the messages, and whether titles are accepted."""

    COMMAND = "command"  # typed: ids or titles; messages name options
    PERSON = "person"  # typed in Python: ids or titles
    PROGRAM = "program"  # ids only
    SERVICE = "service"  # ids only; histories without a known item have the popular items

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

    names: Sequence[Any]  # user ids, or numbers of histories; "" for those of a command
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
    if user_ids is not None:  # the lists name users by text
        is_integer = "user" in served.log.integer_ids
        users = users._replace(names=typed_ids(user_ids, are_integers=is_integer))  # data-R94
    excludes_seen = request.exclude_seen
    if excludes_seen is None:
        excludes_seen = bool(served.facts["exclude_seen"])  # recall-R52
    n = min(request.n, len(served.items.ids))
    limits = item_filter._replace(
        exclude=join_rows(users.histories if excludes_seen else None, item_filter.exclude),
        per_interest=None if request.per_interest is None else min(request.per_interest, n),
    )
    return ResolvedRequest(users, n, limits, list_warnings)


def check_allow_lists(only: ItemLists | None, catalogue: Collection[str]) -> None:
    """Raise DataError if allow lists name ids and no id is in the catalogue."""
    if only is None or any(name in catalogue for name in only.all_ids()):
        return
    if names := list(dict.fromkeys(only.all_ids())):  # recall-R48; no ids: empty (recall-R44)
        ids = "id" if len(names) == 1 else "ids"
        got = f"{len(names)} other {ids}: {join_names(names, quoted=True)}"
        todo = "write item ids of the catalogue, not titles"
        raise DataError(say(only.subject, "at least one item id of the catalogue", got, todo))


def resolve_lists(
    served: ServedModel,
    only: ItemLists | None,
    exclude: ItemLists | None,
    users: Sequence[str] | None,
    requests: int,
) -> tuple[ItemFilter, list[str]]:
    """Return the filter of requests for users, or for histories (users: None), and warnings.

    Raises DataError if `only` names ids and none is servable, ConfigError for lists that do not
    fit.
    """
    check_allow_lists(only, served.dense)
    item_filter, warnings = ItemFilter(), list[str]()
    for lists, is_allow in ((only, True), (exclude, False)):
        if lists is None:
            continue
        if lists.shared is not None:
            is_listed = np.zeros(len(served.items.ids), np.bool_)
            is_listed[dense_ids(lists.shared, served.dense)] = True
            allowed = is_listed if is_allow else ~is_listed  # recall-R42
            if item_filter.is_allowed is not None:
                allowed &= item_filter.is_allowed
            item_filter = item_filter._replace(is_allowed=allowed)
        else:
            rows = lists.rows(users, requests)
            ragged = Ragged.of([dense_ids(row or [], served.dense) for row in rows])
            if is_allow:
                has_list = np.array([row is not None for row in rows], np.bool_)
                item_filter = item_filter._replace(only=AllowLists(ragged, has_list))
            else:
                item_filter = item_filter._replace(exclude=ragged)
        warnings += unknown_warnings(lists, served)
    return item_filter, warnings


def dense_ids(names: Iterable[str], dense: Mapping[str, int]) -> list[int]:
    """Return the dense ids of the known names."""
    return [dense[name] for name in names if name in dense]


def unknown_warnings(lists: ItemLists, served: ServedModel) -> list[str]:
    """Return one line on the unknown ids, and one on users that the log lacks; both name five."""
    warnings = []
    names = dict.fromkeys(lists.all_ids())  # recall-R47: distinct ids
    if unknown := [name for name in names if name not in served.dense]:
        counts = f"{lists.subject}: {len(unknown)} of {len(names)} items"
        text = "are not in the catalogue or untrained"
        warnings.append(f"{counts} {text}: {join_names(unknown, quoted=True)}")
    if unknown := [user for user in lists.by_user or () if user not in served.users]:
        counts = f"{len(unknown)} of {len(lists.by_user or ())} users"
        line = f"{lists.subject}: {counts} are not in the log: {join_names(unknown, quoted=True)}"
        warnings.append(line)
    return warnings


def encode_histories(
    served: ServedModel, histories: Sequence[Any], origin: Origin
) -> RequestedUsers:
    """Return histories of item ids, or of titles too, in dense ids.

    Raises DataError if items are named and none is known.
    """
    subject, titles = origin.subject("history"), origin in (Origin.COMMAND, Origin.PERSON)
    rows, unknown = served.encode(histories, subject, titles=titles)
    names = [name for row in unknown for name in row]
    warnings = []
    if names:
        hint = ""
        if origin is Origin.COMMAND:
            hint = served.names.comma_hint([id_as_text(x, subject) for x in histories[0]])
        if not len(rows.values) and origin is not Origin.SERVICE:  # recall-R54
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
    has_newer_log = served.has_named_log or served.source.location == IN_MEMORY
    if not (has_newer_log or served.has_training_log):
        location = served.source.location
        warnings.append(f"{location} is not the log that the run was trained on, or changed")
    if lost:
        counts = f"{lost} of {lost + len(behaviours.values)}"
        text = "behaviours are of items that the run does not know, and are left out"
        warnings.append(f"{counts} {text}")
    return RequestedUsers(names, served.servable.select(behaviours), profiles, (), warnings)


def popular_warning(served: ServedModel, users: RequestedUsers) -> list[str]:
    """Return one line on the requests of which nothing is known, or nothing."""
    count = int(np.count_nonzero(served.is_unknown_user(users.histories, users.profiles)))
    if not count:
        return []
    text = "have no known behaviour: their lists are the most popular items"
    return [f"{count} of {len(users.histories)} requests {text}"]


def join_rows(first: Ragged | None, second: Ragged | None) -> Ragged | None:
    """Return rows with the values of the first, then those of the second. None has no values."""
    if first is None or second is None:
        return second if first is None else first
    rows = [np.repeat(np.arange(len(x)), x.lengths) for x in (first, second)]
    order = np.argsort(np.concatenate(rows), kind="stable")
    values = np.concatenate([first.values, second.values])[order]
    return Ragged(first.offsets + second.offsets, values)
