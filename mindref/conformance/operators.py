"""For each operator: the axes of the arguments, and which arguments have gradients or are masks.

A letter such as "b" (batch) is the name of an axis; specs/notation.md lists the letters.
"""

from __future__ import annotations

from typing import NamedTuple


class Arguments(NamedTuple):
    """The axes of an operator's arguments, the arguments with a gradient, and the masks."""

    axes: dict[str, str]  # argument or result -> letters of the axes; leading axes may be absent
    differentiable: tuple[str, ...]  # arguments whose gradients `backward` returns, in order
    masks: tuple[str, ...] = ()


ARGUMENTS = {
    "embedding": Arguments({"table": "vd", "rows": "mf", "weights": "mf"}, ("table",)),
    "softmax": Arguments({}, ("logits",), masks=("mask",)),  # any axes
    "squash": Arguments({}, ("x",)),  # any axes
    "routing": Arguments(
        {
            "history": "bld",
            "mask": "bl",
            "bilinear": "lkdd",
            "init_logits": "blk",
            "active": "bk",
            "log_weights": "blk",
            "out": "bkd",
            "couplings": "blk",
        },
        ("history", "bilinear", "init_logits", "log_weights"),
        masks=("mask", "active"),
    ),
    "relu_layer": Arguments({"x": "mi", "weight": "io", "bias": "o"}, ("x", "weight", "bias")),
    "label_attention": Arguments(
        {"interests": "bkd", "target": "bd", "active": "bk", "out": "bd"},
        ("interests", "target"),
        masks=("active",),
    ),
    "sampled_softmax": Arguments(
        {
            "user": "bd",
            "target": "bd",
            "negatives": "sd",
            "target_ids": "b",
            "negative_ids": "s",
            "target_log_expected": "b",
            "negative_log_expected": "s",
            "out": "",
        },
        ("user", "target", "negatives"),
    ),
}
"""Name of an operator -> its arguments. A call may omit an optional argument."""
