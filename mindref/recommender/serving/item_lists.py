"""Allow lists and deny lists: from a file or from values, and as a filter in dense ids.

Spec: specs/recall.md, recall-R47, R48.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mindref.arguments import is_iterable
from mindref.data.frames import id_as_text
from mindref.data.log import Ragged
from mindref.data.quoting import join_names
from mindref.errors import ConfigError, DataError, say, value_text
from mindref.recall.retrieval import AllowLists, ItemFilter
from mindref.recommender.serving.served_model import ServedModel
from mindref.run.tsv import unescape
from mindref.run.user_files import LONGEST_INPUT, open_input

FORMAT = "one item id a line, or a user id, a tab and an item id in every line"
VALUES = "item ids, a mapping of users to item ids, or one list for each request"
TODO = "write item ids of the catalogue, not titles"


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
        raise ConfigError(say(subject, VALUES, value_text(value, quoted=True)))
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
                    raise DataError(say(f"{subject}, line {number}", FORMAT, "a longer line"))
                fields = line.removesuffix("\n").removesuffix("\r").split("\t")
                if fields == [""]:
                    continue
                # earlier lines with the other number of columns
                is_mixed = len(shared if len(fields) == 2 else by_user) > 0
                if len(fields) > 2 or not all(fields) or is_mixed:
                    got = repr(line[:80].rstrip("\r\n"))
                    raise DataError(say(f"{subject}, line {number}", FORMAT, got))
                item = unescape(fields[-1])
                item = texts.setdefault(item, item)
                if len(fields) == 1:
                    shared.append(item)
                else:
                    by_user.setdefault(unescape(fields[0]), []).append(item)
    except (OSError, UnicodeDecodeError) as error:
        is_missing = isinstance(error, FileNotFoundError)
        got = "no file" if is_missing else getattr(error, "strerror", None) or str(error)
        raise DataError(say(subject, f"a UTF-8 file with {FORMAT}", got)) from error
    if not texts:
        raise DataError(say(subject, FORMAT, "an empty file"))
    return ItemLists(subject, by_user=by_user) if by_user else ItemLists(subject, shared=shared)


def check_allow_lists(only: ItemLists | None, catalogue: Collection[str]) -> None:
    """Raise DataError if allow lists name ids and no id is in the catalogue."""
    if only is None or any(name in catalogue for name in only.all_ids()):
        return
    if names := list(dict.fromkeys(only.all_ids())):  # recall-R48; no ids: empty (recall-R44)
        ids = "id" if len(names) == 1 else "ids"
        got = f"{len(names)} other {ids}: {join_names(names, quoted=True)}"
        raise DataError(say(only.subject, "at least one item id of the catalogue", got, TODO))


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
