"""Detect a backend that answers with the code of the reference."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import mindref
import mindref.backend
from mindref.conformance.runner.call import Call
from mindref.conformance.runner.implementation import Implementation
from mindref.errors import FOREIGN_ERRORS

PACKAGE = Path(mindref.__file__).parent
OPERATORS = {
    str(PACKAGE / "ops" / f"{stem}.py"): ("forward", "backward")
    for stem in mindref.backend.OPERATORS
}
COMPOSITION = {
    str(PACKAGE / "models" / "mind.py"): ("loss", "backward", "interests"),
    str(PACKAGE / "training" / "optimiser.py"): ("update",),
}
"""Functions of the reference that answer calls; its helper functions may be used freely."""


def reference_answered(implementation: Implementation, call: Call) -> bool:
    """Run a call and return whether a function of the reference ran.

    Covers this thread and the threads that the call starts, but not threads that already run.
    """
    seen = False
    functions = OPERATORS if call.stem == "composition" else OPERATORS | COMPOSITION

    def notice(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if event == "call":
            names = functions.get(frame.f_code.co_filename, ())
            seen = seen or frame.f_code.co_name in names

    before, before_threads = sys.getprofile(), threading.getprofile()
    sys.setprofile(notice)
    threading.setprofile(notice)
    try:
        implementation.answer(call)
    except FOREIGN_ERRORS:
        return seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before_threads)
    return seen
