"""A benchmark run: start the contenders' processes, warm up, time in rounds, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mindref.backend import list_backends, load_backend
from mindref.bench import machine, timing
from mindref.bench.contenders import thread_environment, uses_jax
from mindref.bench.lower_bound import LOWER_BOUND
from mindref.bench.timing import Rows, add_loss_agreement, add_ratios
from mindref.bench.workers import WorkerFailed, WorkerPool
from mindref.bench.workload import WorkloadSettings, recipe_config
from mindref.errors import FOREIGN_ERRORS, BackendError, say
from mindref.models.family import check_trainable, family_of
from mindref.process.threads import usable_cores

FORMAT = 3  # version of the result of `run_bench`
BASES = ("numba", "numpy")  # base of the ratios: the first that is usable
MIN_ROUNDS = 3  # even for the slowest task
TIMING_SETTINGS = ("tasks", "rounds", "warm_up", "burst", "lead", "limit", "device")


Show = Callable[[str], None]


class BenchPlan(NamedTuple):
    """What to time, and how."""

    names: tuple[str, ...]
    settings: WorkloadSettings
    tasks: tuple[str, ...]
    rounds: int = 30
    warm_up: int = 2
    burst: int = 50  # steps timed together in a round
    lead: float = 0.25  # seconds of untimed steps before a burst
    limit: float = 60.0  # seconds of a task, for warm-up and for rounds; slow tasks: fewer rounds
    device: str = "cpu"  # of contenders that support several


def installed_contenders(device: str = "cpu", model: str = "mind") -> tuple[str, ...]:
    """Return all installed contenders that compute a model; for `cuda` those with devices."""
    names = [name for name in sorted(list_backends()) if computes_model(name, model)]
    return tuple(name for name in names if device != "cuda" or supports_devices(name))


def computes_model(name: str, model: str) -> bool:
    """Return whether a contender computes a model; module:object is unknown until it is loaded."""
    config = recipe_config(model)
    if ":" in name or family_of(config.model).in_contract:
        return True
    try:
        check_trainable(load_backend(name), config)
    except FOREIGN_ERRORS:
        return False
    return True


def supports_devices(name: str) -> bool:
    """Return whether a contender may support other devices than the CPU, without creating it."""
    if ":" in name:  # unknown until its worker loads it
        return True
    try:
        return hasattr(list_backends()[name].load(), "on")
    except FOREIGN_ERRORS:
        return True  # its worker reports the error


def check_plan(plan: BenchPlan) -> None:
    """Raise BackendError or ConfigError for a plan that cannot run, before anything starts."""
    backends = list_backends()
    model = plan.settings.model
    for name in plan.names:
        if name not in backends and ":" not in name:
            expected = f"one of {', '.join(sorted(backends))}, or module:object"
            raise BackendError(say("--backends", expected, repr(name)))
        if plan.device == "cuda" and not supports_devices(name):
            todo = "choose --device cpu or auto, or --backends that support this device"
            raise BackendError(say(f"--backends {name}: device", "cpu or auto", "cuda", todo))
        if not computes_model(name, model):
            todo = f"choose --backends {','.join(installed_contenders(plan.device, model))}"
            expected = "a model that this backend computes"
            raise BackendError(say(f"--backends {name}: --model", expected, model, todo))
    plan.settings.config()  # raises for invalid sizes


def run_bench(plan: BenchPlan, show: Show) -> dict[str, Any]:
    """Time everything; return the result as JSON values. Raises BackendError or ConfigError.

    show: receives a line when a phase starts.
    """
    check_plan(plan)
    result: dict[str, Any] = {"format": FORMAT, "machine": machine.machine_facts()}
    result["versions"] = machine.installed_versions()
    values = plan._asdict()
    timing_settings = {name: values[name] for name in TIMING_SETTINGS}
    result["settings"] = {**plan.settings.to_dict(), **timing_settings}
    with WorkerPool() as pool:
        result |= time_contenders(pool, plan, show)
    return result


def time_contenders(pool: WorkerPool, plan: BenchPlan, show: Show) -> dict[str, Any]:
    """Return contenders, tasks, the lower bound of a step, and the base of the ratios."""
    facts = start_workers(pool, plan, show)
    if not {*facts} - {LOWER_BOUND} and plan.device == "cuda":
        got = "; ".join(f"{name}: {pool.reasons[name]}" for name in plan.names)
        raise BackendError(say("--device", "a backend that supports this device", got))
    contenders: dict[str, dict[str, Any]] = {}
    for name in plan.names:
        if name in facts:
            threads = plan.settings.threads
            contenders[name] = {
                "usable": True,
                **facts[name],
                "environment": thread_environment(name, threads, plan.device),
                "pinned_to_cores": threads if is_pinned(name, threads) else None,
            }
        else:
            contenders[name] = {"usable": False, "reason": pool.reasons[name]}
    base = next((name for name in BASES if name in facts), next(iter(facts), None))
    tasks: dict[str, Rows] = {}
    bound: dict[str, Any] | None = None
    for task in plan.tasks:
        rows = time_task(pool, plan, task, show)
        if LOWER_BOUND in rows:  # after a step only
            bound = {**facts[LOWER_BOUND], **rows.pop(LOWER_BOUND)}
            add_ratios(rows, bound, "times_bound")
        count = plan.settings.batch if task == "step" else plan.settings.users
        for row in timing.timed_rows(rows):
            row["rate"] = count / row["median"]  # examples or users per second
        add_ratios(rows, rows.get(base or "", {}))
        if task == "step":  # first steps start from equal parameters, so losses must agree
            add_loss_agreement(rows, base)
        tasks[task] = rows
    return {"contenders": contenders, "relative_to": base, "tasks": tasks, "lower_bound": bound}


def worker_job(
    name: str, settings: WorkloadSettings, tasks: Sequence[str], device: str = "cpu"
) -> dict[str, object]:
    """Return the first line that a worker reads."""
    return {
        "name": name,
        "settings": settings.to_dict(),
        "tasks": tasks,
        "device": device,
        "pin": is_pinned(name, settings.threads),
    }


def is_pinned(name: str, threads: int) -> bool:
    """Return whether a process is restricted to as many cores as it may have threads."""
    return uses_jax(name) and threads < usable_cores()


def start_workers(pool: WorkerPool, plan: BenchPlan, show: Show) -> dict[str, dict[str, Any]]:
    """Start all workers at once; return name -> facts of each usable worker."""
    show(f"starting and compiling kernels: {', '.join(plan.names)}")
    names = [*plan.names, LOWER_BOUND] if "step" in plan.tasks else plan.names
    for name in names:
        job = worker_job(name, plan.settings, plan.tasks, plan.device)
        variables = thread_environment(
            "numba" if name == LOWER_BOUND else name, plan.settings.threads, plan.device
        )
        pool.start(name, job, variables)
    facts = {name: pool.wait_until_ready(name) for name in names}
    return {name: values for name, values in facts.items() if values is not None}


def time_task(pool: WorkerPool, plan: BenchPlan, task: str, show: Show) -> Rows:
    """Return name -> row of a task; the row of a failed contender has the error."""
    rows: Rows = {}
    names = [name for name in pool.usable() if task == "step" or name != LOWER_BOUND]
    limit = plan.limit / max(len(names), 1)
    for name in names:
        show(f"{task}: warming up {name}")
        command = {"do": "begin", "task": task, "warm_up": plan.warm_up, "limit": limit}
        rows[name] = request_or_error(pool, name, **command)
        if "seconds" in rows[name]:
            rows[name]["warm_up_seconds"] = rows[name].pop("seconds")

    def run(name: str) -> float | None:
        command = {"do": "run", "task": task, "steps": plan.burst, "lead": plan.lead}
        answer = request_or_error(pool, name, **command)
        if "error" in answer:
            rows[name] = answer
            return None
        return float(answer["seconds"])

    has_time = timing.time_limit(plan.limit)
    ready = [name for name in names if "error" not in rows[name]]

    show(f"{task}: timing {plan.rounds} rounds")
    times = timing.run_interleaved(
        ready, plan.rounds, run, lambda turn: turn < MIN_ROUNDS or has_time()
    )
    for name, seconds in times.items():
        rows[name] |= {"seconds": seconds, **timing.summarise_times(seconds)._asdict()}
        rows[name] |= request_or_error(pool, name, do="end")
    return rows


def request_or_error(pool: WorkerPool, name: str, **command: object) -> dict[str, Any]:
    """Return the answer of a worker, or {"error": reason}."""
    try:
        return pool.request(name, **command)
    except WorkerFailed as error:
        return {"error": str(error)}
