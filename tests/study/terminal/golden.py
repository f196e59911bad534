"""Golden texts of sessions: python -m tests.study.terminal.golden --write.

The texts are compared byte for byte, except for last digits: another BLAS sums in another order.
Residuals are not compared, and numbers with all their digits are compared to nine digits. Before
you commit new texts, read `git diff tests/study/terminal/golden`. Each kind of screen occurs once;
every cell is tested in test_numbers.py, other widths in test_shape.py.
"""

from __future__ import annotations

import io
import os
import re
import sys
from pathlib import Path

from mindref.study.terminal import View, print_view, run_session
from tests.study.terminal.conftest import TracedUser, trace_builtin_user

FOLDER = Path(__file__).parent / "golden"
COLUMNS = 80

SCRIPTS: dict[str, tuple[str, ...]] = {
    "walk": (
        "n", "? routing[3].weights", "nothing of the kind", "",
        "g d_s", "x d_S[1, 2] in order", "g serve.top", "x best", "q",
    ),
    "help": (
        "frobnicate", "g", "h", "v softmax-over-behaviours", "d softmax-over-behaviour", "q",
    ),
}  # fmt: skip

ONCE = {
    "compared": View(step="routing[3].weights", explain="w[Murder at, 3]", diff=True),
}


def make_text(name: str, user: TracedUser) -> str:
    """Return the output of a session or of a single command."""
    out = io.StringIO()
    if name in ONCE:
        print_view(*user, ONCE[name], stdout=out, columns=COLUMNS)
    else:
        step = "profile.embed" if name == "help" else ""
        stdin = io.StringIO("".join(f"{command}\n" for command in SCRIPTS[name]))
        run_session(*user, step=step, stdin=stdin, stdout=out, columns=COLUMNS)
    return out.getvalue()


def golden_path(name: str) -> Path:
    return FOLDER / f"{name}.txt"


def remove_rounding(text: str) -> str:
    """Return a text without digits that depend on the order of a sum, and without line numbers.

    tests/study/test_sources.py checks the line numbers.
    """
    text = re.sub(r"\.py:\d+", ".py", text)
    text = re.sub(r"residual \S+", "residual ~", text)
    text = re.sub(r"\b\d\.\de-(0[89]|[1-9]\d)\b", "~", text)  # rounding errors, with two digits
    return re.sub(r"-?\d+\.\d{7,}(e[-+]\d+)?", lambda match: f"{float(match[0]):.9g}", text)


def main() -> None:
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python -m tests.study.terminal.golden --write")
    if os.environ.get("CI"):
        sys.exit("golden: in CI the texts are compared, never written. To write them, unset CI.")
    FOLDER.mkdir(exist_ok=True)
    user = trace_builtin_user()
    for name in (*SCRIPTS, *ONCE):
        golden_path(name).write_text(make_text(name, user), encoding="utf-8")


if __name__ == "__main__":
    main()
