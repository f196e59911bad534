"""Sessions kept as text: python -m tests.study.terminal.golden --write.

What a learner sees, byte for byte, but for the last digits: another BLAS adds in another order, so
residuals, and what is printed with all its digits, are compared to nine. Read what changed before
you keep it: `git diff tests/study/terminal/golden`.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path
from typing import Any

from mindref.study.terminal import one_shot, session
from tests.study.terminal.conftest import Studied, studied

FOLDER = Path(__file__).parent / "golden"
WIDTHS = (80, 120)

SCRIPTS: dict[str, tuple[str, ...]] = {
    "first": ("n", "n", "p", "g", "x", "?", "q"),
    "routing": (
        "g routing[2].weights",
        "x w[Sheriff, 3]",
        "d",
        "p",
        "?",
        "1",
        "? routing[3].weights",
        "nothing of the kind",
        "",
        "b",
        "x",
        "b",
        "q",
    ),
    "gradients": ("g d_S", "x d_S[1, 2]", "all", "g d_z[2]", "x d_z[2][3, 1] in order", "b", "q"),
    "serving": ("g serve.top", "n", "x best", "g 57", "all", "q"),
    "lost": ("g rooting[2].weight", "x w[Night Fairy, 3]", "x w[1]", "frobnicate", "h", "l", "q"),
    "variants": ("v", "v softmax-over-behaviours", "d softmax-over-behaviour", "q"),
}

ONCE: dict[str, dict[str, Any]] = {
    "explained": {"at": "routing[3].weights", "explain": "w[3, 3]"},
    "compared": {"at": "routing[3].weights", "diff": True},
    "ledger": {"backward": True, "ledger": "S"},
}


def text_of(name: str, columns: int, user: Studied) -> str:
    """Return what a session or a single command writes."""
    out = io.StringIO()
    if name in ONCE:
        one_shot(*user, stdout=out, columns=columns, **ONCE[name])
    else:
        session(*user, commands=SCRIPTS[name], stdout=out, columns=columns)
    return out.getvalue()


def path_of(name: str, columns: int) -> Path:
    """Return where a text is kept."""
    return FOLDER / f"{name}-{columns}.txt"


def settled(text: str) -> str:
    """Return a text without what the order of additions decides."""
    text = re.sub(r"residual \S+", "residual ~", text)
    text = re.sub(r"\b\d\.\de-(0[89]|[1-9]\d)\b", "~", text)  # errors of rounding, in two digits
    text = re.sub(r"(finite difference +)(\S+)", lambda x: f"{x[1]}{float(x[2]):.6g}", text)
    return re.sub(r"-?\d+\.\d{7,}(e[-+]\d+)?", lambda found: f"{float(found[0]):.9g}", text)


def main() -> None:
    """Write all texts anew."""
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.study.terminal.golden --write")
    if os.environ.get("CI"):
        sys.exit("golden: in CI the texts are compared, never written; unset CI to write them")
    FOLDER.mkdir(exist_ok=True)
    user = studied()
    for name in (*SCRIPTS, *ONCE):
        for columns in WIDTHS:
            path_of(name, columns).write_text(text_of(name, columns, user), encoding="utf-8")


if __name__ == "__main__":
    main()
