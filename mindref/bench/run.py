"""A benchmark run: start the contenders' processes, warm up, time in rounds, report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from mindref.backend import list_backends, load_backend
from mindref.bench import machine, timing
from mindref.bench.choices import SCALED_SETTINGS
from mindref.bench.contenders import thread_environment, uses_jax
from mindref.bench.timing import add_loss_agreement, add_ratios
from mindref.bench.workers import WorkerFailed, WorkerPool
from mindref.bench.workload import WorkloadSettings, recipe_config, unused_sizes
from mindref.errors import FOREIGN_ERRORS, BackendError, ConfigError, say
from mindref.models.family import check_trainable, family_of
from mindref.process.threads import usable_cores

FORMAT = 2  # version of the result of `run_bench`
DEFAULT_BASES = ("numba", "numpy")  # base of the ratios: the first that is usable
MIN_ROUNDS = 3  # even for the slowest task
TIMING_SETTINGS = ("tasks", "rounds", "warm_up", "burst", "lead", "limit", "scaling", "device")


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
    base: str | None = None  # contender that the others are compared with
    scaling: tuple[str, ...] = ()  # sizes to vary: see scaling_rows
    device: str = "cpu"  # of contenders that support several


class ProgressListener(Protocol):
    """Receives the progress of a run."""

    def on_phase(self, text: str) -> None:
        """A phase starts."""

    def on_round(self, task: str, turn: int, rounds: int) -> None:
        """A round starts, counted from 0."""


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
    if plan.base is not None and plan.base not in plan.names:
        expected = f"one of the contenders: {', '.join(plan.names)}"
        raise ConfigError(say("--relative-to", expected, repr(plan.base)))
    unused = unused_sizes(plan.settings.config())  # raises for invalid sizes
    for size in plan.scaling:
        if SCALED_SETTINGS[size][0] in unused:
            expected = f"sizes that --model {model} uses"
            raise ConfigError(say("--scaling", expected, size, f"remove {size}"))


def run_bench(plan: BenchPlan, listener: ProgressListener) -> dict[str, Any]:
    """Time everything; return the result as JSON values. Raises BackendError or ConfigError."""
    check_plan(plan)
    result: dict[str, Any] = {"format": FORMAT, "machine": machine.machine_facts()}
    result["versions"] = machine.installed_versions()
    values = plan._asdict()
    timing_settings = {name: values[name] for name in TIMING_SETTINGS}
    result["settings"] = {**plan.settings.to_dict(), **timing_settings}
    with WorkerPool() as pool:
        result |= time_contenders(pool, plan, listener)
    usable = tuple(name for name, x in result["contenders"].items() if x["usable"])
    result["scaling"] = [
        row
        for size in plan.scaling
        for row in scaling_rows(plan._replace(names=usable), size, listener)
    ]
    return result


def time_contenders(
    pool: WorkerPool, plan: BenchPlan, listener: ProgressListener
) -> dict[str, Any]:
    """Return contenders, tasks, and the base of the ratios."""
    jobs = {name: (name, plan.settings) for name in plan.names}
    facts = start_workers(pool, jobs, plan, listener)
    if not facts and plan.device == "cuda":
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
    default = next((name for name in DEFAULT_BASES if name in facts), next(iter(facts), None))
    base = plan.base or default
    tasks = {}
    for task in plan.tasks:
        rows = time_task(pool, plan, task, listener)
        count = plan.settings.batch if task == "step" else plan.settings.users
        for row in timing.timed_rows(rows):
            row["rate"] = count / row["median"]  # examples or users per second
        add_ratios(rows, base)
        if task == "step":  # first steps start from equal parameters, so losses must agree
            add_loss_agreement(rows, base)
        tasks[task] = rows
    return {"contenders": contenders, "relative_to": base, "tasks": tasks}


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


def start_workers(
    pool: WorkerPool,
    jobs: dict[str, tuple[str, WorkloadSettings]],
    plan: BenchPlan,
    listener: ProgressListener,
) -> dict[str, dict[str, Any]]:
    """Start all workers at once; return key -> facts of each usable worker."""
    listener.on_phase(f"starting and compiling kernels: {', '.join(jobs)}")
    for key, (name, settings) in jobs.items():
        job = worker_job(name, settings, plan.tasks, plan.device)
        pool.start(key, job, thread_environment(name, settings.threads, plan.device))
    facts = {key: pool.wait_until_ready(key) for key in jobs}
    return {key: values for key, values in facts.items() if values is not None}


def time_task(
    pool: WorkerPool,
    plan: BenchPlan,
    task: str,
    listener: ProgressListener,
    title: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Return name -> row of a task; the row of a failed contender has the error."""
    rows: dict[str, dict[str, Any]] = {}
    names, title = pool.usable(), title or task
    limit = plan.limit / max(len(names), 1)
    for name in names:
        listener.on_phase(f"{title}: warming up {name}")
        command = {"do": "begin", "task": task, "warm_up": plan.warm_up, "limit": limit}
        rows[name] = request_or_error(pool, name, **command)
        if "seconds" in rows[name]:
            rows[name]["warm_up_seconds"] = rows[name].pop("seconds")
    answers: dict[str, list[dict[str, Any]]] = {name: [] for name in names}

    def run(name: str) -> float | None:
        command = {"do": "run", "task": task, "steps": plan.burst, "lead": plan.lead}
        answer = request_or_error(pool, name, **command)
        if "error" in answer:
            rows[name] = answer
            return None
        answers[name].append(answer)
        return float(answer["seconds"])

    has_time = timing.time_limit(plan.limit)
    ready = [name for name in names if "error" not in rows[name]]

    def on_round(turn: int) -> bool:
        listener.on_round(title, turn, plan.rounds)
        return turn < MIN_ROUNDS or has_time()

    times = timing.run_interleaved(ready, plan.rounds, run, on_round)
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


def vary_setting(size: str, settings: WorkloadSettings) -> dict[int, WorkloadSettings]:
    """Return value -> settings with this value of the size."""
    name, values = SCALED_SETTINGS[size]
    if name == "threads":
        values = (*(2**i for i in range(10) if 2**i < usable_cores()), usable_cores())
    fields = settings.to_dict()
    return {value: WorkloadSettings.of({**fields, name: value}) for value in values}


def scaling_rows(plan: BenchPlan, size: str, listener: ProgressListener) -> list[dict[str, Any]]:
    """Return a row per contender and value: times of a step, ratio to the first value.

    All values of one contender are timed together in interleaved rounds, each in a separate
    process, so that their comparison does not depend on the time of day. Contenders are timed one
    after the other, because each holds tables of up to a million items in memory.
    """
    rows = []
    for name in plan.names:
        with WorkerPool() as pool:
            rows += contender_rows(pool, plan, size, name, listener)
    return rows


def contender_rows(
    pool: WorkerPool, plan: BenchPlan, size: str, name: str, listener: ProgressListener
) -> list[dict[str, Any]]:
    """Return the rows of one contender."""
    settings = vary_setting(size, plan.settings)
    keys = {value: f"{name} at {size}={value}" for value in settings}
    jobs = {keys[value]: (name, changed) for value, changed in settings.items()}
    facts = start_workers(pool, jobs, plan._replace(tasks=("step",)), listener)
    times = time_task(pool, plan, "step", listener, f"scaling {size}, {name}")
    add_ratios(times, keys[min(settings)])
    rows = []
    for value, key in keys.items():
        row = times.get(key, {"error": pool.reasons.get(key, "not timed")})
        if "error" in row:
            row = {"error": row["error"]}
        else:  # bytes of the tables, behaviours of a batch
            row |= {name: facts[key][name] for name in ("tables", "behaviours")}
            row["rate"] = settings[value].batch / row["median"]
        rows.append({"contender": name, "size": size, "value": value} | row)
    return rows
