"""Runs all checks, in the order of their dependencies."""

from __future__ import annotations

import json
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import resources
from pathlib import Path
from typing import Any

import mindref
from mindref.doctor import installation, machine
from mindref.doctor.finding import Finding, capture_finding, installation_works
from mindref.doctor.probe_runner import ProbeRunner
from mindref.doctor.probes import BUILT_IN, PROBES, REINSTALL
from mindref.process.threads import usable_cores

FORMAT = "mindref doctor 1"
LIMIT = 60.0  # seconds per probe: enough for a cold cache and a large framework
LOCAL_CHECKS = {
    "mindref": installation.check_mindref,
    "python": installation.check_python,
    "packages": installation.check_packages,
    "extras": installation.check_extras,
    "variables": installation.check_variables,
    "processor": machine.check_processor,
    "memory": machine.check_memory_size,
    # `mindref train` creates its runs in the current folder by default
    "folder": lambda: machine.check_folder_writable("folder", Path.cwd()),
    "temporary": lambda: machine.check_folder_writable("temporary", Path(tempfile.gettempdir())),
    "home": machine.check_home,
    "output": machine.check_output_encoding,
}
CORE_PROBES = {  # title -> probe and argument
    "numpy": ("numpy", ""),
    "scipy": ("import", "scipy.sparse"),
    "safetensors": ("import", "safetensors.numpy"),
    "numba": ("numba", ""),
    "kernels": ("kernels", ""),
}
PLUGINS = ("backend", "index", "export")  # probes of registered names


def examine(limit: float = LIMIT) -> list[Finding]:
    """Return the findings of all checks. A broken installation raises nothing.

    limit: seconds for each probe. Probes run in parallel.
    """
    runner = ProbeRunner(limit)

    def start(title: str, probe: str, argument: str = "") -> Future[Finding]:
        return pool.submit(
            capture_finding, title, partial(check_probe, runner, title, probe, argument)
        )

    with ThreadPoolExecutor(max(2, usable_cores())) as pool:
        try:
            listed = pool.submit(capture_finding, "registered", partial(check_registered, runner))
            core = [start(title, *probe) for title, probe in CORE_PROBES.items()]
            local = [capture_finding(name, check) for name, check in LOCAL_CHECKS.items()]
            registered = listed.result().facts
            plugins = [
                start(f"{kind} {name}", kind, name)
                for kind in PLUGINS
                for name in registered.get(kind, ())
            ]
            probed = [future.result() for future in (*core, listed, *plugins)]
            return [*local, *probed]
        finally:
            runner.close()  # after Ctrl-C, kill probes that hang


def check_registered(runner: ProbeRunner) -> Finding:
    """Return the names of backends, index kinds and export kinds."""
    finding = check_probe(runner, "registered", "registered")
    if finding.state == "ok":
        _ = [list(finding.facts[kind]) for kind in PLUGINS]  # raises for unexpected facts
        missing = [name for name in BUILT_IN if name not in finding.facts["backend"]]
        if missing:
            summary = f"no entry point of the built-in {', '.join(missing)}; {finding.summary}"
            todo = REINSTALL.format("mindref")
            return finding._replace(state="problem", summary=summary, todo=todo)
    return finding


def check_probe(runner: ProbeRunner, title: str, probe: str, argument: str = "") -> Finding:
    """Run a probe in a child process and return its finding.

    The failure of a probe of something that mindref needs is a problem, of a plugin a note.
    """
    result = runner.run(probe, *([argument] if argument else []))
    if not result.reason:
        return Finding.of(title, result.summary, result.todo, result.facts)
    todo = result.todo or PROBES[probe][1].format(argument.partition(".")[0])
    if probe == "backend" and argument in BUILT_IN:
        todo = REINSTALL.format("mindref")
    needed = probe not in PLUGINS or argument in BUILT_IN
    return Finding.of(title, f"not usable: {result.reason}", todo, problem=needed)


def report_json(findings: list[Finding]) -> dict[str, Any]:
    """Return all findings as JSON values, in the form of schema.json."""
    rows = [finding._asdict() for finding in findings]
    version, works = mindref.__version__, installation_works(findings)
    return {"format": FORMAT, "mindref": version, "works": works, "checks": rows}


def report_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the report."""
    file = resources.files("mindref.doctor").joinpath("schema.json")
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
