"""How many connections the service answers, from the limit of open files of the process.

Spec: specs/serving.md, serving-R17.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from mindref.errors import ConfigError, say

BACKLOG = 2048  # connections that the system keeps until they are accepted
ACCEPTED_AT_ONCE = 16  # connections that one pass of the event loop accepts
MAX_CONNECTIONS = 1024  # whose requests are answered
MAX_REJECTED = 64  # further connections whose requests are read, and get status 503
RESERVED_FILES = 192  # files of the process, and connections that begin or end
MAX_FILES = MAX_CONNECTIONS + MAX_REJECTED + RESERVED_FILES


def allow_connections(log: Callable[[str], None]) -> int:
    """Return the number of connections to answer: 1,024, or fewer if fewer files may be open.

    The soft limit of open files is raised if that is possible. log: receives a line if the number
    is smaller. Raises ConfigError if no connection is possible.
    """
    limit = raise_file_limit(MAX_FILES)
    if limit >= MAX_FILES:
        return MAX_CONNECTIONS
    connections = limit - MAX_REJECTED - RESERVED_FILES  # serving-R17
    if connections < 1:
        least = MAX_REJECTED + RESERVED_FILES + 1
        todo = f"raise the limit: ulimit -n {MAX_FILES}"
        raise ConfigError(say("serve", f"a limit of at least {least} open files", limit, todo))
    reason = f"the process may open {limit:,} files, and {MAX_CONNECTIONS:,} connections need"
    log(f"at most {connections:,} connections: {reason} {MAX_FILES:,} (ulimit -n {MAX_FILES})")
    return connections


def raise_file_limit(num_files: int) -> int:
    """Raise the soft limit of open files to `num_files`, or to the hard limit; return the limit.

    The result is at most `num_files`. A system without such a limit has the result `num_files`.
    """
    resource: Any
    try:
        resource = importlib.import_module("resource")
    except ImportError:  # Windows
        return num_files
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = (num_files if x == resource.RLIM_INFINITY else min(x, num_files) for x in limits)
    if soft < hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, limits[1]))
        except (OSError, ValueError):  # not permitted
            return soft
    return hard
