"""mindref export: write a run as files for serving without mindref."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from mindref.cli import settings
from mindref.cli.stderr import print_stderr

KINDS = ("onnx", "torch")


@click.command("export", short_help="Write a run as files for serving without mindref.")
@click.argument("run", type=settings.FOLDER)
@click.option(
    "--to", "kind", type=click.Choice(KINDS), required=True,
    help="File type: ONNX, or torch.export (.pt2; models mind and mind_plus).",
)  # fmt: skip
@click.option(
    "--output", type=settings.FOLDER,
    help="New or empty output folder [default: export-onnx or export-torch in RUN].",
)  # fmt: skip
@click.option(
    "--users", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, metavar="N",
    help="Number of users of the log for the comparison with the reference [1 to 1000000].",
)  # fmt: skip
@settings.moved_log_option
@settings.json_option
def export_command(
    run: Path, kind: str, output: Path | None, users: int, data: Path | None, as_json: bool
) -> int:
    """Write the user tower of RUN, its item matrix, the item ids and a manifest.

    \b
    Inputs of the tower:
      item rows (batch, length), int64, oldest behaviour first
      mask (batch, length), bool
      profile, only for runs with user features
    Outputs:
      interests (batch, K, width), float32
      active interests (batch, K), bool

    Batch and length may have any size. The keyed initial logits are stored as constants. ONNX
    requires the extra `onnx`, and torch the package mindref-torch. Models: mind, mind_plus,
    youtube_dnn.

    The exported file is run and compared with the backend `numpy`: on users of the log, or on
    random histories if the log cannot be read. Exit code 1: the results differ; no file is kept.
    """
    settings.set_threads(None)
    output = output if output is not None else run / f"export-{kind}"
    settings.check_writable("--output", output)
    from mindref.recommender.export import ExportDiffers, export_run

    try:
        result = export_run(run, kind, output, users=users, data=data)
    except ExportDiffers as error:
        print_stderr(str(error))
        if as_json:
            facts = error.verdict._asdict().items()  # null for a number that is not finite
            finite = {k: None if v in (math.inf, -math.inf) or v != v else v for k, v in facts}
            click.echo(json.dumps({"checked": finite}))
        return 1
    for line in result["warnings"]:
        print_stderr(line)
    if as_json:
        click.echo(json.dumps(result))
        return 0
    print_export(result, output)
    return 0


def print_export(result: dict[str, Any], output: Path) -> None:
    """Print the files, and the difference between the tower and the reference."""
    for name, file in result["files"].items():
        click.echo(f"{name:<20} {file['bytes']:>12,} bytes")
    checked = result["checked"]
    click.echo(
        f"checked on {checked['users']:,} {checked['histories']} and one empty history: largest"
        f" difference from the reference {checked['difference']:.1e} of a user's largest entry"
        f" (allowed: {checked['allowed']:.1e})"
    )
    click.echo(f"export: {output}")
