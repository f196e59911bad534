"""The losses of specs/sampled_softmax.md for frameworks, tested by chosen checks of the suite."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from mindref.conformance.bounds import Precision
from mindref.conformance.runner.call import BackendImplementation
from mindref.conformance.runner.check import all_checks
from mindref.conformance.runner.check_runner import ExampleBudget, run_check
from tests import spec_pages

BUDGET = ExampleBudget(5, seed=0, shrink=False)
BROKEN = {  # rules that cross-entropy breaks -> a check of the rule
    "sampled_softmax-R1": "values/losses_near_zero_match_the_reference",
    "sampled_softmax-R12": "sampled_softmax/nearly_certain_target_keeps_its_gradient",
    "sampled_softmax-R18": "sampled_softmax/non_finite_input_makes_the_loss_nan",
}
KEPT = {"sampled_softmax-R10": "sampled_softmax/user_without_negatives_has_zero_loss"}


def recipe(framework: str) -> Callable[..., Any]:
    """Return the function of the block `recipe-FRAMEWORK` of the page."""
    fence = rf"```python recipe-{framework}\n(.*?)```"
    (code,) = re.findall(fence, spec_pages.text("sampled_softmax"), re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Callable[..., Any] = names["user_losses"]
    return function


def check_status(backend: Any, name: str, dtype: str) -> str:
    """Return the status of one check, without the checks on which it depends."""
    check = next(check for check in all_checks() if check.name == name)
    return run_check(check, BackendImplementation(backend), Precision.of(dtype), BUDGET).status
