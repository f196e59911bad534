"""The arguments of each operator: their axes, which of them have a gradient, which are masks.

specs/notation.md defines the letters of the axes.
"""

from __future__ import annotations

from typing import NamedTuple


class Arguments(NamedTuple):
    """The arguments of one operator, as the checks that run on all operators need them."""

    axes: dict[str, str]  # argument or result -> all axes; an array may omit the first
    differentiable: tuple[str, ...]  # arguments with a gradient, in the order of `backward`
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
"""Stem (name) of an operator -> its arguments. A call may omit an optional argument."""
