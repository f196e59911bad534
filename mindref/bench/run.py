"""One run of the bench: start the processes, warm up, time in rounds, put it all together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

from mindref.backend import available
from mindref.bench import floor, machine, timing
from mindref.bench.crew import Crew, Failed
from mindref.bench.floor import Counts
from mindref.bench.subjects import COMPETITORS, environment, of_jax
from mindref.bench.worker import FLOOR
from mindref.bench.world import Settings
from mindref.errors import STRANGE, BackendError, ConfigError, say
from mindref.process.threads import cores

FORMAT = 1  # of what `bench` returns
BASES = ("numba", "numpy")  # whom the others are compared with, unless asked otherwise
LEAST = 3  # rounds that the slowest task is given
SAME = 1e-3  # relative difference of first losses above which two subjects compute something else


class Plan(NamedTuple):
    """What is timed, and how."""

    names: tuple[str, ...]
    settings: Settings
    tasks: tuple[str, ...]
    rounds: int = 30
    warm_up: int = 2
    burst: int = 50  # steps timed together in a round
    lead: float = 0.25  # seconds of steps before them that are not timed
    limit: float = 60.0  # seconds of a task, warm-up and rounds each: slow ones get fewer rounds
    base: str | None = None  # whom the others are compared with
    scaling: tuple[str, ...] = ()  # numbers that are varied: see scaling.py
    device: str = "cpu"  # of those that have a choice


class Listener(Protocol):
    """Who is told how far the run is."""

    def say(self, text: str) -> None:
        """Hear what begins now."""

    def on_round(self, what: str, turn: int, rounds: int) -> None:
        """Hear that a round begins, from 0."""


def installed(device: str = "cpu") -> tuple[str, ...]:
    """Return the names of all that can be timed here, for `cuda` of those that have a choice."""
    if device == "cuda":
        return tuple(name for name in sorted(available()) if has_choice(name))
    brought = [name for name, x in COMPETITORS.items() if find_spec(x.framework) is not None]
    return (*sorted(available()), *brought)


def has_choice(name: str) -> bool:
    """Return whether a candidate may compute elsewhere than on the CPU; none is made for it."""
    if name in COMPETITORS:
        return False
    if ":" in name:  # its worker will say
        return True
    try:
        return hasattr(available()[name].load(), "on")
    except STRANGE:
        return True  # the same


def check(plan: Plan) -> None:
    """Raise BackendError or ConfigError, before anything starts, for what cannot be timed."""
    known = {*available(), *COMPETITORS}
    for name in plan.names:
        if name not in known and ":" not in name:
            expected = f"one of {', '.join(sorted(known))}, or module:object"
            raise BackendError(say("--backends", expected, repr(name)))
        if plan.device == "cuda" and not has_choice(name):
            todo = "choose --device cpu or auto, or --backends that compute there"
            raise BackendError(say(f"--backends {name}: device", "cpu or auto", "cuda", todo))
    if plan.base is not None and plan.base not in plan.names:
        expected = f"one of those that are timed: {', '.join(plan.names)}"
        raise ConfigError(say("--relative-to", expected, repr(plan.base)))
    plan.settings.config()  # raises for sizes that no training can have


def bench(plan: Plan, listener: Listener) -> dict[str, Any]:
    """Time everything and return it as values for JSON. Raises BackendError or ConfigError."""
    from mindref.bench import scaling

    check(plan)
    found: dict[str, Any] = {"format": FORMAT, "machine": machine.facts()}
    found["versions"] = machine.versions()
    found["settings"] = {**plan.settings.to_dict(), **choices(plan)}
    with Crew() as crew:
        found |= timed_together(crew, plan, listener)
    usable = tuple(name for name, x in found["candidates"].items() if x["usable"])
    found["scaling"] = [
        row
        for number in plan.scaling
        for row in scaling.rows(plan._replace(names=usable), number, listener)
    ]
    return found


def choices(plan: Plan) -> dict[str, Any]:
    """Return how it is timed, as values for JSON."""
    how = plan._asdict()
    names = ("tasks", "rounds", "warm_up", "burst", "lead", "limit", "scaling", "device")
    return {name: how[name] for name in names}


def timed_together(crew: Crew, plan: Plan, listener: Listener) -> dict[str, Any]:
    """Return candidates, tasks, floor and whom all are compared with."""
    wanted = {name: (name, plan.settings) for name in plan.names}
    facts = started(crew, wanted, plan, listener)
    if not facts and plan.device == "cuda":
        got = "; ".join(f"{name}: {crew.reasons[name]}" for name in plan.names)
        raise BackendError(say("--device", "a backend that computes there", got))
    of_floor = None
    if "step" in plan.tasks and facts:
        its = job(FLOOR, plan.settings, ())
        crew.start(FLOOR, its, environment(FLOOR, plan.settings.threads))
        of_floor = crew.greet(FLOOR)
    candidates = {
        name: {
            "usable": True,
            **facts[name],
            **surroundings(name, plan.settings.threads, plan.device),
        }
        if name in facts
        else {"usable": False, "reason": crew.reasons[name]}
        for name in plan.names
    }
    base = plan.base or next((name for name in BASES if name in facts), next(iter(facts), None))
    tasks, bound = {}, None
    for task in plan.tasks:
        rows = timed_task(crew, plan, task, listener)
        measured = rows.pop(FLOOR, None)
        add_rates(rows, task, plan.settings)
        add_ratios(rows, base)
        if task == "step":  # the first one starts from the same parameters everywhere
            add_sameness(rows, base)
        if of_floor is not None and measured is not None:
            bound = bound_of(of_floor["counts"], measured)
            add_bound(rows, bound)
        tasks[task] = rows
    return {"candidates": candidates, "relative_to": base, "tasks": tasks, "floor": bound}


def job(name: str, settings: Settings, tasks: Sequence[str], device: str = "cpu") -> dict[str, Any]:
    """Return the first line that a worker reads."""
    words = settings.to_dict()
    return {
        "name": name,
        "settings": words,
        "tasks": tasks,
        "device": device,
        "bound": pinned(name, settings.threads),
    }


def pinned(name: str, threads: int) -> bool:
    """Return whether a process is kept to as many cores as it may have threads."""
    return of_jax(name) and threads < cores()


def surroundings(name: str, threads: int, device: str = "cpu") -> dict[str, Any]:
    """Return how many threads a candidate has and by what it was told so."""
    found = environment(name, threads, device)
    kept_to = threads if pinned(name, threads) else None
    return {"environment": found, "pinned_to_cores": kept_to}


def started(
    crew: Crew,
    wanted: dict[str, tuple[str, Settings]],
    plan: Plan,
    listener: Listener,
) -> dict[str, dict[str, Any]]:
    """Start workers under keys, all at once; return what each usable one says of itself."""
    listener.say(f"starting and compiling kernels: {', '.join(wanted)}")
    for key, (name, settings) in wanted.items():
        its = job(name, settings, plan.tasks, plan.device)
        crew.start(key, its, environment(name, settings.threads, plan.device))
    greeted = {key: crew.greet(key) for key in wanted}
    return {key: words for key, words in greeted.items() if words is not None}


def timed_task(
    crew: Crew, plan: Plan, task: str, listener: Listener, what: str | None = None
) -> dict[str, dict[str, Any]]:
    """Return name -> row of a task, with the reason for one that failed."""
    rows: dict[str, dict[str, Any]] = {}
    what, limit = what or task, plan.limit / max(len(crew.usable()), 1)
    names = [name for name in crew.usable() if task == "step" or name != FLOOR]
    for name in names:
        listener.say(f"{what}: warming up {name}")
        rows[name] = asked(crew, name, do="begin", task=task, warm_up=plan.warm_up, limit=limit)
        if "seconds" in rows[name]:
            rows[name]["warm_up_seconds"] = rows[name].pop("seconds")
    best: dict[str, list[dict[str, Any]]] = {name: [] for name in names}

    def run(name: str) -> float | None:
        answer = asked(crew, name, do="run", task=task, steps=plan.burst, lead=plan.lead)
        if "error" in answer:
            rows[name] = answer
            return None
        best[name].append(answer)
        return float(answer["seconds"])

    goes_on = timing.until(plan.limit)
    able = [name for name in names if "error" not in rows[name]]

    def on_round(turn: int) -> bool:
        listener.on_round(what, turn, plan.rounds)
        return turn < LEAST or goes_on()

    times = timing.interleaved(able, plan.rounds, run, on_round)
    for name, seconds in times.items():
        if name == FLOOR:
            rows[name] |= {rate: max(x[rate] for x in best[name]) for rate in ("gemm", "copy")}
            continue
        rows[name] |= {"seconds": seconds, **timing.spread(seconds)._asdict()}
        rows[name] |= asked(crew, name, do="end")
    return rows


def asked(crew: Crew, name: str, **command: Any) -> dict[str, Any]:
    """Return an answer, or the reason why there is none as {"error": reason}."""
    try:
        return crew.ask(name, **command)
    except Failed as failed:
        return {"error": str(failed)}


def add_rates(rows: dict[str, dict[str, Any]], task: str, settings: Settings) -> None:
    """Add how many examples or users a second each row did, by its median."""
    many = settings.batch if task == "step" else settings.users
    for row in timed_rows(rows):
        row["rate"] = many / row["median"]


def add_ratios(rows: dict[str, dict[str, Any]], base: str | None) -> None:
    """Add how many times as long as the base each row took, round by round."""
    its = rows.get(base, {}) if base is not None else {}
    for row in timed_rows(rows):
        if "seconds" in its:
            found = timing.spread(timing.ratios(row["seconds"], its["seconds"]))
            row["ratio"] = found._asdict()


def add_sameness(rows: dict[str, dict[str, Any]], base: str | None) -> None:
    """Add whether each row began with the loss of the base: else it computes something else."""
    its = rows.get(base, {}) if base is not None else {}
    for row in timed_rows(rows):
        if "answer" in its:
            row["same_loss"] = abs(row["answer"] - its["answer"]) <= SAME * abs(its["answer"])


def bound_of(words: dict[str, Any], measured: dict[str, Any]) -> dict[str, Any]:
    """Return the bound of a step by its equations, and what it is made of."""
    counts = Counts(**{**words, "widths": tuple(words["widths"])})
    gemm, copy = measured["gemm"], measured["copy"]
    return {
        "counts": counts._asdict(),
        "flops": floor.flops(counts),
        "bytes": floor.moved(counts),
        "gemm_flops_per_second": gemm,
        "copy_bytes_per_second": copy,
        "seconds": floor.bound(counts, gemm, copy),
        "seconds_word_by_word": floor.bound(floor.word_by_word(counts), gemm, copy),
    }


def add_bound(rows: dict[str, dict[str, Any]], bound: dict[str, Any]) -> None:
    """Add to each row its share of the peak of products, and how many times each bound it took."""
    work = sum(bound["flops"].values())
    for row in timed_rows(rows):
        row["share_of_peak"] = work / row["median"] / bound["gemm_flops_per_second"]
        row["times_bound"] = row["median"] / bound["seconds"]
        row["times_word_by_word"] = row["median"] / bound["seconds_word_by_word"]


def timed_rows(rows: dict[str, dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the rows that have times."""
    return [row for row in rows.values() if "seconds" in row]
