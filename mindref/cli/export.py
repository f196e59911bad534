"""mindref export: a run as files that are served without mindref."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from mindref.cli.settings import check_writable, json_option, set_threads
from mindref.cli.telling import tell

KINDS = ("onnx", "torch")


@click.command("export", short_help="A run as files that are served without mindref.")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--to", "kind", type=click.Choice(KINDS), required=True,
    help="A file of ONNX, or of torch.export (.pt2).",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(path_type=Path, file_okay=False),
    help="A new or empty folder [default: export-onnx or export-torch in RUN].",
)  # fmt: skip
@click.option(
    "--users", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, metavar="N",
    help="Users of the log on whom the file is compared with the reference [1 to 1000000].",
)  # fmt: skip
@click.option(
    "--data", type=click.Path(path_type=Path), help="Where the log lies now, if it has moved."
)
@json_option
def command(
    run: Path, kind: str, output: Path | None, users: int, data: Path | None, as_json: bool
) -> int:
    """Write the user tower of RUN, the matrix of its items, their ids and a manifest.

    The tower maps items (batch, length), ids of type int64 with the oldest first, and their mask of
    type bool to interests (batch, K, width) of type float32 and which of them are active; a run
    with user features has an input `profile`, too. Batch and length may be of any size. Initial
    logits are the keyed ones, as constants. Needs the package mindref-torch, for ONNX with its
    extra `export`.

    The file is run and compared with the backend `numpy` before anything is kept: on users of the
    log, or on drawn histories where the log cannot be read. Exit code 1: it answers otherwise.
    """
    set_threads(None)
    output = output if output is not None else run / f"export-{kind}"
    check_writable("--output", output)
    from mindref.recommender.export import Disagreement, export

    try:
        found = export(run, kind, output, users=users, data=data)
    except Disagreement as error:
        tell(str(error))
        if as_json:
            click.echo(json.dumps({"checked": plain(error.verdict._asdict())}))
        return 1
    for line in found["warnings"]:
        tell(line)
    if as_json:
        click.echo(json.dumps(found))
        return 0
    show(found, output)
    return 0


def plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Return facts as JSON can hold them: null where a number is not finite."""
    return {k: None if v in (math.inf, -math.inf) or v != v else v for k, v in facts.items()}


def show(found: dict[str, Any], output: Path) -> None:
    """Print the files, and how far the tower is from the reference."""
    for name, file in found["files"].items():
        click.echo(f"{name:<20} {file['bytes']:>12,} bytes")
    checked = found["checked"]
    click.echo(
        f"as the reference on {checked['users']:,} {checked['histories']} and one without"
        f" behaviours: largest difference {checked['difference']:.1e} of a user's largest entry,"
        f" {checked['allowed']:.1e} allowed"
    )
    click.echo(f"export: {output}")
