"""The table of steps: what is said of each, how its numbers come about, and what must hold.

A trace has its steps in the order in which the code meets them; the table, in the order to read.
"""

from __future__ import annotations

from mindref.study.steps.after import AFTER
from mindref.study.steps.backward import BACKWARD
from mindref.study.steps.forward import FORWARD
from mindref.study.steps.kind import Kind
from mindref.study.steps.loss import TO_LOSS

KINDS: tuple[Kind, ...] = (*FORWARD, *TO_LOSS, *BACKWARD, *AFTER)
