"""Errors of the operating system that no command expects: a message, not a report of a bug.

Spec: specs/faults.md, faults-R1, R13 and R18.
"""

from __future__ import annotations

import errno

from mindref.errors import say

TODO = "check the path, its rights and its disk"
ADVICE = {
    errno.EMFILE: "raise the limit of open files with ulimit -n",
    errno.ENFILE: "close other programs: the system has too many open files",
    errno.ENAMETOOLONG: "shorten the path",
    errno.ELOOP: "replace the link, which leads to itself",
    errno.ENOMEM: "raise the memory limit",
    errno.EAGAIN: "raise the limit of processes with ulimit -u",
}
"""Number of an error -> what to do."""

LIBRARY_LIMITS = (
    "cannot open shared object",
    "could not find/load shared object",
    "failed to map segment",
    "cannot allocate memory",
    "too many open files",
)
"""Texts of an ImportError, in lower case, if the system could not load the file of a library."""


def system_error_message(error: BaseException) -> str:
    """Return the message of an error of the system or of its limits; "" for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        text = str(cause)
        if isinstance(cause, MemoryError):
            todo = "lower --batch, --window, --width or --top, or raise the memory limit"
            return say("memory", "room for the arrays", text or "none", todo)
        if isinstance(cause, OSError) and cause.errno is not None:
            return os_error_message(cause)
        if isinstance(cause, RuntimeError) and "start new thread" in text:  # faults-R13
            todo = "raise the limit with ulimit -u or -v, or lower --threads"
            return say("threads", "one more thread", "none", todo)
        if isinstance(cause, ImportError | OSError) and any(
            x in text.lower() for x in LIBRARY_LIMITS
        ):
            todo = "raise the limit with ulimit -v or -n"
            return say("libraries", "memory and open files to load them", text, todo)
        if isinstance(cause, Warning):
            todo = "unset PYTHONWARNINGS, or run python without -W error"
            return say(
                "warnings", "no warning as an error", f"{type(cause).__name__}: {text}", todo
            )
        cause = cause.__cause__
    return ""


def os_error_message(error: OSError) -> str:
    """Return the message of an error of the system, with the path if it is known."""
    from mindref.run import atomic

    reason = error.strerror or str(error)
    if error.errno in atomic.FULL:  # disk or quota
        location = str(error.filename or "standard output")
        return say(location, "a writable location", reason, atomic.TODO)
    location = str(error.filename or "the system")  # faults-R18
    return say(location, "no error of the system", reason, ADVICE.get(error.errno or 0, TODO))
