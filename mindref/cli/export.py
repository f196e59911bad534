"""mindref export: write a run as files for serving without mindref."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import click

from mindref.cli import run_settings, settings
from mindref.cli.streams import print_json, print_stderr, print_stdout

ONNX, VECTORS = KINDS = ("onnx", "vectors")


@click.command("export", short_help="Write a run as files for serving without mindref.")
@click.argument("run", type=settings.FOLDER)
@click.option(
    "--to", "kind", type=click.Choice(KINDS), required=True,
    help="User tower as ONNX, or vectors for other search engines as Parquet (extra `parquet`).",
)  # fmt: skip
@click.option(
    "--output", type=settings.FOLDER,
    help="New or empty output folder [default: export-KIND in RUN].",
)  # fmt: skip
@click.option(
    "--users", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, metavar="N",
    help="Number of users of the log for the comparison with the reference [1 to 1000000].",
)  # fmt: skip
@click.option(
    "--all-users", is_flag=True,
    help="With --to vectors: also write the interests and histories of all users of the log.",
)  # fmt: skip
@settings.moved_log_option
@settings.json_option
def export_command(
    run: Path,
    kind: str,
    output: Path | None,
    users: int,
    all_users: bool,
    data: Path | None,
    as_json: bool,
) -> int:
    """Write RUN for serving without mindref: the user tower, or vectors.

    --to vectors writes the vectors of all items that the model can recommend, in a format that
    search engines and vector databases read, with a manifest.

    --to onnx writes the user tower, the item matrix, the item ids and a manifest.

    \b
    Inputs of the tower:
      item rows (batch, length), int64, oldest behaviour first
      mask (batch, length), bool
      profile, only for runs with user features
    Outputs:
      interests (batch, K, width), float32
      active interests (batch, K), bool

    Batch and length may have any size. The keyed initial logits are stored as constants. ONNX
    requires the extra `onnx`. Models: mind, mind_plus, youtube_dnn.

    The exported file is run and compared with the backend `numpy`: on users of the log, or on
    random histories if the log cannot be read. Exit code 1: the results differ; no file is kept.
    """
    allowed = {"run", "kind", "output", "data", "as_json"}
    allowed |= {"all_users"} if kind == VECTORS else {"users"}
    options = "--all-users" if kind == VECTORS else "--users"
    expected = f"only --output, --data, --json, {options}"
    settings.reject_other_options(f"--to {kind}", allowed, expected)
    output = output if output is not None else run / f"export-{kind}"
    settings.check_writable("--output", output)
    if kind == VECTORS:
        settings.set_threads(None, run_settings.run_backend(run))
        from mindref.recommender.export import export_vectors

        result = export_vectors(run, output, all_users=all_users, data=data)
        line = vectors_line(result)
    else:
        settings.set_threads(None)
        from mindref.recommender.export import ExportDiffers, export_run

        try:
            result = export_run(run, output, users=users, data=data)
        except ExportDiffers as error:
            print_stderr(str(error))
            if as_json:
                checked = error.verdict._asdict()
                for name, value in checked.items():
                    if isinstance(value, float) and not math.isfinite(value):
                        checked[name] = None  # JSON has no such number
                print_json({"checked": checked})
            return 1
        line = checked_line(result["checked"])
    print_stderr(*result["warnings"])
    if as_json:
        print_json(result)
        return 0
    sizes = {name: file["bytes"] for name, file in result["files"].items()}
    print_stdout(*(f"{name:<20} {size:>12,} bytes" for name, size in sizes.items()))
    print_stdout(line, f"export: {output}")
    return 0


def vectors_line(result: dict[str, Any]) -> str:
    """Return the numbers of exported rows."""
    items, width = result["items"]["shape"]
    line = f"{items:,} items of width {width}"
    if users := result.get("users"):
        interests, behaviours = users["interests"], users["behaviours"]
        line += (
            f"; {interests:,} interests and {behaviours:,} behaviours of {users['users']:,} users"
        )
    return line


def checked_line(checked: dict[str, Any]) -> str:
    """Return the difference between the exported tower and the reference."""
    return (
        f"checked on {checked['users']:,} {checked['histories']} and one empty history: largest"
        f" difference from the reference {checked['difference']:.1e} of a user's largest entry"
        f" (allowed: {checked['allowed']:.1e})"
    )
