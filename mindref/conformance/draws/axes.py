"""Users, places and interests of a call by the letter of their axis, to permute or pick them.

    cut(call, "l", order)                 the call with its places in that order
    cuts("routing", "l", order)           what that does to each part of an answer

Spec: specs/notation.md.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance.judging.call import Anything, Call
from mindref.conformance.judging.judge import Change

LETTERS = {
    "routing": {
        "history": "bld",
        "mask": "bl",
        "bilinear": "lkde",
        "init_logits": "blk",
        "active": "bk",
        "log_weights": "blk",
        "out": "bkd",
        "couplings": "blk",
    },
    "label_attention": {"interests": "bkd", "target": "bd", "active": "bk", "out": "bd"},
    "sampled_softmax": {
        "user": "bd",
        "target": "bd",
        "negatives": "sd",
        "target_ids": "b",
        "negative_ids": "s",
        "target_log_expected": "b",
        "negative_log_expected": "s",
        "out": "",
    },
}
"""Operator -> argument or result -> its axes; those in front may be missing."""


def taken(letters: str, letter: str, index: Any) -> Change:
    """Return what picks these places of an axis; arrays without the axis stay as they are."""

    def take(x: Anything) -> Anything:
        axes = letters[len(letters) - x.ndim :]
        return np.take(x, index, axis=axes.index(letter)) if letter in axes else x

    return take


def cut(call: Call, letter: str, index: Any) -> Call:
    """Return the call with these places of an axis, in this order."""
    known = LETTERS[call.stem]
    arrays = {n: taken(known[n], letter, index)(x) for n, x in call.arrays.items()}
    cotangent = call.cotangent
    if cotangent is not None:
        cotangent = taken(known["out"], letter, index)(cotangent)
    return call._replace(arrays=arrays, cotangent=cotangent)


def cuts(stem: str, letter: str, index: Any) -> dict[str, Change]:
    """Return for each part of an answer what picks these places of an axis."""
    known = LETTERS[stem]
    found = {name: taken(letters, letter, index) for name, letters in known.items()}
    return found | {f"d_{name}": change for name, change in found.items()}
