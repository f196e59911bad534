"""The gradient ledger: the gradient through routing, place of use by place of use."""

from __future__ import annotations

from typing import Any

from mindref.study.terminal.compare import columns_of
from mindref.study.terminal.lines import Line, fitted, named, prose
from mindref.study.terminal.numerals import number, tiny


def account(given: Any, by: str, columns: int) -> list[Line]:
    """Return the rows of a ledger, which add up to the gradient, each with its own check.

    Raises ConfigError for a ledger that there is not.
    """
    from mindref.study.gradients.ledger import ledger_of

    ledger = ledger_of(given, by).to_json()
    lines = prose(ledger["what"], columns, "title")
    lines += prose(ledger["definition"], columns)
    rows = [("place of use", "norm/whole", "cosine", "off by")]
    for row in ledger["rows"]:
        kept = " *" if row["kept_by_last"] else ""
        numbers = (number(row["share"], ".3f"), number(row["cosine"], ".3f"))
        rows.append((f"{row['name']}{kept}  {row['title']}", *numbers, tiny(row["fd_error"])))
    lines += [Line(""), *columns_of(rows, columns), Line("")]
    lines += prose(
        "off by: the largest relative error against a row's own finite difference", columns
    )
    total = ledger["sum"]
    text = f"the rows add up to the library's gradient  (residual {tiny(total['residual'])});"
    text += f" the finite difference of the whole is off by {tiny(total['fd_error'])}"
    lines += named("sum", text, columns)
    last = ledger["last"]
    text = f'routing_gradient="last" keeps {", ".join(last["keeps"])} alone: this is what'
    text += f" stop-gradient trains  (residual {tiny(last['residual'])})"
    return fitted([*lines, *named("*", text, columns)], columns)
