"""Small trainings on a small built-in log, and what they leave on disk."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from mindref.cli import COMPILING
from mindref.config import Config
from mindref.data.synthetic import make_synthetic_log
from mindref.recommender.training.plan import TrainingPlan
from mindref.recommender.training.trainer import Trainer
from mindref.recommender.training.warm_start import WarmStart
from mindref.run.files import sealed
from mindref.run.source import LoadedLog, Source
from mindref.training.engine import make_engine
from mindref.training.loop import Hooks, count_step, fetch_arrays, step_learning_rate

REPOSITORY = Path(__file__).parent.parent
SOURCE = Source.of(None, {"users": 60, "items": 120})
HISTORIES = (["article-0007", "article-0005", "article-0009"], ["article-0003"])
"""Two histories of items of the log."""
SMALL: dict[str, Any] = {
    "steps": 7,
    "evaluate_every": 3,
    "batch": 16,
    "negatives": 16,
    "width": 8,
    "hidden": [8],
    "metric": "hit_rate@10",
}
SHOP_HEADERS = {
    "inter": ("user_id:token", "item_id:token", "timestamp:float"),
    "item": ("item_id:token", "title:token_seq", "shelf:token"),
    "user": ("user_id:token", "age:token"),
}
RESULT = ("model.safetensors", "optimiser.safetensors", "state.json", "metrics.jsonl", "items.tsv")


@cache
def loaded() -> LoadedLog:
    return SOURCE.read()


def trainer(
    run: Path | None = None,
    protocol: str = "leave_last_out",
    start: WarmStart | None = None,
    **changes: Any,
) -> Trainer:
    """Return a trainer of the small log, its run directory made."""
    config = Config.of("mind", changes, base=SMALL)
    plan = TrainingPlan(config, SOURCE, protocol, start=start, run=run)
    made = Trainer(plan, loaded())
    made.create()
    return made


def trained(run: Path, **changes: Any) -> Path:
    trainer(run, **changes).train()
    return run


def train_small_run(run: Path, source: Source = SOURCE, **changes: Any) -> Path:
    """Train and evaluate a small run. It is stopped before its last step, so it can be resumed."""
    config = Config.of("mind", {**SMALL, "backend": "numpy", **changes})
    log = loaded() if source is SOURCE else source.read()
    trainer = Trainer(TrainingPlan(config, source, "leave_last_out", run=run), log)
    trainer.create()
    trainer.train(stop_after(5))
    trainer.evaluate()
    return run


def stepped(made: Trainer, batch: Any) -> None:
    """Take a step of a training with this batch."""
    task, state, config = made.prepared.task, made.state, made.config
    engine = make_engine(made.backend, state.params, state.moments, task.catalogue, config)
    loss = engine.step(batch, step_learning_rate(config, state.moments.step))
    made.state = fetch_arrays(count_step(state, loss), engine)


def stop_after(step: int) -> Hooks:
    """Return hooks that stop a training when it has taken this step, as Ctrl-C does."""
    seen = [0]

    def on_step(number, loss):
        seen[0] = number

    return Hooks(on_step=on_step, stop=lambda: seen[0] >= step)


def content(run: Path, names: tuple[str, ...] = RESULT) -> dict[str, bytes]:
    """Return the bytes of the files of a run."""
    return {name: (run / name).read_bytes() for name in names}


def options(**changes: Any) -> list[str]:
    """Return the small settings of MIND as options of the command line."""
    words = [] if "model" in changes else ["--preset", "mind"]
    for name, value in {**SMALL, **changes}.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        words += [f"--{name.replace('_', '-')}", text]
    return words


def messages(stderr: str) -> str:
    """Return standard error without the line that is printed if a kernel is not cached."""
    return stderr.replace(f"{COMPILING}\n", "")


def environment(**more: str) -> dict[str, str]:
    """Return the environment of a child: this tree, one thread, usual buffers."""
    paths = (str(REPOSITORY), os.environ.get("PYTHONPATH"))
    own = {"OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": ""}
    own["PYTHONPATH"] = os.pathsep.join(filter(None, paths))  # an empty part would be this folder
    return {**os.environ, **own, **more}


def call(*words: str | Path, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return run_python("-m", "mindref", *words, cwd=cwd, **more)


def run_python(
    *arguments: object, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in a child process with these arguments, and more variables."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def start(*words: str | Path, **options: Any) -> subprocess.Popen[str]:
    """Start a command; its standard error is a pipe of text."""
    return start_python("-m", "mindref", *words, **options)


def start_python(*arguments: object, **options: Any) -> subprocess.Popen[str]:
    """Start Python with these arguments; its standard error is a pipe of text."""
    command = [sys.executable, *map(str, arguments)]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, **options}
    return subprocess.Popen(command, env=environment(), text=True, **pipes)


def read_until(child: subprocess.Popen[str], text: str) -> str:
    """Return the lines that a command writes to standard error until one contains the text."""
    lines = ""
    while text not in lines:
        line = child.stderr.readline()
        assert line, f"it ended too soon: {lines}"
        lines += line
    return lines


def interrupt(child: subprocess.Popen[str], after: str, times: int = 1) -> str:
    """Press Ctrl-C in a command after a line with this text; return its standard error."""
    lines = read_until(child, after)
    for _ in range(times):
        child.send_signal(signal.SIGINT)
        time.sleep(0.02)
    lines += child.stderr.read()
    assert child.wait(timeout=60) == 130, lines
    assert "Traceback" not in lines
    return lines


@contextmanager
def change_json(path: Path) -> Iterator[Any]:
    """Yield the content of a sealed JSON file; write it with a new digest at the end."""
    content = json.loads(path.read_text(encoding="utf-8"))
    yield content
    path.write_text(json.dumps(sealed(content)), encoding="utf-8")


def write_log(path: Path, rows: Iterable[str]) -> Path:
    """Write a log of lines `user,item,time` with a header."""
    path.write_text("\n".join(["user,item,time", *rows, ""]), encoding="utf-8")
    return path


def lose_log(run: Path) -> str:
    """Let a run name a log that does not exist; return the path of its log."""
    with change_json(run / "config.json") as config:
        log, config["source"]["place"] = config["source"]["place"], str(run / "gone")
    return log


def kept_report(run: Path) -> dict[str, object]:
    """Return the report of a run without the digests of it and of the run."""
    report = json.loads((run / "report.json").read_text())
    return {name: x for name, x in report.items() if name not in ("sha256", "identity")}


def python_output(code: str, *arguments: object, **more: str) -> str:
    """Return what a program prints, which must succeed."""
    done = run_python("-c", code, *arguments, **more)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write_shop(folder: Path, users: int = 60, items: int = 120) -> None:
    """Write a synthetic log as RecBole's files `shop.inter`, `shop.item` and `shop.user`."""
    log = make_synthetic_log(users=users, items=items).log
    names = [log.user_ids[u] for u, n in enumerate(log.interactions.lengths) for _ in range(n)]
    (shelf,), (age,) = log.item_features, log.user_features
    tables = {
        "inter": (names, [log.item_ids[i] for i in log.interactions.values], log.times),
        "item": (log.item_ids, log.titles, [shelf.values[i] for i in shelf.codes.values]),
        "user": (log.user_ids, [age.values[i] for i in age.codes.values]),
    }
    for ending, columns in tables.items():
        rows = [SHOP_HEADERS[ending], *zip(*columns, strict=True)]
        lines = ["\t".join(x if isinstance(x, str) else f"{x:.0f}" for x in row) for row in rows]
        (folder / f"shop.{ending}").write_bytes(("\n".join(lines) + "\n").encode())
