"""The gradient ledger as text: the gradient through routing, one row for each use."""

from __future__ import annotations

from typing import Any

from mindref.study.terminal.compare import format_columns
from mindref.study.terminal.number_format import format_magnitude, format_number
from mindref.study.terminal.text import Line, fit_lines, label_lines, wrap_lines


def format_ledger(inputs: Any, tensor_name: str, columns: int) -> list[Line]:
    """Return the rows of a ledger with their finite differences, and the sum of the rows.

    Raises ConfigError for an unknown ledger.
    """
    from mindref.study.gradients.ledger import make_ledger

    ledger = make_ledger(inputs, tensor_name).to_json()
    lines = wrap_lines(ledger["title"], columns, "title")
    lines += wrap_lines(ledger["definition"], columns)
    rows = [("use", "norm/total", "cosine", "error")]
    for row in ledger["rows"]:
        mark = " *" if row["kept_by_last"] else ""
        numbers = (format_number(row["share"], ".3f"), format_number(row["cosine"], ".3f"))
        label = f"{row['name']}{mark}  {row['title']}"
        rows.append((label, *numbers, format_magnitude(row["fd_error"])))
    lines += [Line(""), *format_columns(rows, columns), Line("")]
    lines += wrap_lines(
        "error: the largest relative error of a row against its finite difference", columns
    )
    total = ledger["sum"]
    text = "the rows add up to the gradient of the library"
    text += f"  (residual {format_magnitude(total['residual'])});"
    text += f" error of the total: {format_magnitude(total['fd_error'])}"
    lines += label_lines("sum", text, columns)
    last = ledger["last"]
    text = f'routing_gradient="last" includes only {", ".join(last["keeps"])}:'
    text += " the stop-gradient through the coupling weights drops the other rows"
    text += f"  (residual {format_magnitude(last['residual'])})"
    return fit_lines([*lines, *label_lines("*", text, columns)], columns)
