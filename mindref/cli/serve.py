"""mindref serve: answer requests for recommendations over HTTP."""

from __future__ import annotations

from pathlib import Path

import click

from mindref.cli import run_settings, settings, signals
from mindref.cli.streams import print_stderr, print_stdout
from mindref.process.threads import usable_cores


@click.command("serve", short_help="Recommend over HTTP: users or histories to items, as JSON.")
@click.argument("run", type=settings.FOLDER)
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
    help="Address to listen on. The default accepts only this machine. The service has no"
    " authentication.",
)  # fmt: skip
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, metavar="N",
    help="Port to listen on [0 to 65535]; 0: a free port.",
)  # fmt: skip
@click.option(
    "--reload/--no-reload", "reloads", default=True, show_default=True,
    help="Whether POST /reload is answered, which any client may send.",
)  # fmt: skip
@settings.index_option
@settings.backend_option
@settings.device_option
@click.option(
    "--threads", type=click.IntRange(1, 1024), metavar="N",
    help="Number of requests that are computed at the same time [1 to 1024; default: all cores].",
)  # fmt: skip
def serve_command(
    run: Path,
    host: str,
    port: int,
    reloads: bool,
    index: str,
    backend: str | None,
    device: str,
    threads: int | None,
) -> int:
    """Serve RUN over HTTP until Ctrl-C or SIGTERM. Requires the extra `serve`.

    \b
    POST /recommend    {"history": ["ITEM", ...], "n": 10} -> items with title, score, interest
                       {"user": "ID"} -> items for a user of the run's log
                       {"histories": [[...], ...]} -> lists; also only, exclude, per_interest
    POST /similar      {"item": "ITEM", "n": 10} -> similar items
    POST /reload       {} -> load RUN again, after a newer run has replaced it
    GET  /health       model and index
    GET  /metrics      counters for Prometheus
    GET  /openapi.json description of the routes

    If nothing is known of a user, the answer has the most popular items and "fallback": "popular".

    The run is verified and loaded before the port accepts requests. Requests in progress are
    finished when the service stops.
    """
    settings.set_threads(1, backend or run_settings.run_backend(run))  # one thread for each request
    from mindref.service.server import load_service, run_server

    with (
        load_service(
            run, host=host, port=port, kind=index, log=print_stderr, backend=backend, device=device
        ) as loaded,
        signals.stop_on_signals() as stop,
    ):
        run_server(
            loaded,
            threads or usable_cores(),
            stop,
            lambda url: print_stdout(f"serving {run} at {url}"),
            print_stderr,
            reloads=reloads,
        )
    print_stderr("Stopped.")
    return stop.code
