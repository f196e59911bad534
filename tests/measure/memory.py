"""Compare the estimate of the memory of a training with its peak, on public logs.

    MINDREF_DATA=FOLDER python -m tests.measure.memory --write

FOLDER has the data sets that tests/README.md names. Each training is a new process with 60 steps;
the peak is its largest resident set. `--write` writes the table of specs/scale.md.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import spec_pages
from tests.runs import environment

PAGE = spec_pages.SPECS / "scale.md"
BEGIN, END = "<!-- memory: begin -->", "<!-- memory: end -->"
SHORT = ["--steps", "60", "--evaluate-every", "20", "--quiet"]
LOGS = {
    "MovieLens-1M": ["ml-1m"],
    "RetailRocket, sessions": [
        "retailrocket-cotrec/derived_sequences.txt.gz", "--format", "sessions",
    ],
    "Diginetica, `--test-users 20000`": [
        "diginetica-srgnn/derived_sequences.txt.gz", "--format", "sessions",
        "--test-users", "20000",
    ],
    "Tmall": ["tmall-sslrec/derived_train.tsv.gz"],
    "Taobao, `--preset mind`": [
        "taobao-userbehavior-head/UserBehavior.csv.gz", "--user", "1", "--item", "2", "--time", "5",
        "--no-header", "--preset", "mind",
    ],
}  # fmt: skip
TRAIN = """
import sys
from mindref.cli import main
try:
    main(sys.argv[1:])
finally:
    from mindref.bench.machine import peak_bytes
    print(peak_bytes())
"""


def measure(words: list[str]) -> tuple[dict[str, float], int]:
    """Return the estimate of a training, and its largest resident set in bytes (Linux)."""
    log = Path(os.environ["MINDREF_DATA"], words[0])
    with tempfile.TemporaryDirectory() as folder:
        command = ["train", "--data", str(log), "--out", f"{folder}/run", *words[1:], *SHORT]
        plan = run(["-m", "mindref", *command, "--dry-run", "--json"])
        peak = int(run(["-c", TRAIN, *command]).split()[-1])
    memory: dict[str, float] = json.loads(plan.splitlines()[-1])["memory"]
    return memory, peak


def run(words: list[str]) -> str:
    """Return the output of a Python program, which must succeed."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
    done = subprocess.run([sys.executable, *words], env=environment(), check=True, **pipes)
    return done.stdout


def main(arguments: list[str]) -> None:
    """Print or write the table."""
    parts = ("program", "log", "parameters", "evaluation", "total")
    lines = [
        "| log | " + " | ".join(f"{x}, MB" for x in parts) + " | truth, MB | estimate / truth |"
    ]
    lines.append("|---|" + "--:|" * (len(parts) + 2))
    for name, words in LOGS.items():
        memory, peak = measure(words)
        cells = [f"{memory[part] / 1e6:,.0f}" for part in parts]
        cells += [f"{peak / 1e6:,.0f}", f"{memory['total'] / peak:.2f}"]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    if "--write" in arguments:
        text = PAGE.read_text(encoding="utf-8")
        first, last = text.index(BEGIN) + len(BEGIN), text.index(END)
        PAGE.write_text("\n".join([text[:first], *lines, text[last:]]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
