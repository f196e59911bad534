"""All checks, in the order in which one thing needs the other."""

from __future__ import annotations

import json
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import resources
from typing import Any

import mindref
from mindref.doctor import installed, machine, places, tried
from mindref.doctor.check import Check, guarded, works
from mindref.doctor.child import Nurse
from mindref.process.threads import cores

FORMAT = "mindref doctor 1"
LIMIT = 60.0  # seconds that one part may take, so that a cold cache and a large framework may


def examine(limit: float = LIMIT) -> list[Check]:
    """Look at everything, and return what each came to; never raises for what is broken.

    limit: seconds that each process may take that tries a part. They run beside one another.
    """
    nurse = Nurse(limit)
    before = [
        ("mindref", installed.itself),
        ("python", installed.python),
        ("packages", installed.packages),
        ("extras", installed.extras),
        ("variables", installed.variables),
        ("processor", machine.cpu),
        ("memory", machine.memory),
        ("folder", places.here),
        ("temporary", places.temporary),
        ("home", places.home),
        ("output", places.terminal),
    ]
    core = [
        ("numpy", partial(tried.numpy, nurse)),
        ("scipy", partial(tried.package, nurse, "scipy", "scipy.sparse")),
        ("safetensors", partial(tried.package, nurse, "safetensors", "safetensors.numpy")),
        ("numba", partial(tried.numba, nurse)),
        ("kernels", partial(tried.kernels, nurse)),
    ]
    with ThreadPoolExecutor(max(2, cores())) as pool:
        try:
            listed = pool.submit(listing, nurse)
            coming = [pool.submit(guarded, name, look) for name, look in core]
            found = [guarded(name, look) for name, look in before]
            head, looks = listed.result()
            more: list[Future[Check]] = [
                pool.submit(guarded, name, look) for name, look in looks.items()
            ]
            return [*found, *(x.result() for x in coming), head, *(x.result() for x in more)]
        finally:
            nurse.close()  # after Ctrl-C nobody waits for what hangs


def listing(nurse: Nurse) -> tuple[Check, dict[str, tried.Look]]:
    """Return what is registered and what looks at it; nothing where that cannot be said."""
    looks: dict[str, tried.Look] = {}

    def look() -> Check:
        check, found = tried.registered(nurse)
        looks.update(found)
        return check

    return guarded("registered", look), looks


def as_json(checks: list[Check]) -> dict[str, Any]:
    """Return all checks as plain values, in the form of schema.json."""
    rows = [check._asdict() for check in checks]
    version = mindref.__version__
    return {"format": FORMAT, "mindref": version, "works": works(checks), "checks": rows}


def schema() -> dict[str, Any]:
    """Return the form of the report, a JSON Schema of draft 2020-12."""
    file = resources.files("mindref.doctor").joinpath("schema.json")
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
