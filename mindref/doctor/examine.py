"""Runs all checks, in the order of their dependencies; probes run in child processes.

A child process is killed after a time limit. The output of third-party code is discarded; the
answer of a probe is one line of JSON.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import cast

import mindref
from mindref.doctor.checks import LOCAL_CHECKS, Finding, capture_finding
from mindref.doctor.probes import PLUGINS, failed_probe
from mindref.process.child import child_command
from mindref.process.threads import usable_cores

FORMAT = "mindref doctor 1"
LIMIT = 60.0  # seconds per probe: enough for a cold cache and a large framework
CORE_PROBES = ("numpy", "numba", "kernels")


def examine() -> list[Finding]:
    """Return the findings of all checks. A broken installation raises nothing."""
    pool = ThreadPoolExecutor(max(2, usable_cores()))

    def start(title: str, *probe: str) -> Future[Finding]:
        return pool.submit(capture_finding, title, partial(run_probe, LIMIT, *probe))

    try:
        listed = start("registered", "registered")
        core = [start(probe, probe) for probe in CORE_PROBES]
        local = [capture_finding(name, check) for name, check in LOCAL_CHECKS.items()]
        names = listed.result().facts
        plugins = [
            start(f"{kind} {name}", kind, str(name))
            for kind in PLUGINS
            for name in cast(Sequence[str], names.get(kind, ()))
        ]
        return [*local, *(future.result() for future in (*core, listed, *plugins))]
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C starts no further probe


def run_probe(limit: float, probe: str, argument: str = "") -> Finding:
    """Return the finding of a probe. A crash, an exit or a timeout is a failed probe.

    limit: seconds. Ctrl-C reaches the process of the probe too.
    """
    try:
        process = subprocess.run(
            child_command("mindref.doctor.probes", probe, argument),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=limit,
            check=False,
        )
    except OSError as error:
        return failed_probe(probe, argument, f"no process could be started ({error})")
    except subprocess.TimeoutExpired:
        return failed_probe(probe, argument, f"no answer within {limit:g} seconds")
    for line in reversed(process.stdout.splitlines()):
        with suppress(ValueError, TypeError):
            return Finding(**json.loads(line))
    last_line = (process.stderr.strip().splitlines() or ["no message"])[-1]
    return failed_probe(probe, argument, f"{describe_exit(process.returncode)}: {last_line}")


def describe_exit(code: int) -> str:
    """Return how a process ended, as text."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def installation_works(findings: list[Finding]) -> bool:
    """Return whether no finding is a problem."""
    return all(finding.state != "problem" for finding in findings)


def report_json(findings: list[Finding]) -> dict[str, object]:
    """Return all findings as JSON values."""
    rows = [finding._asdict() for finding in findings]
    version, works = mindref.__version__, installation_works(findings)
    return {"format": FORMAT, "mindref": version, "works": works, "checks": rows}
