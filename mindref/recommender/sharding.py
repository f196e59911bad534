"""Recommended lists of all users of a run, in one file or in shards.

A shard is a range of blocks of users. mindref/recall/lists.py writes its lists, and the text around
them. Spec: specs/recall.md, recall-R35 to recall-R38.
"""

from __future__ import annotations

from pathlib import Path

from mindref.arguments import Count, check_arguments, check_path_argument
from mindref.errors import ConfigError, say, value_text
from mindref.recall.lists import FORMATS, FilePart, save_lists
from mindref.recommender.serving import recall
from mindref.recommender.serving.list_request import ListRequest
from mindref.recommender.serving.recall import count_blocks, recall_lists

ALL_USERS = ListRequest(n=20, index="auto")
"""The lists of all users, as `mindref recall --all-users` writes them by default."""


@check_arguments
def recall_all(
    run: Path | str,
    output: Path | str,
    request: ListRequest = ALL_USERS,
    *,
    form: str = "tsv",
    shard: tuple[int, int] | None = None,
    block: Count | None = None,
) -> list[str]:
    """Write the lists of all users of a run to a file, and return messages for the user.

    request: names no users and no histories; its lists of items are paths of files.
    shard (i, n): write only part i of n. The parts, joined in their order, are the bytes of the
    whole file, if all machines round equally (recall-R36). block: users per block.
    Raises ConfigError, DataError, BackendError and RunError.
    """
    check_request(request)
    if form not in FORMATS:
        raise ConfigError(say("recall_all: form", " or ".join(FORMATS), repr(form)))
    number, count = (1, 1) if shard is None else shard
    if not 1 <= number <= count:  # recall-R37
        raise ConfigError(say("--shard", "i/n with i from 1 to n", f"{number}/{count}"))
    lists = recall_lists(Path(run), request)
    users, size = len(lists.request.users.names), block or recall.USERS_PER_BLOCK
    blocks = count_blocks(users, size)
    start, stop = blocks * (number - 1) // count, blocks * number // count
    first, last = min(start * size, users), min(stop * size, users)
    part = FilePart(first, is_first=number == 1, is_last=number == count)
    answers = lists.user_lists(start, stop, size)  # recall-R49
    warnings = save_lists(Path(output), answers, lists.index, form, part)  # recall-R38
    if shard is not None:
        user_range = f"users {first + 1} to {last}" if last > first else "no users"
        warnings.append(f"shard {number} of {count}: {user_range} of {users}")
    return [*lists.warnings, *warnings]


def check_request(request: object) -> None:
    """Raise ConfigError unless a request is for all users, with files of item lists."""
    if not isinstance(request, ListRequest):
        got = value_text(request, quoted=True)
        raise ConfigError(say("recall_all: request", "a ListRequest", got))
    if request.users is not None or request.histories is not None:
        raise ConfigError(say("recall_all: request", "all users", "users or histories"))
    for name in ("only", "exclude"):
        if (path := getattr(request, name)) is not None:
            check_path_argument(f"recall_all: {name}", path)
