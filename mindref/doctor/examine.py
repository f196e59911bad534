"""Runs all checks, in the order of their dependencies; probes run in child processes.

A child process and its children are killed after a time limit. The output of third-party code is
discarded; the answer of a probe is one line of JSON.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from importlib import resources
from typing import cast

import mindref
from mindref.doctor.checks import LOCAL_CHECKS, Finding, capture_finding
from mindref.doctor.probes import PLUGINS, failed_probe
from mindref.process.child import child_command
from mindref.process.threads import usable_cores

FORMAT = "mindref doctor 1"
LIMIT = 60.0  # seconds per probe: enough for a cold cache and a large framework
CORE_PROBES = {  # title -> probe and argument
    "numpy": ("numpy",),
    "scipy": ("import", "scipy.sparse"),
    "safetensors": ("import", "safetensors.numpy"),
    "numba": ("numba",),
    "kernels": ("kernels",),
}


def examine(limit: float = LIMIT) -> list[Finding]:
    """Return the findings of all checks. A broken installation raises nothing.

    limit: seconds for each probe. Probes run in parallel.
    """
    runner = ProbeRunner(limit)

    def start(title: str, *probe: str) -> Future[Finding]:
        return pool.submit(capture_finding, title, partial(runner.run, *probe))

    with ThreadPoolExecutor(max(2, usable_cores())) as pool:
        try:
            listed = start("registered", "registered")
            core = [start(title, *probe) for title, probe in CORE_PROBES.items()]
            local = [capture_finding(name, check) for name, check in LOCAL_CHECKS.items()]
            names = listed.result().facts
            plugins = [
                start(f"{kind} {name}", kind, str(name))
                for kind in PLUGINS
                for name in cast(Sequence[str], names.get(kind, ()))
            ]
            return [*local, *(future.result() for future in (*core, listed, *plugins))]
        finally:
            runner.close()  # after Ctrl-C, kill probes that hang


class ProbeRunner:
    """Runs probes in child processes, and kills the running ones when it is closed."""

    def __init__(self, limit: float) -> None:
        self.limit = limit  # seconds
        self.running: set[subprocess.Popen[str]] = set()
        self.closed = False

    def run(self, probe: str, argument: str = "") -> Finding:
        """Return the finding of a probe. A crash, an exit or a timeout is a failed probe."""
        if self.closed:
            return failed_probe(probe, argument, "the runner is closed")
        try:
            child = subprocess.Popen(
                child_command("mindref.doctor.probes", probe, argument),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,  # so that its children can be killed with it
            )
        except OSError as error:
            return failed_probe(probe, argument, f"no process could be started ({error})")
        self.running.add(child)
        try:
            out, err = child.communicate(timeout=self.limit)
        except subprocess.TimeoutExpired:
            return failed_probe(probe, argument, f"no answer within {self.limit:g} seconds")
        finally:
            kill_session(child)
            self.running.discard(child)
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=5)
            for stream in (child.stdout, child.stderr):
                with suppress(OSError, AttributeError):
                    stream.close()  # type: ignore[union-attr]  # a stray process may hold it open
        for line in reversed(out.splitlines()):
            with suppress(ValueError, TypeError):
                return Finding(**json.loads(line))
        last_line = (err.strip().splitlines() or ["no message"])[-1]
        return failed_probe(probe, argument, f"{describe_exit(child.returncode)}: {last_line}")

    def close(self) -> None:
        """Kill all running children."""
        self.closed = True
        for child in list(self.running):
            kill_session(child)


def describe_exit(code: int) -> str:
    """Return how a process ended, as text."""
    if code >= 0:
        return f"exit code {code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(-code).name}"
    return f"killed by signal {-code}"


def kill_session(child: subprocess.Popen[str]) -> None:
    """Kill a child and the processes of its session."""
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(child.pid, signal.SIGKILL)
        else:
            child.kill()


def installation_works(findings: list[Finding]) -> bool:
    """Return whether no finding is a problem."""
    return all(finding.state != "problem" for finding in findings)


def report_json(findings: list[Finding]) -> dict[str, object]:
    """Return all findings as JSON values, in the form of schema.json."""
    rows = [finding._asdict() for finding in findings]
    version, works = mindref.__version__, installation_works(findings)
    return {"format": FORMAT, "mindref": version, "works": works, "checks": rows}


def report_schema() -> dict[str, object]:
    """Return the JSON Schema (draft 2020-12) of the report."""
    file = resources.files("mindref.doctor").joinpath("schema.json")
    content: dict[str, object] = json.loads(file.read_text(encoding="utf-8"))
    return content
