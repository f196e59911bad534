"""The table of steps: texts, formulas, source anchors, recipes and invariants of each step.

The table is in reading order; a trace has its steps in the order of the computation.
"""

from __future__ import annotations

from mindref.study.steps.backward import BACKWARD
from mindref.study.steps.forward import FORWARD
from mindref.study.steps.kind import StepKind
from mindref.study.steps.loss import TO_LOSS
from mindref.study.steps.update_and_serving import UPDATE_AND_SERVING

KINDS: tuple[StepKind, ...] = (*FORWARD, *TO_LOSS, *BACKWARD, *UPDATE_AND_SERVING)
