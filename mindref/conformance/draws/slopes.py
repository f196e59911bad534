"""A backend's gradients against its own forward, so that the reference can be judged as well.

Needs float64: in float32 a central difference has too few digits to tell anything.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mindref.conformance import gradient
from mindref.conformance.judging.call import Call
from mindref.conformance.judging.failure import Broken
from mindref.conformance.judging.judge import Judge


def follow_from_forward(judge: Judge, call: Call, *, step: float = gradient.STEP) -> None:
    """Hold every gradient of the call against central differences of the backend's own forward.

    Asks the call first, so that the answer is anchored; in other types than float64 that is all.
    """
    judge.ask(call)
    if judge.precision.input != "float64":
        return
    names = call.learned

    def forward(*arrays: Any) -> Any:
        moved = call.change(**dict(zip(names, arrays, strict=True)))
        return judge.ask(moved.forward_only())["out"]

    def backward(cotangent: Any) -> list[Any]:
        got = judge.ask(call.change(cotangent=np.asarray(cotangent)))
        return [got[f"d_{name}"] for name in names]

    arrays = [call.arrays[name] for name in names]
    try:
        gradient.check(forward, backward, arrays, judge.rng, step=step)
    except Broken:
        raise
    except AssertionError as error:
        raise Broken(str(error), judge.evidence()) from error
