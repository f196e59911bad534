"""Proof that the backend's own code answered, and not the reference behind it."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import mindref
import mindref.backend
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.subject import Subject
from mindref.errors import STRANGE

PACKAGE = Path(mindref.__file__).parent
OPERATORS = {
    str(PACKAGE / "ops" / f"{stem}.py"): ("forward", "backward")
    for stem in mindref.backend.OPERATORS
}
COMPOSITION = {
    str(PACKAGE / "models" / "mind.py"): ("loss", "backward", "interests"),
    str(PACKAGE / "training" / "optimiser.py"): ("update",),
}
"""Functions of the reference that answer questions; its helpers are anybody's to use."""


def reference_answered(subject: Subject, call: Call) -> bool:
    """Ask once, and return whether arithmetic of the reference ran meanwhile.

    Seen in this thread and in those that the call starts; threads that ran before are not seen.
    """
    seen = False
    known = OPERATORS if call.stem == "composition" else OPERATORS | COMPOSITION

    def notice(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal seen
        if event == "call":
            names = known.get(frame.f_code.co_filename, ())
            seen = seen or frame.f_code.co_name in names

    before, before_threads = sys.getprofile(), threading.getprofile()
    sys.setprofile(notice)
    threading.setprofile(notice)
    try:
        subject.answer(call)
    except STRANGE:
        return seen
    finally:
        sys.setprofile(before)
        threading.setprofile(before_threads)
    return seen
